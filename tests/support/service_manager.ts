// What a service manager hears on its socket (NOTIFY_SOCKET): datagrams, which a process of its own receives, because the
// runtime has such sockets behind a flag only.

import { eventually } from "./proxy.ts";

const EAR = `const socket = Deno.listenDatagram({ transport: "unixpacket", path: Deno.args[0] });
  for await (const [data] of socket) console.log(JSON.stringify(new TextDecoder().decode(data)));`;

export interface Heard {
  text: string;
  /** performance.now() */
  atMs: number;
}

export class Ear implements AsyncDisposable {
  readonly heard: Heard[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #collected: Promise<void>;

  private constructor(readonly folder: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--unstable-net", EAR, this.path],
      stdout: "piped",
    }).spawn();
    this.#collected = this.#collect();
  }

  static async open(): Promise<Ear> {
    const ear = new Ear(await Deno.makeTempDir());
    await eventually("the socket", () => Deno.lstat(ear.path).then(() => true, () => false), (there) => there);
    return ear;
  }

  get path(): string {
    return `${this.folder}/notify.sock`;
  }

  /** All that was heard, one after the other. */
  get text(): string {
    return this.heard.map(({ text }) => `${text}\n`).join("");
  }

  /** How many messages said this. */
  count(text: string): number {
    return this.heard.filter((heard) => heard.text === text).length;
  }

  async hears(pattern: RegExp, waitMs = 10_000): Promise<string> {
    return await eventually(
      `the service manager hears ${pattern}`,
      () => this.text,
      (text) => pattern.test(text),
      waitMs,
    );
  }

  async #collect(): Promise<void> {
    let rest = "";
    for await (const piece of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.heard.push({ text: JSON.parse(line), atMs: performance.now() });
    }
  }

  async [Symbol.asyncDispose]() {
    this.#child.kill();
    await this.#child.status;
    await this.#collected;
    await Deno.remove(this.folder, { recursive: true });
  }
}
