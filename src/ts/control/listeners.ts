// Main's listening sockets. Each listener has a number of seats, one socket each; slot s of n workers serves the seats whose
// number modulo n is s. Seats are only ever added: with fewer workers the remaining ones adopt the seats of the others, so
// that no socket closes while somebody waits in it.
//
// A change has three steps: `prepare` opens what is new (and is undone by `abandon`), `commit` makes it the set that serves,
// `retire` turns new connections away from what was removed and closes it when its queue is empty.
//
// A socket that a service manager has opened (activation.ts) is the only seat of its listener, and every slot serves it. The
// service manager keeps it open: we never turn away from it, and after its listener is removed it waits for another one.

import type { ListenerState } from "../config/mod.ts";
import { closeFd } from "../sys/fds.ts";
import {
  adoptListener,
  isAddressInUse,
  joinListeners,
  listenAgain,
  openListeners,
  queuedConnections,
  sealListener,
} from "../sys/listen.ts";
import { activatedFor, type ActivatedSocket } from "./activation.ts";
import { ChangeRefused } from "./errors.ts";
import { delay } from "./waiting.ts";

/** How long a socket that was turned away from is watched for connections that still wait in it. */
const RETIRE_LIMIT_MS = 1_000;
/** A handshake that was under way when the door closed gets this long to complete. */
const HANDSHAKE_GRACE_MS = 50;
const POLL_MS = 10;

export interface Listening {
  name: string;
  /** As configured. */
  configured: string;
  /** With the real port. */
  address: string;
  backlog: number;
  seats: number[];
  /** The socket of a service manager that it listens on; null for sockets of our own. */
  activated: ActivatedSocket | null;
}

/** A set of listeners that is about to serve. */
export interface Preparation {
  next: Map<string, Listening>;
  opened: Listening[];
}

export interface NamedFd {
  name: string;
  fd: number;
}

export class Listeners {
  #serving = new Map<string, Listening>();
  /** Those of a service manager, whether a listener has them or not. */
  #activated: ActivatedSocket[];

  constructor(activated: readonly ActivatedSocket[] = []) {
    this.#activated = [...activated];
  }

