// Named counters of a worker: numbers in one typed array, so that counting allocates nothing. Gauges are not kept here;
// the worker reads them where they are when somebody asks.

/** What is counted, and what it means: the names are those of `status`, the meanings those of METRICS.md. */
export const COUNTERS = {
  "connections.accepted": "Connections of clients that were accepted.",
  "connections.paused": "Times that accepting stopped because `limits.connections` was reached.",
  requests: "Requests, those included that were refused.",
  "responses.1xx": "Interim answers that were passed on.",
  "responses.2xx": "Answers by the class of their status.",
  "responses.3xx": "Answers by the class of their status.",
  "responses.4xx": "Answers by the class of their status.",
  "responses.5xx": "Answers by the class of their status.",
  "upstreams.connected": "Connections to backends that were made.",
  "upstreams.reused": "Requests on connections to backends that had carried others before.",
  "upstreams.failed": "Connections to backends that could not be made.",
  "upstreams.stale": "Idle connections that turned out to be dead.",
  "requests.retried": "Requests that were sent again, or to another backend.",
  "client.aborted": "Requests that clients gave up before the end of the answer.",
  "backend.truncated": "Answers that backends cut short.",
  tunnels: "Tunnels: WebSockets, other upgrades, CONNECT.",
  "bytes.to_client": "Bytes of answers, heads included.",
  "bytes.from_client": "Bytes of the bodies of requests.",
  "log.lines": "Lines of the access log that were written.",
  "log.dropped": "Lines that the access log did not take.",
  "requests.redirected": "Requests that were redirected to https.",
  "upstreams.h2.streams": "Requests that went to backends in HTTP/2.",
  "upstreams.h2.unprocessed":
    "Of these, what a backend said it had not looked at (REFUSED_STREAM, GOAWAY): they were sent again.",
  "upstreams.h2.waited": "Requests that waited since no backend took any at the time.",
  "upstreams.h2.streams.reset_by_backend": "Requests that backends reset.",
  "upstreams.h2.streams.malformed": "Answers in HTTP/2 that were no HTTP.",
  "upstreams.h2.goaway": "GOAWAY frames from backends.",
  "upstreams.h2.connections.failed": "Connections that ended for an error of the backend's.",
  "upstreams.h2.connections.settings_timeout": "Connections that ended since the backend did not acknowledge SETTINGS.",
  "upstreams.h2.connections.stalled":
    "Connections that ended since the backend took nothing for as long as `timeouts.write` allows.",
  "upstreams.h2.connections.ping_timeout": "Connections that ended since the backend did not answer PING in time.",
  "h2.connections": "Connections of clients that spoke HTTP/2.",
  "h2.connections.failed": "Connections that ended for an error of the client's, abuse left out.",
  "h2.connections.settings_timeout": "Connections that ended since the client did not acknowledge SETTINGS.",
  "h2.connections.stalled":
    "Connections that ended since the client took nothing for as long as `timeouts.write` allows.",
  "h2.streams": "Requests that came in HTTP/2.",
  "h2.streams.refused": "Requests for which there was no place (REFUSED_STREAM): clients may send them again.",
  "h2.streams.reset_by_client": "Requests that clients reset.",
  "h2.streams.malformed": "Requests in HTTP/2 that were no HTTP.",
  "h2.streams.stalled":
    "Requests that were reset since the client kept its window shut, or next to it, for as long as `timeouts.write` allows.",
  "h2.abuse.rapid_reset": "`abuse.resets`: streams that the client reset.",
  "h2.abuse.made_you_reset": "`abuse.resets_caused`: streams that had to be reset by its fault.",
  "h2.abuse.ping": "`abuse.pings`",
  "h2.abuse.settings": "`abuse.settings`",
  "h2.abuse.settings_size": "SETTINGS with more than 64 entries.",
  "h2.abuse.empty_frames": "`abuse.empty_frames`",
  "h2.abuse.window_update": "`abuse.window_updates`",
  "h2.abuse.priority": "`abuse.priorities`",
  "h2.abuse.continuation": "`abuse.continuations`",
  "h2.abuse.header_block": "A header block that was longer than a buffer (`limits.buffer_size`) before it was decoded.",
  "h2.abuse.refused_streams": "`abuse.refused_streams`: streams beyond those it was allowed.",
  "h2.abuse.ignored_frames": "`abuse.ignored_frames`",
  "h2.abuse.small_frames": "`abuse.small_frames`: a window that was opened by a few bytes at a time.",
  "h2.abuse.header_list": "A header block that became many times larger by decoding than `limits.header_bytes` allows.",
  "tls.handshakes.1_2": "Completed handshakes by version.",
  "tls.handshakes.1_3": "Completed handshakes by version.",
  "tls.resumed": "Of these, resumed sessions.",
  "tls.handshake_ms": "Milliseconds from the first byte to the end of the handshake, summed up.",
  "tls.waited": "Handshakes that waited since as many were in progress as may be.",
  "tls.failed.version": "No version of TLS in common.",
  "tls.failed.no_common_choice": "No cipher, group or signature in common.",
  "tls.failed.no_common_protocol": "No protocol in common (ALPN).",
  "tls.failed.unknown_name": "No certificate for the name that was asked for.",
  "tls.failed.certificate": "The client did not take the certificate.",
  "tls.failed.client_certificate": "The client's certificate was missing or not taken.",
  "tls.failed.alert": "Another alert of the client's.",
  "tls.failed.closed": "The client closed the connection.",
  "tls.failed.malformed": "What came is not TLS.",
  "tls.failed.plain_http": "What came is HTTP without TLS.",
  "tls.failed.timeout": "`tls.handshake_timeout`",
  "tls.failed.crowded_out": "It gave way to a newer one: `tls.handshakes` were in progress.",
  "tls.failed.shortage": "Memory or another resource was short.",
  "upstreams.tls.handshakes": "Completed handshakes with backends.",
  "upstreams.tls.resumed": "Of these, resumed sessions.",
  "upstreams.tls_failed.expired": "The backend's certificate has expired.",
  "upstreams.tls_failed.not_yet_valid": "The backend's certificate is not valid yet.",
  "upstreams.tls_failed.name_mismatch": "The backend's certificate is for another name.",
  "upstreams.tls_failed.unknown_authority": "The backend's certificate comes from an authority that is not trusted.",
  "upstreams.tls_failed.certificate": "Another fault of the backend's certificate.",
  "upstreams.tls_failed.version": "No version of TLS in common.",
  "upstreams.tls_failed.no_common_choice": "No cipher, group or signature in common.",
  "upstreams.tls_failed.no_common_protocol": "The backend does not agree to the protocol (ALPN).",
  "upstreams.tls_failed.alert": "The backend refuses: it wants a certificate, for example.",
  "upstreams.tls_failed.closed": "The backend closed the connection.",
  "upstreams.tls_failed.malformed": "What the backend sends is not TLS.",
  "upstreams.tls_failed.timeout": "The handshake took longer than `timeouts.connect`.",
} as const;

