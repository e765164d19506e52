// The signals of main: who listens to them, and how none is lost while another program takes main's place (sys/signals.ts has
// what the system does).

import { turn } from "./waiting.ts";

export type SignalActions = Partial<Record<Deno.Signal, () => void>>;

/** Has a number above those of main's signals, and nobody else minds it. */
const PROBE = "SIGURG";
/** Some thousand times what it takes. */
const HEARD_LIMIT_MS = 1_000;

/** Gives the function that stops listening. `kept` has the signals that came before, if this program takes another one's place. */
export function listenToSignals(actions: SignalActions, kept: readonly number[] | undefined): () => void {
  const all = Object.entries(actions) as [Deno.Signal, () => void][];
  for (const [signal, action] of all) Deno.addSignalListener(signal, action);
  // The program that left held them back until somebody listens.
  if (kept) void import("../sys/signals.ts").then(({ takeSignals }) => takeSignals(kept));
  return () => all.forEach(([signal, action]) => Deno.removeSignalListener(signal, action));
}

/**
 * Keeps what comes from now on for the next program; comes back when what came before has been heard, with the function that
 * has everything heard here again.
 */
export async function keepSignalsForNext(): Promise<() => void> {
  const { keepSignals } = await import("../sys/signals.ts");
  const release = keepSignals();
  const { sendSignal, SIGURG } = await import("../sys/process.ts");
  // The runtime looks at those that came in the order of their numbers, and may be in the middle of it the first time.
  for (let time = 0; time < 2; time++) await heard(PROBE, () => sendSignal(Deno.pid, SIGURG));
  // Who was told at the same time acts in this turn of the loop.
  await turn();
  return release;
}

async function heard(signal: Deno.Signal, send: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, HEARD_LIMIT_MS);
  const listener = () => resolve();
  Deno.addSignalListener(signal, listener);
  send();
  await promise;
  Deno.removeSignalListener(signal, listener);
  clearTimeout(timer);
}
