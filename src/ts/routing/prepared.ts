// A change that is made ready beside what is in force: the records that are new, the words that will point at them, and
// what is then of no use any more. Nothing that a lookup can see has changed until it is committed; one that is discarded
// leaves no trace.

import type { RouteChange } from "./edits.ts";
import { copySlots, eraseSlot, insertSlot, nextSlotCount, SlotTable, type SlotWords } from "./slots.ts";
import type { Tables } from "./tables.ts";

/** The table of the hosts has room for twice as many: a name that is not in its first slot costs a misprediction. */
const HOST_ROOM = 2;

/** A host as its table has it. */
interface HostEntry {
  key: number;
  record: number;
}

export class PreparedChange implements SlotWords {
  /** Words of records in force that change, by place. */
  private readonly patches = new Map<number, number>();
  /** Records, each with its number of words. */
  private readonly reserved: number[] = [];
  private readonly released: number[] = [];
  /** Numbers of conditions and expressions that have been acquired, and those to release. */
  private readonly conditions = { acquired: [] as number[], released: [] as number[] };
  private readonly regexes = { acquired: [] as number[], released: [] as number[] };
  /** Paths that a host has got, and that one will not have any more. */
  private readonly paths = { acquired: [] as number[], released: [] as number[] };
  private readonly hostsAdded: HostEntry[] = [];
  private readonly hostsRemoved: HostEntry[] = [];
  /** The table of the hosts as it will be, if it gets another size. */
  private hosts: SlotTable | null = null;
  private anyHost: number;
  /** By how much the counts of the tables change. */
  private readonly depths: number[] = [];
  private readonly wildcards: number[] = [];

  constructor(private readonly changes: readonly RouteChange[], private readonly tables: Tables) {
    this.anyHost = tables.anyHost;
  }

  // ---- what the builders note ----

  /** A word of the records as it will be. */
  get(at: number): number {
    return this.patches.get(at) ?? this.tables.arena.words[at]!;
  }

  set(at: number, value: number): void {
    this.patches.set(at, value);
  }

  /** A new record. */
  reserve(count: number): number {
    const record = this.tables.arena.reserve(count);
    this.reserved.push(record, count);
    return record;
  }

  /** A record that is of no use after the commit. */
  release(record: number, count: number): void {
    this.released.push(record, count);
  }

  /** A candidate that is new. */
  acquire(condition: number, regex: number): void {
    if (condition !== 0) this.conditions.acquired.push(condition);
    if (regex !== 0) this.regexes.acquired.push(regex);
  }

  /** A candidate that goes. */
  drop(condition: number, regex: number): void {
    if (condition !== 0) this.conditions.released.push(condition);
    if (regex !== 0) this.regexes.released.push(regex);
  }

  /** A path that a host gets; gives its record. */
  acquirePath(path: string): number {
    const record = this.tables.paths.acquire(path);
    this.paths.acquired.push(record);
    return record;
  }

  /** A path that a host has no more. */
  dropPath(record: number): void {
    this.paths.released.push(record);
  }

  addHost(key: number, record: number, wildcardLabels: number): void {
    this.hostsAdded.push({ key, record });
    if (wildcardLabels > 0) addTo(this.wildcards, Math.min(wildcardLabels, 31), 1);
  }

  removeHost(key: number, record: number, wildcardLabels: number): void {
    this.hostsRemoved.push({ key, record });
    if (wildcardLabels > 0) addTo(this.wildcards, Math.min(wildcardLabels, 31), -1);
  }

  setAnyHost(host: number): void {
    this.anyHost = host;
  }

  countPath(depth: number, by: 1 | -1): void {
    addTo(this.depths, depth, by);
  }

  // ---- the end ----

  /** Gives the tables of hosts and paths another size if they need one, which is too much for the commit. */
  settle(): void {
    const { tables: { hosts, hostCount, paths }, hostsAdded, hostsRemoved } = this;
    paths.fit(paths.count);
    const count = hostCount + hostsAdded.length - hostsRemoved.length;
    const slots = nextSlotCount(HOST_ROOM * count, hosts.mask + 1);
    if (slots === hosts.mask + 1) return;
    const resized = new SlotTable(slots);
    const removed = new Set(hostsRemoved.map(({ record }) => record));
    copySlots(hosts, 0, hosts.mask, removed, resized, 0, resized.mask);
    for (const { key, record } of hostsAdded) insertSlot(resized, 0, resized.mask, key, record);
    this.hosts = resized;
  }

  /** Puts the change into force: some words for each host and path that it names. */
  commit(): void {
    const { tables } = this;
    this.commitHosts();
    for (const [at, value] of this.patches) tables.arena.patch(at, value);
    for (const { id, rule } of this.changes) tables.rules.set(id, rule);
    this.commitDepths();
    this.giveBack("released", this.released);
  }

  private commitHosts(): void {
    const { tables, hostsAdded, hostsRemoved } = this;
    if (this.hosts) tables.hosts = this.hosts;
    else {
      const { hosts } = tables;
      for (const { key, record } of hostsRemoved) eraseSlot(hosts, 0, hosts.mask, key, record);
      for (const { key, record } of hostsAdded) insertSlot(hosts, 0, hosts.mask, key, record);
    }
    tables.hostCount += hostsAdded.length - hostsRemoved.length;
    tables.anyHost = this.anyHost;
  }

  private commitDepths(): void {
    const { depths, wildcards } = this.tables;
    this.depths.forEach((by, depth) => addTo(depths, depth, by));
    while (depths.length > 1 && depths.at(-1) === 0) depths.pop();
    this.wildcards.forEach((by, labels) => wildcards[labels]! += by);
    this.tables.wildcardDepths = wildcards.reduce((set, number, labels) => number > 0 ? set | (1 << labels) : set, 0);
  }

  /** Gives back what has been made ready. */
  discard(): void {
    this.giveBack("acquired", this.reserved);
  }

  private giveBack(kind: "acquired" | "released", records: readonly number[]): void {
    const { tables } = this;
    for (let i = 0; i < records.length; i += 2) tables.arena.release(records[i]!, records[i + 1]!);
    for (const path of this.paths[kind]) tables.paths.release(path);
    for (const condition of this.conditions[kind]) tables.conditions.release(condition);
    for (const regex of this.regexes[kind]) tables.regexes.release(regex);
  }
}

/** Adds to a number of a list, which is as long as it has to be. */
function addTo(counts: number[], at: number, by: number): void {
  while (counts.length <= at) counts.push(0);
  counts[at]! += by;
}
