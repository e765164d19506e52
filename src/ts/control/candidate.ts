// The program that is to take main's place, tried before: it is run as a child, given the state that is served, and has to
// say that it can serve it, which it finds out by starting a worker of its own with it. Both ends are here.
//
//   main ── {"check": true} and a memfd with the state ──▶ candidate ── {"ok": true, "version"} or {"ok": false, "reason"} ──▶ main

import { closeFd } from "../sys/fds.ts";
import { LineSocket } from "../sys/line_socket.ts";
import { Poller } from "../sys/poll.ts";
import {
  CHILD_FD,
  type Command,
  describeExit,
  openPidFd,
  reap,
  sendSignal,
  SIGKILL,
  spawnConnected,
} from "../sys/process.ts";
import { credentialsOf } from "./credentials_at_start.ts";
import { type HandedState, readHandover, writeHandover } from "./handover.ts";
import { selfCommand, workerEnvironment } from "./self.ts";
import { readyLimitMs, Serving } from "./serving.ts";
import { VERSION } from "./version.ts";
import { WorkerProcess } from "./worker_process.ts";

const LINE_BYTES_MAX = 64 * 1024;
/** What the program itself may take, beside what its worker may. */
const READING_LIMIT_MS = 2_000;

interface CheckAnswer {
  ok: boolean;
  version: string;
  reason?: string;
}

/** Gives the version of a program that can serve the state; throws with the reason when it cannot, or says nothing. */
export async function checkCandidate(
  poller: Poller,
  command: Command,
  state: HandedState,
  limitMs = readyLimitMs(state.state) + READING_LIMIT_MS,
): Promise<string> {
  const memfd = writeHandover(state);
  try {
    const answer = await askCandidate(poller, command, memfd, limitMs);
    if (!answer.ok) throw new Error(`${command.path} (version ${answer.version}) cannot take over: ${answer.reason}`);
    return answer.version;
  } finally {
    closeFd(memfd);
  }
}

async function askCandidate(poller: Poller, command: Command, memfd: number, limitMs: number): Promise<CheckAnswer> {
  const { pid, fd } = spawnConnected(command, workerEnvironment());
  const channel = new LineSocket(fd, LINE_BYTES_MAX, LINE_BYTES_MAX);
  const { promise, resolve, reject } = Promise.withResolvers<CheckAnswer>();
  const ended = Promise.withResolvers<void>();
  const pidFd = openPidFd(pid);
  const read = () => {
    try {
      if (channel.receive((line) => resolve(answerIn(line, command)))) return;
    } catch (error) {
      reject(new Error(`${command.path} answers with something else than expected: ${(error as Error).message}`));
    }
    poller.remove(fd);
  };
  poller.add(fd, read);
  poller.add(pidFd, () => {
    const status = reap(pid);
    if (status === undefined) return;
    read();
    reject(new Error(`${command.path} ended (${describeExit(status)}) before it said whether it can take over`));
    poller.remove(pidFd);
    ended.resolve();
  });
  const late = () => reject(new Error(`${command.path} did not say within ${limitMs} ms whether it can take over`));
  const timer = setTimeout(late, limitMs);
  channel.send({ check: true }, [memfd]);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    // With what it has started: it has a process group of its own.
    sendSignal(-pid, SIGKILL);
    await ended.promise;
    poller.remove(fd);
    channel.close();
    closeFd(pidFd);
  }
}

function answerIn(line: unknown, { path }: Command): CheckAnswer {
  const answer = line as Partial<CheckAnswer> | null;
  if (typeof answer?.ok === "boolean" && typeof answer.version === "string") return answer as CheckAnswer;
  throw new Error(`${path}: expected ok and version, got ${JSON.stringify(line).slice(0, 100)}`);
}

/** The candidate's side: answers the question that comes on CHILD_FD, and comes back when it has. */
export async function answerCheck(): Promise<void> {
  const poller = new Poller();
  const channel = new LineSocket(CHILD_FD, LINE_BYTES_MAX, LINE_BYTES_MAX);
  const asked = Promise.withResolvers<number | undefined>();
  poller.add(channel.fd, () => {
    const open = channel.receive(() => asked.resolve(channel.takeFds(1)[0]));
    if (!open) asked.resolve(undefined);
  });
  const memfd = await asked.promise;
  if (memfd === undefined) return;
  try {
    await tryToServe(poller, memfd);
    channel.send({ ok: true, version: VERSION } satisfies CheckAnswer);
  } catch (error) {
    channel.send({ ok: false, version: VERSION, reason: (error as Error).message } satisfies CheckAnswer);
  }
  await poller.close();
}

async function tryToServe(poller: Poller, memfd: number): Promise<void> {
  const { revision, resolved, ...handed } = readHandover(memfd);
  const { state, credentials } = await credentialsOf(handed.state, { warn: () => {} }, handed.credentials);
  const command = (fd: number) => selfCommand(["worker", String(fd)]);
  const worker = WorkerProcess.launch(poller, command, () => {});
  try {
    const serving = Serving.first(revision, { ...state, access_log: null }, resolved, credentials);
    const { snapshot, certificates } = serving;
    const order = { slot: 0, snapshot, certificates, revision, accessLog: undefined, listeners: [] };
    await worker.start(order, readyLimitMs(state));
  } catch (error) {
    throw new Error(`its worker does not start: ${(error as Error).message}`);
  } finally {
    worker.kill();
    await worker.ended;
  }
}
