// Sockets that a service manager opened before main was started, and keeps open when main ends (sd_listen_fds(3)): descriptors
// from 3 on, with names. Who connects while main is not there waits in them, and the next main answers.
//
// A listener takes the socket that has its name, or the one that is bound to its address. There is one socket for all workers,
// and it is not ours alone: it is never turned away from, and what waits in it when we leave is for whoever comes next.

import type { Log } from "../observe/log.ts";
import { takeInherited } from "../sys/fds.ts";
import { inspectListener, isSameAddress } from "../sys/listen.ts";
import { ChangeRefused } from "./errors.ts";
import type { Listeners } from "./listeners.ts";

const FIRST_FD = 3;
/** What sd_listen_fds(3) calls a descriptor to which nobody gave a name. */
const NO_NAME = "unknown";

export interface ActivatedSocket {
  fd: number;
  name: string;
  /** What it is bound to. */
  address: string;
  /** Why no listener can take it; "" if one can. */
  fault: string;
}

/**
 * The sockets that were passed to this process, which are nobody else's from now on: the variables that tell of them are
 * gone, and no child gets them. Throws when the variables do not make sense.
 */
export function takeActivated(): ActivatedSocket[] {
  const [pid, count = "", names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map((name) => {
    const value = Deno.env.get(name);
    Deno.env.delete(name);
    return value;
  });
  if (pid !== String(Deno.pid)) return [];
  if (!/^\d{1,5}$/.test(count)) throw new Error(`LISTEN_FDS: expected a number of descriptors, got "${count}"`);
  const named = names?.split(":") ?? Array<string>(Number(count)).fill(NO_NAME);
  if (named.length !== Number(count)) {
    throw new Error(`LISTEN_FDNAMES: expected ${count} names with ":" between them, got "${names ?? ""}"`);
  }
  return named.map((name, at) => takeOne(FIRST_FD + at, name));
}

function takeOne(fd: number, name: string): ActivatedSocket {
  // Descriptors of the runtime's own are open under such numbers, too.
  if (!takeInherited(fd)) throw new Error(`LISTEN_FDS: descriptor ${fd} ("${name}") was not passed to this process`);
  return { fd, name, ...inspectListener(fd) };
}

/**
 * The one of `sockets` that is meant for a listener; undefined if there is none. `names` are those of all listeners. Throws
 * ChangeRefused when one has the listener's name and cannot be listened on.
 */
export function activatedFor(
  sockets: readonly ActivatedSocket[],
  name: string,
  address: string,
  names: ReadonlySet<string>,
): ActivatedSocket | undefined {
  const isBound = (socket: ActivatedSocket) => socket.fault === "" && isSameAddress(socket.address, address);
  const named = sockets.filter((socket) => socket.name === name);
  if (named.length === 0) return sockets.find((socket) => isBound(socket) && !names.has(socket.name));
  const fitting = named.filter((socket) => faultFor(socket, address) === "");
  const bound = fitting.find(isBound);
  if (bound || fitting.length === 1) return bound ?? fitting[0];
  throw new ChangeRefused(
    `listener ${name}`,
    fitting.length === 0 ? unfit(named[0]!, address) : unclear(fitting, address),
  );
}

function isV6(address: string): boolean {
  return address.startsWith("[");
}

function faultFor({ fault, address: bound }: ActivatedSocket, address: string): string {
  if (fault !== "" || isV6(bound) === isV6(address)) return fault;
  return isV6(bound) ? "it is an IPv6 socket" : "it is an IPv4 socket";
}

function unfit(socket: ActivatedSocket, address: string): string {
  const family = isV6(address) ? "IPv6" : "IPv4";
  return `${describeActivated(socket)} of the service manager cannot be listened on: ${faultFor(socket, address)}; ` +
    `expected a listening ${family} TCP socket, as for ${address}`;
}

function unclear(sockets: readonly ActivatedSocket[], address: string): string {
  const all = sockets.map(describeActivated).join(" and ");
  return `which of ${all} of the service manager is meant? They have one name, and none is bound to ${address}`;
}

/** `descriptor 3 ("web", 0.0.0.0:80)`. */
export function describeActivated({ fd, name, address }: ActivatedSocket): string {
  return `descriptor ${fd} (${JSON.stringify(name)}${address && `, ${address}`})`;
}

/** At the first start: where we listen instead of where the configuration says, and what we have no use for. */
export function sayActivated(listeners: Listeners, log: Log): void {
  for (const { name, configured, address, activated } of listeners.all()) {
    if (!activated) continue;
    const instead = address === configured ? {} : { instead_of: configured };
    const { fd: descriptor } = activated;
    log.info("the socket is the service manager's", { listener: name, descriptor, address, ...instead });
  }
  for (const socket of listeners.closeUnused()) {
    log.warn("no listener has the name or the address of a socket of the service manager: it is closed", {
      socket: describeActivated(socket),
    });
  }
}
