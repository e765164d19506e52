// The rules in force as flat tables. What a lookup reads is a table of slots for the hosts and one array of records
// (arena.ts). The records of a host lie together when they are compiled together, so a lookup touches few lines of the
// cache: the slot of the host, its record, the slot of the path, its record.
//
// Records are 32-bit words; 0 is no record. A candidate is a pair of a rule's id and the number of its condition (0: none);
// candidates stand in the order in which they are tried. A slot is a pair of key and record (slots.ts).
//
//   host       [ name length · 2 + wildcard | exact depths | prefix depths | paths | slots − 1 | path count | any
//                | regexes | name… ]
//   paths      [ slots… ]
//   path       [ length | exact count | prefix count | exact candidates… | prefix candidates… | path… ]
//   list       [ count | candidates… ]                  (rules for any path)
//   regexes    [ count | id, condition, number of the expression … ]
//
// The depth of a path is its number of slashes. A host's depths are sets, bit 31 standing for 31 and more: they say
// which prefixes of a path are worth a probe. Each record is pointed at from one place.

import { Arena } from "./arena.ts";
import { conditionBytes, Conditions } from "./conditions.ts";
import { hashName, hashPath, isText, mix, nameKey, type RandomWords, textWords } from "./hash.ts";
import type { PathRegex } from "./path_regex.ts";
import { RuleList } from "./rule_list.ts";
import { Shared } from "./shared.ts";
import { SlotTable } from "./slots.ts";

export const HOST_EXACT_DEPTHS = 1;
export const HOST_PREFIX_DEPTHS = 2;
export const HOST_PATHS = 3;
export const HOST_PATH_MASK = 4;
export const HOST_PATH_COUNT = 5;
export const HOST_ANY = 6;
export const HOST_REGEXES = 7;
export const HOST_NAME = 8;
export const PATH_LENGTH = 0;
export const PATH_EXACT_COUNT = 1;
export const PATH_PREFIX_COUNT = 2;
export const PATH_CANDIDATES = 3;

/** Words of a candidate in a list, and in a list of expressions. */
export const CANDIDATE = 2;
export const REGEX_CANDIDATE = 3;

export class Tables {
  readonly arena: Arena;
  readonly rules = new RuleList();
  readonly conditions = new Conditions();
  readonly regexes = new Shared<PathRegex>();
  /** Secret words for the positions of a name, and of a path: one more than the longest had, and as many. */
  nameWeights: Int32Array;
  pathWeights: Int32Array;
  /** The hosts but any; how many there are. */
  hosts = new SlotTable(1);
  hostCount = 0;
  /** Record of the rules for any host. */
  anyHost = 0;
  /** Numbers of labels of the wildcards as a set like a host's depths, and how many wildcards have each. */
  wildcardDepths = 0;
  readonly wildcards: number[] = new Array(32).fill(0);
  /** How many paths have each depth; the last is of the deepest path of any host. */
  readonly depths: number[] = [0];

  constructor(private readonly random: RandomWords, capacity: number, regionBits?: number) {
    this.arena = new Arena(capacity, regionBits);
    this.nameWeights = random(1);
    this.pathWeights = random(1);
  }

  /** Makes sure that names and paths of these lengths can be hashed. What is hashed already stays as it is. */
  hashUpTo(nameLength: number, pathLength: number): void {
    this.nameWeights = this.extended(this.nameWeights, nameLength + 1);
    this.pathWeights = this.extended(this.pathWeights, pathLength + 1);
  }

  private extended(weights: Int32Array, length: number): Int32Array {
    if (length <= weights.length) return weights;
    const longer = new Int32Array(length);
    longer.set(weights);
    longer.set(this.random(length - weights.length), weights.length);
    return longer;
  }

  /** What a host is found by. */
  keyOfHost(name: string, isWildcard: boolean): number {
    return nameKey(hashName(name, this.nameWeights), isWildcard ? 1 : 0);
  }

  keyOfPath(path: string): number {
    return mix(hashPath(path, this.pathWeights));
  }

  /** The record of a host, or 0. */
  findHost(name: string, isWildcard: boolean): number {
    if (name === "") return this.anyHost;
    const { arena: { words }, hosts: { words: slots, mask } } = this;
    const key = this.keyOfHost(name, isWildcard);
    const head = hostHead(name, isWildcard);
    for (let slot = key & mask;; slot = (slot + 1) & mask) {
      const host = slots[2 * slot + 1]!;
      if (host === 0) return 0;
      if (slots[2 * slot] === key && words[host] === head && isText(words, host + HOST_NAME, name)) return host;
    }
  }

  /** The record of a path in a host's table, or 0. */
  findPath(table: number, mask: number, key: number, path: string): number {
    const { words } = this.arena;
    for (let slot = key & mask;; slot = (slot + 1) & mask) {
      const record = words[table + 2 * slot + 1]!;
      if (record === 0) return 0;
      if (words[table + 2 * slot] !== key || words[record + PATH_LENGTH] !== path.length) continue;
      if (isText(words, pathTextAt(words, record), path)) return record;
    }
  }

  /** Bytes held, without the rules themselves, which belong to the caller; of shared values an estimate. */
  get bytesUsed(): number {
    const { arena, rules, hosts, nameWeights, pathWeights } = this;
    return arena.bytes + rules.bytesUsed + hosts.words.byteLength + 4 * (nameWeights.length + pathWeights.length) +
      this.conditions.bytesUsed(conditionBytes) + this.regexes.bytesUsed((regex) => regex.bytesUsed);
  }
}

/** The bit that stands for a depth. */
export function depthBit(depth: number): number {
  return 1 << (depth < 31 ? depth : 31);
}

/** The first word of a host's record. */
export function hostHead(name: string, isWildcard: boolean): number {
  return name.length * 2 + (isWildcard ? 1 : 0);
}

/** The word at which the bytes of a path record begin. */
export function pathTextAt(words: Int32Array, path: number): number {
  const candidates = words[path + PATH_EXACT_COUNT]! + words[path + PATH_PREFIX_COUNT]!;
  return path + PATH_CANDIDATES + CANDIDATE * candidates;
}

/** Words of a host's record. */
export function hostSize(words: Int32Array, host: number): number {
  return HOST_NAME + textWords(words[host]! >> 1);
}

/** Words of a path's record. */
export function pathSize(words: Int32Array, path: number): number {
  return pathTextAt(words, path) - path + textWords(words[path + PATH_LENGTH]!);
}

/** Words of a list whose candidates have `stride` words. */
export function listSize(words: Int32Array, list: number, stride: number): number {
  return 1 + stride * words[list]!;
}

/** Words of a table of slots. */
export function tableSize(mask: number): number {
  return 2 * (mask + 1);
}
