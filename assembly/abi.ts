// What both sides of the WebAssembly edge must agree on: codes, sizes and offsets. Valid as AssemblyScript and as
// TypeScript, so it holds untyped integer constants and nothing else. ABI_VERSION goes up with any change of meaning;
// src/wasm refuses a module that answers with another number.

export const ABI_VERSION = 5;

// ---- sizes (bytes) ----

/** One header of a block: name address u32 | value address u32 | value length u32 | name length u16 | known u8 | flags u8. */
export const HEADER_ENTRY = 16;
/**
 * Room before the bytes of a buffer: what a rewritten head may be longer than the head it came from. A blank for each of
 * 1000 fields, 470 bytes that the proxy adds (a host has up to 261), IDENTITY_MAX of those about the client's certificate,
 * TAILROOM when a body makes room, and a size line.
 */
export const HEADROOM = 2432;
/** Fields about the certificate of a client, as a whole. */
export const IDENTITY_MAX = 768;
/** Room behind the bytes of a buffer: CRLF of a chunk, the last chunk, and an aligned end. */
export const TAILROOM = 64;
/** Of the headroom, those right before the bytes: what keepRequest, keepResponse and keepTrailers note of a message. */
export const KEPT_BYTES = 64;
/** A connection's record; see assembly/memory.ts for the picture. */
export const RECORD = 192;
/** Where in a record the id of its HTTP/2 stream lies (u32); 0: none, or forgotten. */
export const RECORD_STREAM_ID = 156;
/** Peer's address as text in its record: "ffff:…:ffff" or "255.255.255.255". */
export const PEER_TEXT_MAX = 48;

// ---- results of parsing a head ----

export const HEAD_MORE = 0;
export const HEAD_DONE = 1;

// A refusal is a negative number; REFUSALS in src/ts/proxy/answers.ts has its name, status and words.
export const BAD_REQUEST = -1;
export const URI_TOO_LONG = -2;
export const HEADER_TOO_LARGE = -3;
export const VERSION_NOT_SUPPORTED = -4;
export const TRANSFER_CODING_UNKNOWN = -5;
/** CONNECT where the route does not name it. */
export const METHOD_NOT_ALLOWED = -6;
export const METHOD_UNKNOWN = -7;
/** A response that is malformed. */
export const BAD_RESPONSE = -8;
/** A response whose head is larger than the limit. */
export const RESPONSE_HEADER_TOO_LARGE = -9;

// ---- how a body is delimited (RFC 9112 §6.3) ----

export const BODY_NONE = 0;
export const BODY_LENGTH = 1;
export const BODY_CHUNKED = 2;
/** Until the connection closes; responses only. */
export const BODY_CLOSE = 3;
/** Until the stream ends, of unknown length; HTTP/2 only. */
export const BODY_STREAM = 4;

// ---- results of decoding chunks ----

export const CHUNKS_MORE = 0;
export const CHUNKS_DONE = 1;
/** In the trailer section: the bytes must stay where they are until it is complete. */
export const CHUNKS_TRAILERS = 2;
export const CHUNKS_BAD = -1;
export const CHUNKS_TRAILERS_TOO_LARGE = -2;

// ---- the result area: indexes into an i32 view that begins at resultAt() ----

/** Address behind the head. */
export const R_HEAD_END = 0;
export const R_BODY_MODE = 1;
export const R_FLAGS = 2;
export const R_METHOD_AT = 3;
export const R_METHOD_LENGTH = 4;
/** The path of the target, without query. */
export const R_PATH_AT = 5;
export const R_PATH_LENGTH = 6;
export const R_HOST_AT = 7;
export const R_HOST_LENGTH = 8;
export const R_STATUS = 9;
/** Chunk decoding: length of the decoded bytes, which begin where the input began. */
export const R_DECODED = 10;
/** Chunk decoding: input bytes used. */
export const R_CONSUMED = 11;
/** The whole target as it is written onward. */
export const R_TARGET_AT = 12;
export const R_TARGET_LENGTH = 13;
export const R_HEADER_COUNT = 14;
/** Framed output: first address and length. */
export const R_OUT_AT = 15;
export const R_OUT_LENGTH = 16;
/** HTTP/2, from here on. The stream that an event is about. */
export const R_STREAM_ID = 17;
/** Index of the stream's record, or -1: none (yet), or the whole connection. */
export const R_SLOT = 18;
export const R_DATA_AT = 19;
export const R_DATA_LENGTH = 20;
/** 1: the peer has ended the stream with this. */
export const R_END_STREAM = 21;
/** H2_ code of EV_RESET, EV_GOAWAY, EV_STREAM_ERROR and EV_CONNECTION_ERROR. */
export const R_ERROR_CODE = 22;
export const R_LAST_STREAM = 23;
/** Bytes that wait in the reply area. */
export const R_REPLY_LENGTH = 24;
/** ABUSE_ number, when a limit was exceeded; otherwise 0. */
export const R_ABUSE = 25;
/** Urgency (bits 0–2) and incremental (bit 3) of RFC 9218. */
export const R_PRIORITY = 26;
/** 1: what has been looked at ends within a header block. */
export const R_IN_BLOCK = 27;
export const RESULT_WORDS = 32;

