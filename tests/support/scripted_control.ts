// A control server that says what a test tells it to, and when: for answers that the real one gives only in trouble. It
// speaks the protocol's lines and knows nothing of its verbs.

export interface Asked {
  id: number;
  verb: string;
  [field: string]: unknown;
}

/** What goes back for a request: objects become lines, texts are sent as they are, null closes the connection. */
export type Script = (asked: Asked) => AsyncIterable<object | string | null> | Iterable<object | string | null>;

export class ScriptedControl implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;

  private constructor(
    readonly path: string,
    private readonly folder: string,
    private readonly listener: Deno.Listener,
    private readonly script: Script,
  ) {
    this.#serving = this.#accept();
  }

  static async start(script: Script): Promise<ScriptedControl> {
    const folder = await Deno.makeTempDir({ prefix: "kakehi-test-" });
    const path = `${folder}/control.sock`;
    return new ScriptedControl(path, folder, Deno.listen({ transport: "unix", path }), script);
  }

  async #accept(): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const connection of this.listener) {
      this.#connections.add(connection);
      serving.push(this.#serve(connection));
    }
    await Promise.all(serving);
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const running: Promise<void>[] = [];
    let text = "";
    try {
      for await (const piece of connection.readable.pipeThrough(new TextDecoderStream(), { preventCancel: true })) {
        const lines = (text + piece).split("\n");
        text = lines.pop()!;
        for (const line of lines) running.push(this.#answer(connection, JSON.parse(line) as Asked));
      }
    } catch {
      // Closed by the script, or by the end of the test.
    }
    await Promise.all(running);
  }

  async #answer(connection: Deno.Conn, asked: Asked): Promise<void> {
    this.asked.push(asked);
    try {
      for await (const part of this.script(asked)) {
        if (part === null) return this.#close(connection);
        const text = typeof part === "string" ? part : JSON.stringify({ id: asked.id, ...part }) + "\n";
        const bytes = new TextEncoder().encode(text);
        for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
      }
    } catch {
      // The client has gone.
    }
  }

  #close(connection: Deno.Conn): void {
    if (!this.#connections.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // Its reader has closed it.
    }
  }

  async [Symbol.asyncDispose]() {
    this.listener.close();
    for (const connection of [...this.#connections]) this.#close(connection);
    await this.#serving;
    await Deno.remove(this.folder, { recursive: true });
  }
}
