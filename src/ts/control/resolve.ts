// Names of backends → addresses, by the resolver of the host, all names at once. Workers get addresses only: they can open
// no file and ask no resolver. What is an address already is not in the result: it stands for itself.

import type { State } from "../config/mod.ts";
import { formatEndpoint } from "../sys/listen.ts";

/** `name:port` → addresses with that port. */
export type Resolved = Record<string, string[]>;
/** Name → IP addresses; rejects when there is none. */
export type Lookup = (name: string) => Promise<string[]>;

const LOOKUP_TIMEOUT_MS = 5_000;

/** A state spells addresses in one way only: what looks like one is one. */
const ADDRESS = /^(?:unix:|\[|\d+\.\d+\.\d+\.\d+:\d+$)/;

/**
 * The addresses of every name among the backends of some clusters. A name that does not resolve keeps its addresses of
 * `known`, with a warning; without such addresses it is an error that names all of them.
 */
export async function resolveBackends(
  clusters: Iterable<State["clusters"][string]>,
  known: Readonly<Resolved>,
  warn: (text: string) => void,
  lookup: Lookup = lookupByHost,
): Promise<Resolved> {
  const names = namesOf(clusters);
  const resolved: Resolved = {};
  const failures: string[] = [];
  await Promise.all([...names].map(async (address) => {
    try {
      resolved[address] = await resolveOne(address, lookup);
    } catch (error) {
      const reason = `backend ${address} does not resolve: ${(error as Error).message}`;
      const last = known[address];
      if (last === undefined) return void failures.push(reason);
      resolved[address] = last;
      warn(`${reason}; keeping ${last.join(", ")}`);
    }
  }));
  if (failures.length > 0) throw new Error(failures.sort().join("\n"));
  return resolved;
}

/** The backends that are given by name, as the state has them. */
export function namesOf(clusters: Iterable<State["clusters"][string]>): Set<string> {
  const names = new Set<string>();
  for (const { backends } of clusters) {
    for (const { address } of backends) if (!ADDRESS.test(address)) names.add(address);
  }
  return names;
}

async function resolveOne(address: string, lookup: Lookup): Promise<string[]> {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LOOKUP_TIMEOUT_MS} ms`)), LOOKUP_TIMEOUT_MS);
  });
  try {
    const ips = await Promise.race([lookup(address.slice(0, colon)), limit]);
    return [...new Set(ips)].sort().map((ip) => formatEndpoint({ ip, port }));
  } finally {
    clearTimeout(timer);
  }
}

/** getaddrinfo(3): hosts file, DNS, whatever the host is set up for. Loaded only when there is a name to look up. */
async function lookupByHost(name: string): Promise<string[]> {
  const { lookup } = await import("node:dns/promises");
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