// ---- R_FLAGS ----

/** The peer keeps the connection open behind this message. */
export const F_KEEP_ALIVE = 1;
export const F_HTTP_1_0 = 2;
/**
 * `Connection: upgrade` with an `Upgrade` field, HTTP/1.1, no body; in a response: the connection is a tunnel from here on
 * (101, or 2xx to CONNECT).
 */
export const F_UPGRADE = 4;
export const F_EXPECT_CONTINUE = 8;
export const F_HEAD = 16;
/** GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 §9.2.2). */
export const F_IDEMPOTENT = 32;
/** The response has a Date field. */
export const F_DATE = 64;
/** HTTP/1.0 client that asked for `Connection: keep-alive`. */
export const F_KEEP_ALIVE_1_0 = 128;
/** Content-Length stands in the message. */
export const F_CONTENT_LENGTH = 256;
export const F_OPTIONS = 512;
/** The target is an authority; a 2xx answer makes the connection a tunnel. */
export const F_CONNECT = 1024;
/** The message came in HTTP/2. */
export const F_HTTP_2 = 2048;
/**
 * A request for a WebSocket that can be carried on in either form: a GET of HTTP/1.1 that asks for the upgrade, with one valid
 * key (RFC 6455 §4.2.1), or extended CONNECT (RFC 8441), which came with F_HTTP_2. F_UPGRADE is set, too.
 */
export const F_WEBSOCKET = 4096;
/**
 * A call of gRPC, in HTTP/2: its client looks for the outcome in grpc-status. When h2Headers refuses a request, this is all that
 * R_FLAGS says.
 */
export const F_GRPC = 8192;

// ---- flags of a record (bits of its `peerFlags`) ----

/** The peer is in trusted_proxies. */
export const PEER_TRUSTED = 1;

// ---- how a response head is written: bits of `writeResponseHead`'s flags ----

export const W_CLOSE = 1;
export const W_KEEP_ALIVE = 2;
export const W_CHUNKED = 4;
export const W_UPGRADE = 8;
export const W_ADD_DATE = 16;
/** A 2xx answer to CONNECT. */
export const W_TUNNEL = 32;

// ---- the text area: offsets from textAt() ----

/** u32 length, then the whole Date field with its CRLF; src/wasm writes it each second. */
export const TEXT_DATE = 0;
/** u32 length, then the time as the access log writes it. */
export const TEXT_LOG_TIME = 64;
/** Random bytes for request ids, REQUEST_ID_BYTES each. */
export const TEXT_REQUEST_IDS = 256;
export const REQUEST_ID_BYTES = 16;
export const REQUEST_IDS = 256;
/** Heads and bodies of the proxy's own answers. */
export const TEXT_ANSWERS = 8192;

// ---- access log formats ----

export const LOG_OFF = 0;
export const LOG_COMMON = 1;
export const LOG_COMBINED = 2;
export const LOG_JSON = 3;

// ---- HTTP/2: the connection's record (assembly/memory.ts has the picture) ----

/** What is not a table; the replies lie behind it. */
export const H2_STATE = 512;
export const H2_REPLIES_AT = 512;
export const H2_REPLIES = 1024;
export const H2_ROLE_SERVER = 0;
export const H2_ROLE_CLIENT = 1;
export const H2_FRAME_HEADER = 9;
/** A frame of a body that is shorter costs more than it carries. */
export const H2_SMALL_FRAME = 256;

// ---- HTTP/2: what h2Feed answers ----

/** Everything has been looked at; a frame that has begun may not be whole. */
export const EV_MORE = 0;
/** The replies have to be sent before anything else is looked at. */
export const EV_REPLIES = 1;
/**
 * A header block that begins a request (no slot yet) or an answer. h2Headers or h2Refuse comes next, as long as the bytes
 * lie where they are; h2Feed says the same again until then.
 */
