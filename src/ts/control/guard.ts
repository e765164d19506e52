// What stands by while one program takes another one's place: a process of the program that leaves, with descriptors of
// everything that is handed over. If the new main ends, or still does not serve after a time, the guard ends it and goes on in
// its stead, as the old program under a new process number: nothing that anybody waits in has been closed.
//
//   main ── {"main": pid, "fds": […]} + descriptors ──▶ guard      new main ── {"done": true} ──▶ guard, which exits

import { closeFd } from "../sys/fds.ts";
import { LineSocket } from "../sys/line_socket.ts";
import { Poller } from "../sys/poll.ts";
import { CHILD_FD, openPidFd, reap, sendSignal, SIGKILL, spawnConnected } from "../sys/process.ts";
import { handedFds, type Handover, readHandover } from "./handover.ts";
import { guardEnvironment, selfCommand } from "./self.ts";

const LINE_BYTES_MAX = 64 * 1024;
const READY_LIMIT_MS = 5_000;
/** Longer than a new main tries by itself. */
const TAKEOVER_LIMIT_MS = 45_000;
const STDOUT = 1;

/** A guard as main hands it over. */
export interface HandedGuard {
  pid: number;
  channel: number;
}

/** Main's side. */
export class Guard {
  private constructor(private readonly poller: Poller, readonly pid: number, private readonly channel: LineSocket) {}

  /** Starts one; comes back when it stands by. Throws when it does not. */
  static async start(poller: Poller): Promise<Guard> {
    const { pid, fd } = spawnConnected(selfCommand(["guard"]), guardEnvironment());
    const guard = Guard.adopt(poller, { pid, channel: fd });
    try {
      await guard.#ready();
      return guard;
    } catch (error) {
      guard.dismiss();
      throw error;
    }
  }

  static adopt(poller: Poller, { pid, channel }: HandedGuard): Guard {
    return new Guard(poller, pid, new LineSocket(channel, LINE_BYTES_MAX, LINE_BYTES_MAX));
  }

  async #ready(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`the guard of the upgrade is not ready`)), READY_LIMIT_MS);
    this.poller.add(this.channel.fd, () => {
      if (!this.channel.receive(() => resolve())) reject(new Error("the guard of the upgrade ended"));
    });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.poller.remove(this.channel.fd);
    }
  }

  /** Gives it what is handed over. From now on it watches this process. */
  arm(memfd: number, handed: Pick<Handover, "back" | "supervisor" | "server">): void {
    const fds = guardedFds(handed);
    const sent = this.channel.send({ main: Deno.pid, fds }, [memfd, ...fds]);
    if (!sent || this.channel.queuedBytes > 0) {
      throw new Error("the guard of the upgrade does not take what it is given");
    }
  }

  get handed(): HandedGuard {
    return { pid: this.pid, channel: this.channel.fd };
  }

  /** It is not needed any more. */
  dismiss(): void {
    const { poller, pid, channel } = this;
    channel.send({ done: true });
    sendSignal(pid, SIGKILL);
    const pidFd = openPidFd(pid);
    poller.add(pidFd, () => {
      reap(pid);
      poller.remove(pidFd);
      closeFd(pidFd);
    });
    channel.close();
  }
}

/** What is watched over: also standard output, if the access log goes there. */
function guardedFds(handed: Pick<Handover, "back" | "supervisor" | "server">): number[] {
  return handed.supervisor.accessLog === STDOUT ? [...handedFds(handed), STDOUT] : handedFds(handed);
}

/** What a guard goes on with. */
export interface Rescue {
  handed: Handover;
  memfd: number;
  failure: string;
}

/** The guard's side: comes back with what to go on with, or with nothing when it is not needed. */
export async function standBy(): Promise<Rescue | undefined> {
  const poller = new Poller();
  const channel = new LineSocket(CHILD_FD, LINE_BYTES_MAX, LINE_BYTES_MAX);
  const watched = Promise.withResolvers<string>();
  let given: { main: number; fds: number[]; copies: number[] } | undefined;
  poller.add(channel.fd, () => {
    const open = channel.receive((line) => {
      const { main, fds } = line as { main?: number; fds?: number[] };
      if (main === undefined || fds === undefined) return watched.resolve("");
      given = { main, fds, copies: channel.takeFds(fds.length + 1) };
      setTimeout(() => watched.resolve(`it did not serve after ${TAKEOVER_LIMIT_MS} ms`), TAKEOVER_LIMIT_MS);
    });
    if (!open) watched.resolve("it ended");
  });
  channel.send({ ready: true });
  const failure = await watched.promise;
  await poller.close();
  channel.close();
  if (given === undefined || failure === "") return undefined;
  sendSignal(given.main, SIGKILL);
  const [memfd, ...copies] = given.copies;
  const numbers = new Map(given.fds.map((fd, index) => [fd, copies[index]!]));
  return { handed: renumbered(readHandover(memfd!), numbers), memfd: memfd!, failure };
}

/** The same with other descriptors. */
function renumbered(handed: Handover, numbers: ReadonlyMap<number, number>): Handover {
  const of = (fd: number) => numbers.get(fd)!;
  const worker = <W extends Handover["supervisor"]["draining"][number]>(worker: W): W => ({
    ...worker,
    channel: of(worker.channel),
    holds: worker.holds.map(([fd, name]) => [of(fd), name]),
  });
  const { back, supervisor, server } = handed;
  return {
    ...handed,
    back: { ...back, program: of(back.program) },
    supervisor: {
      ...supervisor,
      slots: supervisor.slots.map((slot) => ({ ...slot, worker: slot.worker && worker(slot.worker) })),
      draining: supervisor.draining.map(worker),
      listeners: supervisor.listeners.map((listening) => ({
        ...listening,
        seats: listening.seats.map(of),
        activated: listening.activated && { ...listening.activated, fd: of(listening.activated.fd) },
      })),
      activated: supervisor.activated.map((socket) => ({ ...socket, fd: of(socket.fd) })),
      accessLog: supervisor.accessLog === null ? null : of(supervisor.accessLog),
    },
    server: {
      listener: of(server.listener),
      clients: server.clients.map((client) => ({ ...client, fd: of(client.fd) })),
    },
  };
}
