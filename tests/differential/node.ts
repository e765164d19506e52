// node's HTTP parser in a node process: messages go out in batches, readings come back as lines (node_parser.cjs).

import { fileURLToPath } from "node:url";
import type { Reading, Side } from "./reading.ts";

const SIDES: Record<Side, number> = { "request": 0, "response": 1, "response to HEAD": 2, "response to upgrade": 1 };

export interface Case {
  side: Side;
  input: Uint8Array;
}

export class Node implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor() {
    const script = fileURLToPath(new URL("node_parser.cjs", import.meta.url));
    this.#child = new Deno.Command("node", { args: [script], stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The readings of a batch, in its order. */
  async read(batch: readonly Case[]): Promise<Reading[]> {
    const written = this.#writer.write(this.#frames(batch));
    const readings: Reading[] = [];
    while (readings.length < batch.length) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("node ended before it had read all messages");
      const lines = (this.#rest + value).split("\n");
      this.#rest = lines.pop()!;
      for (const line of lines) readings.push(JSON.parse(line));
    }
    await written;
    return readings;
  }

  #frames(batch: readonly Case[]): Uint8Array {
    const frames = new Uint8Array(batch.reduce((sum, { input }) => sum + 5 + input.length, 0));
    const view = new DataView(frames.buffer);
    let at = 0;
    for (const { side, input } of batch) {
      view.setUint32(at, input.length, true);
      view.setUint8(at + 4, SIDES[side]);
      frames.set(input, at + 5);
      at += 5 + input.length;
    }
    return frames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#child.status;
  }
}
