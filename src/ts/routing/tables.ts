// The rules in force as flat tables. What a lookup reads is a table of slots for the hosts, one for the paths (paths.ts), and
// one array of records (arena.ts). The record of a host and the table of its paths lie side by side, and in that table
// stands what answers: a lookup touches a slot and two or three lines of the cache that no other host has.
//
// Records are 32-bit words; 0 is no record. A candidate is a pair of a rule's id and the number of its condition (0: none);
// candidates stand in the order in which they are tried. A slot is a pair of key and record (slots.ts).
//
//   host       [ name length · 2 + wildcard | exact depths | prefix depths | table | slots − 1 | path count
//                | answer for any path | regexes | name… ]
//   table      [ slots: key of a path, answer… ]        (answers.ts)
//   regexes    [ count | id, condition, number of the expression… ]
//
// The depth of a path is its number of slashes. A host's depths are sets, bit 31 standing for 31 and more: they say
// which prefixes of a path are worth a probe. Each record is pointed at from one place.

import { Arena } from "./arena.ts";
import { conditionBytes, Conditions } from "./conditions.ts";
import { extended, hashName, isText, nameKey, type RandomWords, textWords } from "./hash.ts";
import type { PathRegex } from "./path_regex.ts";
import { Paths } from "./paths.ts";
import { RuleList } from "./rule_list.ts";
import { Shared } from "./shared.ts";
import { SlotTable } from "./slots.ts";

export const HOST_EXACT_DEPTHS = 1;
export const HOST_PREFIX_DEPTHS = 2;
export const HOST_TABLE = 3;
export const HOST_TABLE_MASK = 4;
export const HOST_PATH_COUNT = 5;
export const HOST_ANY = 6;
export const HOST_REGEXES = 7;
export const HOST_NAME = 8;

/** Words of a candidate in a list of expressions. */
export const REGEX_CANDIDATE = 3;

export class Tables {
  readonly arena: Arena;
  readonly paths: Paths;
  readonly rules = new RuleList();
  readonly conditions = new Conditions();
  readonly regexes = new Shared<PathRegex>();
  /** Secret words for the positions of a name: one more than the longest had, and as many. */
  nameWeights: Int32Array;
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
    this.paths = new Paths(this.arena, random);
    this.nameWeights = random(1);
  }

  /** Makes sure that names and paths of these lengths can be hashed. */
  hashUpTo(nameLength: number, pathLength: number): void {
    this.nameWeights = extended(this.nameWeights, nameLength + 1, this.random);
    this.paths.hashUpTo(pathLength);
  }

  /** What a host is found by. */
  keyOfHost(name: string, isWildcard: boolean): number {
    return nameKey(hashName(name, this.nameWeights), isWildcard ? 1 : 0);
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

  /** What the table of a host has for the path with a key, or 0. */
  findAnswer(table: number, mask: number, key: number): number {
    const { words } = this.arena;
    for (let slot = key & mask;; slot = (slot + 1) & mask) {
      const answer = words[table + 2 * slot + 1]!;
      if (answer === 0 || words[table + 2 * slot] === key) return answer;
    }
  }

  /** Bytes held, without the rules themselves, which belong to the caller; of shared values an estimate. */
  get bytesUsed(): number {
    const { arena, rules, hosts, paths, nameWeights } = this;
    return arena.bytes + rules.bytesUsed + hosts.words.byteLength + paths.bytesUsed + 4 * nameWeights.length +
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

/** Words of a host's record. */
export function hostSize(words: Int32Array, host: number): number {
  return HOST_NAME + textWords(words[host]! >> 1);
}

/** Words of a list of expressions. */
export function regexListSize(words: Int32Array, list: number): number {
  return 1 + REGEX_CANDIDATE * words[list]!;
}

/** Words of a table of slots. */
export function tableSize(mask: number): number {
  return 2 * (mask + 1);
}
