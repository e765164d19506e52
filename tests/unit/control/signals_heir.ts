// A program that puts itself in its own place as often as its first argument says, and stands still each time for as many
// milliseconds as the second says, when it has looked for signals the last time. It says what it hears.

import { keepSignalsForNext, listenToSignals } from "../../../src/ts/control/signals.ts";
import { replaceProgram } from "../../../src/ts/sys/exec.ts";
import { keptSignals } from "../../../src/ts/sys/signals.ts";

const [times = 0, blindMs = 0] = Deno.args.map(Number);
const role = Deno.args[2];
const kept = role === "heir" ? keptSignals() : undefined;
const say = (word: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${word}\n`));
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** As with a large state that is written. */
function standStill(): void {
  const until = performance.now() + blindMs;
  while (performance.now() < until);
}

function becomeHeir(): never {
  const args = ["run", "-A", "--no-check", Deno.mainModule, String(times - 1), String(blindMs), "heir"];
  replaceProgram({ path: Deno.execPath(), args: [Deno.execPath(), ...args] }, Deno.env.toObject(), []);
}

const names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
listenToSignals(Object.fromEntries(names.map((name) => [name, () => say(name)])), kept);
if (kept === undefined) say("begin");
await delay(5);
if (times > 0) {
  const release = await keepSignalsForNext();
  if (role === "stays") say("kept");
  standStill();
  if (role !== "stays") becomeHeir();
  release();
}
say("end");
await delay(30_000);
