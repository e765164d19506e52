// Somebody who uses the proxy while somebody else attacks it: how long its requests take. It runs in a thread of its own
// (h2_bystander_thread.ts) with a backend of its own.

export interface Times {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export class Bystander implements Disposable {
  readonly #thread = new Worker(new URL("./h2_bystander_thread.ts", import.meta.url).href, { type: "module" });
  #waiting: ((message: { backend: number; tookMs: number[] }) => void) | undefined;
  #failure: string | undefined;
  /** Address of its backend. */
  backend = "";

  static async start(): Promise<Bystander> {
    const one = new Bystander();
    const { backend } = await one.#next();
    one.backend = `127.0.0.1:${backend}`;
    return one;
  }

  /** Begins to ask for /calm at a port. */
  begin(port: number): void {
    this.#thread.postMessage({ port });
  }

  /** What its requests took from now on, for so long or until `during` is over. Throws when one was not answered. */
  async watch(during: number | Promise<unknown>): Promise<Times> {
    await this.#take();
    await (typeof during === "number" ? new Promise((resolve) => setTimeout(resolve, during)) : during);
    const sorted = (await this.#take()).toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(100 * (sorted[Math.floor((sorted.length - 1) * share)] ?? NaN)) / 100;
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  async #take(): Promise<number[]> {
    this.#thread.postMessage("take");
    const { tookMs } = await this.#next();
    if (this.#failure !== undefined) throw new Error(`the bystander: ${this.#failure}`);
    return tookMs;
  }

  #next(): Promise<{ backend: number; tookMs: number[] }> {
    const { promise, resolve } = Promise.withResolvers<{ backend: number; tookMs: number[] }>();
    this.#waiting = resolve;
    this.#thread.onmessage = ({ data }) => {
      if (data.failure !== undefined) this.#failure = data.failure;
      else this.#waiting?.(data);
    };
    return promise;
  }

  [Symbol.dispose](): void {
    this.#thread.terminate();
  }
}
