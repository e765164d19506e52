// Main's listening sockets. Each listener has a number of seats, one socket each; slot s of n workers serves the seats whose
// number modulo n is s. Seats are only ever added: with fewer workers the remaining ones adopt the seats of the others, so
// that no socket closes while somebody waits in it.
//
// A change has three steps: `prepare` opens what is new (and is undone by `abandon`), `commit` makes it the set that serves,
// `retire` turns new connections away from what was removed and closes it when its queue is empty.

import type { ListenerState } from "../config/mod.ts";
import { closeFd } from "../sys/fds.ts";
import {
  isAddressInUse,
  joinListeners,
  listenAgain,
  openListeners,
  queuedConnections,
  sealListener,
} from "../sys/listen.ts";
import { ChangeRefused } from "./errors.ts";

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

  /** Opens what `listeners` has and the serving set has not. Throws, with nothing changed, when an address cannot be had. */
  prepare(listeners: Record<string, ListenerState>, seats: number): Preparation {
    const next = new Map<string, Listening>();
    const opened: Listening[] = [];
    const free = new Set(this.#serving.values());
    const take = (found: Listening | undefined) => (found && free.delete(found) ? found : undefined);
    // A listener that keeps its name has the first claim on its sockets, then one that was only renamed.
    for (const [name, { address, backlog }] of Object.entries(listeners)) {
      const same = this.#serving.get(name);
      if (same?.configured === address && take(same)) next.set(name, { ...same, backlog });
    }
    try {
      for (const [name, { address, backlog }] of Object.entries(listeners)) {
        if (next.has(name)) continue;
        const renamed = address.endsWith(":0") ? undefined : [...free].find((l) => l.configured === address);
        if (take(renamed)) {
          next.set(name, { ...renamed!, name, backlog });
          continue;
        }
        const { fds, address: real } = openNamed(name, address, seats, backlog);
        const listening = { name, configured: address, address: real, backlog, seats: fds };
        opened.push(listening);
        next.set(name, listening);
      }
    } catch (error) {
      opened.forEach(closeListening);
      throw error;
    }
    return { next, opened };
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
    for (const { address, backlog, seats: fds } of this.#serving.values()) {
      if (fds.length < seats) fds.push(...joinListeners(address, seats - fds.length, backlog));
    }
  }

  /**
   * Turns new connections away and comes back when nobody waits in the sockets any more (or a second has passed). The workers
   * must still be accepting. The sockets stay open: `close` them when the workers have let go.
   */
  async retire(removed: Iterable<Listening>): Promise<void> {
    const fds = [...removed].flatMap((l) => l.seats);
    if (fds.length === 0) return;
    fds.forEach(sealListener);
    await delay(HANDSHAKE_GRACE_MS);
    for (let waited = 0; waited < RETIRE_LIMIT_MS && fds.some((fd) => queuedConnections(fd) > 0); waited += POLL_MS) {
      await delay(POLL_MS);
    }
  }

  close(removed: Iterable<Listening>): void {
    for (const listening of removed) closeListening(listening);
  }

  /** The sockets that slot `slot` of `slots` serves, of the serving set or of one that is prepared. */
  ofSlot(slot: number, slots: number, set: Map<string, Listening> = this.#serving): NamedFd[] {
    return [...set.values()].flatMap(({ name, seats }) =>
      seats.filter((_, seat) => seat % slots === slot).map((fd) => ({ name, fd }))
    );
  }

  all(): Listening[] {
    return [...this.#serving.values()];
  }
}

function openNamed(name: string, address: string, seats: number, backlog: number) {
  try {
    return openListeners(address, seats, backlog);
  } catch (error) {
    const reason = isAddressInUse(error) ? `${address} is already in use by another process` : (error as Error).message;
    throw new ChangeRefused(`listener ${name}`, reason);
  }
}

function closeListening({ seats }: Listening): void {
  seats.forEach(closeFd);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