/** What the worker reads where it is when somebody asks. */
export const FIGURES = {
  "connections.active": "Connections of clients.",
  "streams.active": "Requests under way.",
  "h2.connections.active": "Connections of clients that speak HTTP/2.",
  "h2.streams.active": "Requests under way that came in HTTP/2.",
  "upstreams.active": "Connections to backends.",
  "upstreams.idle": "Connections to backends that carry nothing.",
  "upstreams.h2.connections.active": "Connections to backends in HTTP/2, those included that are being made.",
  "upstreams.h2.streams.active": "Requests under way to backends in HTTP/2.",
  "buffers.used": "I/O buffers in use.",
  "buffers.count": "I/O buffers that there are (`limits.buffers`).",
  "buffers.waits": "Times that somebody had to wait for an I/O buffer.",
  "pipes.used": "Kernel pipes in use.",
} as const;

/** The same, of a worker that speaks TLS. */
export const TLS_FIGURES = {
  "tls.handshakes.active": "Handshakes in progress.",
  "tls.connections.active": "Connections that speak TLS, on both sides.",
  "tls.certificates.count": "Certificates that there are.",
  "tls.certificates.used": "Certificates that have been parsed.",
} as const;

export type CounterName = keyof typeof COUNTERS;

const NAMES = Object.keys(COUNTERS) as CounterName[];
const FIRST_STATUS = NAMES.indexOf("responses.1xx");

export class Counters {
  readonly #values = new Float64Array(NAMES.length);
  readonly #indexes = new Map<string, number>(NAMES.map((name, index) => [name, index]));

  /** Index for add(); look it up once, at start. */
  static index(name: CounterName): number {
    return NAMES.indexOf(name);
  }

  add(index: number, value: number): void {
    this.#values[index]! += value;
  }

  /** Counts a final answer by the class of its status. */
  addStatus(status: number): void {
    const index = FIRST_STATUS + Math.floor(status / 100) - 1;
    if (index > FIRST_STATUS && index < FIRST_STATUS + 5) this.#values[index]! += 1;
  }

  value(name: CounterName): number {
    return this.#values[this.#indexes.get(name)!]!;
  }

  all(): Record<string, number> {
    return Object.fromEntries(NAMES.map((name, index) => [name, this.#values[index]!]));
  }
}
