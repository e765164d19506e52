// The signals of main on their way from one program to the next in the same process (execve). While the new program is not
// there yet they are blocked, and wait. But what came shortly before is lost in two ways: a handler of the runtime only
// notes that a signal came, in memory that is gone with the call, and blocking holds for one thread of several, of which
// any may be given a signal. What outlasts the call is how the process treats a signal. So before main looks for the last
// time what has come, each of its signals gets a handler that has it ignored from then on: `sigignore` itself, a function of
// the C library, because nothing of ours may run in a handler. A signal that is ignored afterwards has come, and the next
// program, or this one if nothing comes of it, sends it to itself again.
//
//   noted by the runtime ──keepSignals──▶ sigignore ──a signal──▶ ignored ──▶ keptSignals
//
// What is still lost is a signal that a thread has been given, and whose handler has not run yet (some microseconds).

import { libcAddressOf, rareCalls } from "./rare_calls.ts";
import { sendSignal, SIGNALS_OF_MAIN, signalSet } from "./process.ts";

const libc = rareCalls("libc.so.6", {
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  pthread_sigmask: { parameters: ["i32", "buffer", "usize"], result: "i32" },
});

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIG_IGN = 1n;
const SA_RESTART = 0x10000000;
/** struct sigaction of glibc: handler, set of signals, flags, restorer. */
const ACTION_BYTES = 152;
const SET_AT = 8;
const FLAGS_AT = 136;
/** By then a handler that had begun has ended. */
const STRAGGLER_MS = 10;

type Action = Uint8Array<ArrayBuffer>;

/** Holds back the signals that are meant for main, on the thread of the caller; or lets those that came meanwhile through. */
export function holdSignalsOfMain(held: boolean): void {
  libc.pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, signalSet(SIGNALS_OF_MAIN), 0n);
}

/** From now on the signals of main are kept for the next program; the function that comes back hears them here again. */
export function keepSignals(): () => void {
  const sigignore = libcAddressOf("sigignore");
  const replaced = SIGNALS_OF_MAIN.flatMap((signal) => {
    const before = actionOf(signal);
    const handler = handlerOf(before);
    // It is kept already.
    if (handler === SIG_IGN || handler === sigignore) return [];
    libc.sigaction(signal, newAction(sigignore), null);
    return { signal, before };
  });
  return () => {
    for (const { signal, before } of replaced) giveBack(signal, before);
    setTimeout(() => {
      for (const { signal, before } of replaced) if (handlerOf(actionOf(signal)) === SIG_IGN) giveBack(signal, before);
    }, STRAGGLER_MS);
  };
}

/** Lets them through to those who listen by now, with what the program before has kept. */
export function takeSignals(kept: readonly number[]): void {
  for (const signal of kept) sendSignal(Deno.pid, signal);
  holdSignalsOfMain(false);
}

/** What the program before has kept. Once somebody listens to the signals it is not known any more. */
export function keptSignals(): number[] {
  return SIGNALS_OF_MAIN.filter((signal) => handlerOf(actionOf(signal)) === SIG_IGN);
}

function giveBack(signal: number, before: Action): void {
  const kept = new Uint8Array(ACTION_BYTES);
  libc.sigaction(signal, before, kept);
  if (handlerOf(kept) === SIG_IGN) sendSignal(Deno.pid, signal);
}

function actionOf(signal: number): Action {
  const action = new Uint8Array(ACTION_BYTES);
  libc.sigaction(signal, null, action);
  return action;
}

function newAction(handler: bigint): Action {
  const action = new Uint8Array(ACTION_BYTES);
  const view = new DataView(action.buffer);
  view.setBigUint64(0, handler, true);
  action.set(signalSet(SIGNALS_OF_MAIN), SET_AT);
  view.setInt32(FLAGS_AT, SA_RESTART, true);
  return action;
}

function handlerOf(action: Action): bigint {
  return new DataView(action.buffer).getBigUint64(0, true);
}
