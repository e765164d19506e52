// A client of the control socket for tests: many requests over one connection, answers by id.

// deno-lint-ignore-file no-explicit-any

export class Client implements Disposable {
  readonly #waiting = new Map<number, (line: any) => void>();
  #lastId = 0;
  #closed = false;
  #written: Promise<unknown> = Promise.resolve();

  private constructor(private readonly connection: Deno.Conn) {
    void this.#read();
  }

  static async connect(path: string): Promise<Client> {
    return new Client(await Deno.connect({ transport: "unix", path }));
  }

  /** The last answer to a request. */
  ask(request: object): Promise<any> {
    return new Promise((resolve, reject) => {
      this.follow(request, (line) => {
        if (line === null) reject(new Error("the connection has ended"));
        else if (line.status !== "progress") resolve(line);
      });
    });
  }

  /** Calls `onLine` with every answer to a request, and with null when the connection ends. */
  follow(request: object, onLine: (line: any) => void): void {
    const id = ++this.#lastId;
    if (this.#closed) return onLine(null);
    this.#waiting.set(id, onLine);
    const bytes = new TextEncoder().encode(JSON.stringify({ id, ...request }) + "\n");
    this.#written = this.#written.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.connection.write(bytes.subarray(at));
    }).catch(() => {});
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    let text = "";
    for (;;) {
      const count = await this.connection.read(buffer).catch(() => null);
      if (count === null) break;
      const lines = (text + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        const answer = JSON.parse(line);
        this.#waiting.get(answer.id)?.(answer);
        if (answer.status !== "progress") this.#waiting.delete(answer.id);
      }
    }
    this.close();
    for (const onLine of this.#waiting.values()) onLine(null);
    this.#waiting.clear();
  }
}
