// What one main leaves to the program that takes its place: the state with its history, the sockets, the workers and the
// clients of the control socket, as JSON in a memfd; descriptors keep their numbers. The program may be of another version,
// so objects are in the form of the configuration file, which every version reads, and what is not in it has a format number.

import { checkState } from "../config/check_state.ts";
import { toFile } from "../config/file_form.ts";
import { formatErrors } from "../config/problem.ts";
import type { State } from "../config/state.ts";
import { closeFd, memoryFile, readWhole } from "../sys/fds.ts";
import type { Command } from "../sys/process.ts";
import type { HandedGuard } from "./guard.ts";
import type { HandedCredentials } from "./credentials.ts";
import type { LogLevel } from "../observe/log.ts";
import type { Resolved } from "./resolve.ts";
import type { HandedServer } from "./server.ts";
import type { HandedSupervisor } from "./supervisor.ts";
import type { HandedTransactions } from "./transactions.ts";
import { VERSION } from "./version.ts";

/** Goes up when a version could misread what another one wrote. */
const FORMAT = 1;

/** What is served. */
export interface HandedState {
  revision: number;
  state: State;
  resolved: Resolved;
  credentials: HandedCredentials;
}

/** How to come back to the program that left. */
export interface WayBack {
  /** Descriptor of its file. */
  program: number;
  command: Command;
  /** Where its file was. */
  path: string;
}

export interface Handover extends HandedState {
  version: string;
  beganAtMs: number;
  source: string;
  socket: string;
  /** Address of the demonstration's backend; "" if it is not the demonstration. It goes with main, and comes again. */
  demo: string;
  loadedAtMs: number;
  /** How often this has happened before. */
  upgrades: number;
  logLevel: LogLevel;
  back: WayBack;
  /** Who stands by; null: this program is the one that left, or its guard. */
  guard: HandedGuard | null;
  transactions: HandedTransactions;
  supervisor: HandedSupervisor;
  server: HandedServer;
}

/** A memfd with what is handed over, CLOEXEC. O(size of the state). */
export function writeHandover(handed: HandedState | Omit<Handover, "version">): number {
  const content = { ...handed, format: FORMAT, version: VERSION, state: toFile(handed.state) };
  return memoryFile("kakehi-handover", new TextEncoder().encode(JSON.stringify(content)));
}

/** Reads it again; the descriptor stays open. Throws with the reason when this version cannot. */
export function readHandover(fd: number): Handover {
  const content = JSON.parse(new TextDecoder().decode(readWhole(fd)));
  const { format, version, state } = content;
  if (format !== FORMAT) {
    throw new Error(`version ${version} hands over in format ${format}, and version ${VERSION} reads ${FORMAT}`);
  }
  const loaded = checkState(state, "the state that is served");
  if (!loaded.state) throw new Error(`version ${VERSION} cannot read the state: ${formatErrors(loaded.errors)}`);
  return { ...content, state: loaded.state };
}

/** All descriptors that are handed over under their numbers, without the memfd. */
export function handedFds({ back, supervisor, server }: Pick<Handover, "back" | "supervisor" | "server">): number[] {
  const { slots, draining, listeners, activated, accessLog } = supervisor;
  const workers = [...slots.flatMap(({ worker }) => worker ?? []), ...draining];
  const fds = [
    back.program,
    ...listeners.flatMap(({ seats }) => seats),
    ...activated.map(({ fd }) => fd),
    ...workers.map(({ channel }) => channel),
    ...(accessLog !== null && accessLog > 2 ? [accessLog] : []),
    server.listener,
    ...server.clients.map((client) => client.fd),
  ];
  return [...new Set(fds)];
}

/** Closes what only the way back needed. */
export function closeWayBack(memfd: number, { program }: WayBack): void {
  closeFd(memfd);
  closeFd(program);
}