export const EV_HEADERS = 2;
/** As EV_HEADERS, at the end of a message. */
export const EV_TRAILERS = 3;
export const EV_DATA = 4;
/** The stream has ended, without data. */
export const EV_END = 5;
/** The peer has reset the stream; it is forgotten. */
export const EV_RESET = 6;
/** A window has become larger: that of a stream, or of the connection (slot -1). */
export const EV_WINDOW = 7;
/** The peer's settings have changed; windows may have, too. */
export const EV_SETTINGS = 8;
/** The peer has accepted our settings. */
export const EV_SETTINGS_ACK = 9;
export const EV_GOAWAY = 10;
export const EV_PING_ACK = 11;
/** The client wants another priority for a stream. */
export const EV_PRIORITY = 12;
/** A stream has failed by the peer's fault; RST_STREAM is in the replies, and the stream is forgotten. */
export const EV_STREAM_ERROR = 13;
/** The connection has failed by the peer's fault; GOAWAY is in the replies, and nothing more is looked at. */
export const EV_CONNECTION_ERROR = 14;

// ---- HTTP/2: what h2Headers answers besides HEAD_DONE and refusals (of a stream that lives) ----

/** As EV_STREAM_ERROR: the message was malformed. */
export const H2_STREAM_FAILED = -100;
/** As EV_CONNECTION_ERROR. */
export const H2_CONNECTION_FAILED = -101;

// ---- error codes (RFC 9113 §7) ----

export const H2_NO_ERROR = 0;
export const H2_PROTOCOL_ERROR = 1;
export const H2_INTERNAL_ERROR = 2;
export const H2_FLOW_CONTROL_ERROR = 3;
export const H2_SETTINGS_TIMEOUT = 4;
export const H2_STREAM_CLOSED = 5;
export const H2_FRAME_SIZE_ERROR = 6;
export const H2_REFUSED_STREAM = 7;
export const H2_CANCEL = 8;
export const H2_COMPRESSION_ERROR = 9;
export const H2_CONNECT_ERROR = 10;
export const H2_ENHANCE_YOUR_CALM = 11;
export const H2_INADEQUATE_SECURITY = 12;
export const H2_HTTP_1_1_REQUIRED = 13;

// ---- HTTP/2: profiles. i32 words at h2ProfileAt(number); read live, but for those of our settings ----

export const H2_PROFILES = 64;
/** All connections to backends have this one; listeners have those below it. */
export const H2_CLIENT_PROFILE = H2_PROFILES - 1;
export const H2_PROFILE_WORDS = 32;
/** Words 1 … ABUSE_COUNT of a profile: how much of each is borne between two calls of h2Tick. */
export const ABUSE_NONE = 0;
/** Streams that the peer has reset (CVE-2023-44487). */
export const ABUSE_RESETS = 1;
/** Streams that we had to reset (CVE-2025-8671). */
export const ABUSE_RESETS_CAUSED = 2;
export const ABUSE_PINGS = 3;
export const ABUSE_SETTINGS = 4;
/** Frames without content that end nothing: DATA, HEADERS, CONTINUATION. */
export const ABUSE_EMPTY_FRAMES = 5;
/** Beyond two for each DATA frame that was sent. */
export const ABUSE_WINDOW_UPDATES = 6;
export const ABUSE_PRIORITIES = 7;
/** CONTINUATION frames of one header block (CVE-2024-27316): not a rate. */
export const ABUSE_CONTINUATIONS = 8;
/** Streams beyond the announced limit. */
export const ABUSE_REFUSED_STREAMS = 9;
/** Frames that are ignored: of closed streams, and of unknown types. */
export const ABUSE_IGNORED_FRAMES = 10;
/** DATA of less than H2_SMALL_FRAME bytes, for which the peer's window had no more room, beyond one for each longer frame (CVE-2019-9511). */
export const ABUSE_SMALL_FRAMES = 11;
export const ABUSE_COUNT = 11;
/** A header block that does not fit into a buffer; it has no limit of its own. */
export const ABUSE_HEADER_BLOCK = 12;
/** More entries in one SETTINGS frame than there is any use for. */
export const ABUSE_SETTINGS_SIZE = 13;
/** A header block that says many times as much as it may (RFC 9113 §10.5.1); it has no limit of its own either. */
export const ABUSE_HEADER_LIST = 14;
/** Our SETTINGS_MAX_CONCURRENT_STREAMS; at most what layout() was given. */
export const P_STREAMS = 16;
export const P_STREAM_WINDOW = 17;
export const P_CONNECTION_WINDOW = 18;
/** Our SETTINGS_MAX_HEADER_LIST_SIZE: more is 431. */
export const P_HEADER_LIST = 19;
/** 1: extended CONNECT is offered. */
export const P_CONNECT_PROTOCOL = 20;
