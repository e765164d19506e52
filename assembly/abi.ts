// What both sides of the WebAssembly edge must agree on: codes, sizes and offsets. Valid as AssemblyScript and as
// TypeScript, so it holds untyped integer constants and nothing else. ABI_VERSION goes up with any change of meaning;
// src/wasm refuses a module that answers with another number.

export const ABI_VERSION = 1;

// ---- sizes (bytes) ----

/** One header of a block: name address u32 | value address u32 | value length u32 | name length u16 | known u8 | flags u8. */
export const HEADER_ENTRY = 16;
/**
 * Room before the bytes of a buffer: what a rewritten head may be longer than the head it came from. A blank for each of
 * 1000 fields, 470 bytes that the proxy adds (a host has up to 261), TAILROOM when a body makes room, and a size line.
 */
export const HEADROOM = 2048;
/** Room behind the bytes of a buffer: CRLF of a chunk, the last chunk, and an aligned end. */
export const TAILROOM = 64;
/** A connection's record; see assembly/memory.ts for the picture. */
export const RECORD = 192;
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
