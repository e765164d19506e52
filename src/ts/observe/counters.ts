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