  /** Opens what `listeners` has and the serving set has not. Throws, with nothing changed, when an address cannot be had. */
  prepare(listeners: Record<string, Pick<ListenerState, "address" | "backlog">>, seats: number): Preparation {
    const next = new Map<string, Listening>();
    const opened: Listening[] = [];
    const names = new Set(Object.keys(listeners));
    const free = new Set(this.#serving.values());
    // A listener that keeps its name has the first claim on its sockets, then one that was only renamed.
    for (const [name, { address, backlog }] of Object.entries(listeners)) {
      const same = this.#serving.get(name);
      if (same?.configured !== address) continue;
      next.set(name, { ...same, backlog });
      free.delete(same);
    }
    try {
      for (const [name, { address, backlog }] of Object.entries(listeners)) {
        if (next.has(name)) continue;
        const activated = activatedFor(this.#unused(next), name, address, names);
        const renamed = address.endsWith(":0") ? undefined : [...free].find((l) => l.configured === address);
        const listening = activated
          ? this.#listenOn(activated, name, address, backlog)
          : renamed
          ? { ...renamed, name, backlog }
          : openNamed(name, address, seats, backlog);
        if (!activated && !renamed) opened.push(listening);
        next.set(name, listening);
        for (const before of free) if (before.seats === listening.seats) free.delete(before);
      }
    } catch (error) {
      opened.forEach(closeListening);
      throw error;
    }
    return { next, opened };
  }

  /** Sockets of a service manager that no listener of a set has. */
  #unused(set: ReadonlyMap<string, Listening>): ActivatedSocket[] {
    const used = new Set([...set.values()].flatMap(({ activated }) => activated ? activated.fd : []));
    return this.#activated.filter(({ fd }) => !used.has(fd));
  }

  #listenOn(activated: ActivatedSocket, name: string, configured: string, backlog: number): Listening {
    const { fd, address } = activated;
    adoptListener(fd, backlog);
    const before = [...this.#serving.values()].find((listening) => listening.activated?.fd === fd);
    return { name, configured, address, backlog, seats: before?.seats ?? [fd], activated };
  }

  /** Closes the sockets of a service manager that no listener has, and gives what they were. */
  closeUnused(): ActivatedSocket[] {
    const unused = this.#unused(this.#serving);
    this.#activated = this.#activated.filter((activated) => !unused.includes(activated));
    unused.forEach(({ fd }) => closeFd(fd));
    return unused;
  }

  /** The names under which workers serve what is not in a preparation, or has another name in it. */
  leftBy({ next }: Preparation): string[] {
    return [...this.#serving.values()].filter((l) => next.get(l.name)?.seats !== l.seats).map(({ name }) => name);
  }

  /** Closes what a preparation opened and nobody has served yet. */
  abandon({ opened }: Preparation): void {
    opened.forEach(closeListening);
  }

  /** Makes a preparation the serving set; gives what is no longer in it, for `retire`. */
  commit({ next }: Preparation): Listening[] {
    const kept = new Set([...next.values()].map((l) => l.seats));
    const removed = [...this.#serving.values()].filter((l) => !kept.has(l.seats));
    for (const listening of next.values()) {
      const before = [...this.#serving.values()].find((l) => l.seats === listening.seats);
      if (before && before.backlog !== listening.backlog) {
        listening.seats.forEach((fd) => listenAgain(fd, listening.backlog));
      }
    }
    this.#serving = next;
    return removed;
  }

  /** Gives every listener at least `seats` sockets. */
  addSeats(seats: number): void {
    for (const { address, backlog, seats: fds, activated } of this.#serving.values()) {
      if (!activated && fds.length < seats) fds.push(...joinListeners(address, seats - fds.length, backlog));
    }
  }

  /**
   * Turns new connections away and comes back when nobody waits in the sockets any more (or a second has passed). The workers
   * must still be accepting. The sockets stay open: `close` them when the workers have let go.
   */
  async retire(removed: Iterable<Listening>): Promise<void> {
    const fds = [...removed].flatMap((l) => l.activated ? [] : l.seats);
    if (fds.length === 0) return;
    fds.forEach(sealListener);
    await delay(HANDSHAKE_GRACE_MS);
    for (let waited = 0; waited < RETIRE_LIMIT_MS && fds.some((fd) => queuedConnections(fd) > 0); waited += POLL_MS) {
      await delay(POLL_MS);
    }
  }

  /** Sockets of a service manager stay, for a listener that is added again. */
  close(removed: Iterable<Listening>): void {
    for (const listening of removed) if (!listening.activated) closeListening(listening);
  }

  /** The sockets that slot `slot` of `slots` serves, of the serving set or of one that is prepared. */
  ofSlot(slot: number, slots: number, set: Map<string, Listening> = this.#serving): NamedFd[] {
    return [...set.values()].flatMap(({ name, seats, activated }) =>
      seats.filter((_, seat) => activated || seat % slots === slot).map((fd) => ({ name, fd }))
    );
  }

  /** Takes over the sockets of another main. */
  adopt(serving: readonly Listening[], activated: readonly ActivatedSocket[]): void {
    this.#serving = new Map(serving.map((listening) => [listening.name, listening]));
    this.#activated = [...activated];
  }

  /** What a service manager has passed. */
  get activated(): readonly ActivatedSocket[] {
    return this.#activated;
  }

  all(): Listening[] {
    return [...this.#serving.values()];
  }
}

function openNamed(name: string, configured: string, count: number, backlog: number): Listening {
  try {
    const { fds: seats, address } = openListeners(configured, count, backlog);
    return { name, configured, address, backlog, seats, activated: null };
  } catch (error) {
    const taken = `${configured} is already in use by another process`;
    const reason = isAddressInUse(error) ? taken : (error as Error).message;
    throw new ChangeRefused(`listener ${name}`, reason);
  }
}

function closeListening({ seats }: Listening): void {
  seats.forEach(closeFd);
}
