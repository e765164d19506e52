// Signals come one after the other at random moments, each when the one before has been heard, while a program puts itself in
// its own place again and again: each is heard once. KAKEHI_SIGNALS says in how many programs (20).

import { assert, assertEquals } from "../../support/assert.ts";
import { eventually } from "../../support/proxy.ts";
import { createRandom } from "../../support/random.ts";

const PROGRAMS = Number(Deno.env.get("KAKEHI_SIGNALS") ?? 20);
const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 20_263);
const HEIR = new URL("signals_heir.ts", import.meta.url).href;
const NAMES = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT"] as const;
/** What a state of some 5,000 routes takes to write. */
const BLIND_MS = "20";
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Heir implements AsyncDisposable {
  readonly said: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #collected: Promise<void>;

  constructor(...args: string[]) {
    const words = ["run", "-A", "--no-check", HEIR, ...args];
    this.#child = new Deno.Command(Deno.execPath(), { args: words, stdin: "null", stdout: "piped" }).spawn();
    this.#collected = this.#collect();
  }

  async #collect(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.said.push(...lines);
    }
  }

  count(word: string): number {
    return this.said.filter((said) => said === word).length;
  }

  async says(word: string): Promise<void> {
    await eventually(`the program says ${word}`, () => this.said, (said) => said.includes(word), 10_000);
  }

  send(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose]() {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#collected;
  }
}

Deno.test("a signal at any moment of an exec is heard once, by the program before or by the one after", async () => {
  const random = createRandom(SEED);
  await using heir = new Heir(String(PROGRAMS), BLIND_MS);
  await heir.says("begin");
  let sent = 0;
  for (; !heir.said.includes("end"); sent++) {
    await delay(random.below(20));
    const name = NAMES[sent % NAMES.length]!;
    const before = heir.count(name);
    heir.send(name);
    await eventually(
      `signal ${sent} (${name}), seed ${SEED}`,
      () => heir.count(name),
      (count) => count > before,
      10_000,
    );
    assertEquals(heir.count(name), before + 1);
  }
  await delay(50);
  assertEquals(heir.said.length, sent + 2, "one was heard twice");
  assert(sent >= PROGRAMS / 2, `${sent} signals`);
});

Deno.test("keepSignalsForNext() gives back what came when nothing comes of it, each signal once", async () => {
  await using heir = new Heir("1", "300", "stays");
  await heir.says("kept");
  for (const name of ["SIGHUP", "SIGTERM", "SIGTERM"] as const) heir.send(name);
  await heir.says("end");
  await eventually("both", () => heir.count("SIGHUP") + heir.count("SIGTERM"), (count) => count === 2);
  // It listens as before: nothing stays ignored.
  for (const name of NAMES) {
    const before = heir.count(name);
    heir.send(name);
    await eventually(name, () => heir.count(name), (count) => count === before + 1);
  }
  await delay(50);
  assertEquals(heir.said.length, 3 + 2 + NAMES.length);
});
