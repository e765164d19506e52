// Named counters of a worker: numbers in one typed array, so that counting allocates nothing. Gauges are not kept here;
// the worker reads them where they are when somebody asks.

const COUNTERS = [
  "connections.accepted",
  /** Times that accepting stopped because limits.connections was reached. */
  "connections.paused",
  "requests",
  "responses.1xx",
  "responses.2xx",
  "responses.3xx",
  "responses.4xx",
  "responses.5xx",
  "upstreams.connected",
  "upstreams.reused",
  "upstreams.failed",
  "upstreams.stale",
  "requests.retried",
  "client.aborted",
  "backend.truncated",
  "tunnels",
  "bytes.to_client",
  "bytes.from_client",
  "log.lines",
  "log.dropped",
  "requests.redirected",
  /** Requests that went over HTTP/2. */
  "upstreams.h2.streams",
  /** Of these, what a backend said it had not looked at. */
  "upstreams.h2.unprocessed",
  "upstreams.h2.streams.reset_by_backend",
  /** Answers that were no HTTP. */
  "upstreams.h2.streams.malformed",
  "upstreams.h2.goaway",
  /** By the fault of backends. */
  "upstreams.h2.connections.failed",
  "upstreams.h2.connections.settings_timeout",
  /** The backend took nothing for as long as timeouts.write allows. */
  "upstreams.h2.connections.stalled",
  /** They did not answer PING. */
  "upstreams.h2.connections.ping_timeout",
  "h2.connections",
  /** By the fault of clients, abuse left out. */
  "h2.connections.failed",
  "h2.connections.settings_timeout",
  /** The client took nothing for as long as timeouts.write allows. */
  "h2.connections.stalled",
  "h2.streams",
  /** There was no place for them. */
  "h2.streams.refused",
  "h2.streams.reset_by_client",
  /** Requests that were no HTTP. */
  "h2.streams.malformed",
  /** The client kept its window shut, or next to it, for as long as timeouts.write allows. */
  "h2.streams.stalled",
  "h2.abuse.rapid_reset",
  "h2.abuse.made_you_reset",
  "h2.abuse.ping",
  "h2.abuse.settings",
  "h2.abuse.settings_size",
  "h2.abuse.empty_frames",
  "h2.abuse.window_update",
  "h2.abuse.priority",
  "h2.abuse.continuation",
  "h2.abuse.header_block",
  "h2.abuse.refused_streams",
  "h2.abuse.ignored_frames",
  "h2.abuse.small_frames",
  "h2.abuse.header_list",
  "tls.handshakes.1_2",
  "tls.handshakes.1_3",
  "tls.resumed",
  /** Sum over all that were completed. */
  "tls.handshake_ms",
  /** Handshakes that waited since as many as may be were in progress. */
  "tls.waited",
  "tls.failed.version",
  "tls.failed.no_common_choice",
  "tls.failed.no_common_protocol",
  "tls.failed.unknown_name",
  "tls.failed.certificate",
  "tls.failed.client_certificate",
  "tls.failed.alert",
  "tls.failed.closed",
  "tls.failed.malformed",
  "tls.failed.plain_http",
  "tls.failed.timeout",
  "tls.failed.crowded_out",
  "tls.failed.shortage",
  "upstreams.tls.handshakes",
  "upstreams.tls.resumed",
  "upstreams.tls_failed.expired",
  "upstreams.tls_failed.not_yet_valid",
  "upstreams.tls_failed.name_mismatch",
  "upstreams.tls_failed.unknown_authority",
  "upstreams.tls_failed.certificate",
  "upstreams.tls_failed.version",
  "upstreams.tls_failed.no_common_choice",
  "upstreams.tls_failed.no_common_protocol",
  "upstreams.tls_failed.alert",
  "upstreams.tls_failed.closed",
  "upstreams.tls_failed.malformed",
  "upstreams.tls_failed.timeout",
] as const;

export type CounterName = typeof COUNTERS[number];

const FIRST_STATUS = COUNTERS.indexOf("responses.1xx");

export class Counters {
  readonly #values = new Float64Array(COUNTERS.length);
  readonly #indexes = new Map<string, number>(COUNTERS.map((name, index) => [name, index]));

  /** Index for add(); look it up once, at start. */
  static index(name: CounterName): number {
    return COUNTERS.indexOf(name);
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
    return Object.fromEntries(COUNTERS.map((name, index) => [name, this.#values[index]!]));
  }
}
