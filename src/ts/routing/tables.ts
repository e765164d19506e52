// The rules of a snapshot as flat tables, and how they are built. Objects and maps live only while compiling; what
// stays is a table of slots for the hosts and one array of records. The records of a host lie together, so a lookup
// touches few lines of the cache: the slot of the host, its record, the slot of the path, its record.
//
// Records are 32-bit words; `chars` is the same memory as bytes. 0 is no record. A candidate is a pair of rule and
// condition (0: none); candidates stand in the order in which they are tried. A slot is a pair of key and record.
//
//   host       [ name length · 2 + wildcard | exact depths | prefix depths | paths | any | regexes | name… ]
//   paths      [ slots − 1 | slots… ]
//   path       [ length | exact count | prefix count | exact candidates… | prefix candidates… | path… ]
//   list       [ count | candidates… ]                  (rules for any path)
//   regexes    [ count | rule, condition, number of the expression … ]
//   condition  [ methods | headers | method… | number of the header condition… ]
//   method     [ length | name… ]
//
// The depth of a path is its number of slashes. A host's depths are sets, bit 31 standing for 31 and more: they say
// which prefixes of a path are worth a probe.

import { hashName, hashPath, insertSlot, mix, nameKey, type RandomWords, slotCount } from "./hash.ts";
import { PathRegex } from "./path_regex.ts";
import {
  type CanonicalRule,
  canonicalRule,
  compareConditions,
  compareRegexes,
  type HeaderCondition,
  type RouteRule,
  sortRules,
} from "./rule.ts";

export const HOST_EXACT_DEPTHS = 1;
export const HOST_PREFIX_DEPTHS = 2;
export const HOST_PATHS = 3;
export const HOST_ANY = 4;
export const HOST_REGEXES = 5;
export const HOST_NAME = 6;
export const PATH_LENGTH = 0;
export const PATH_EXACT_COUNT = 1;
export const PATH_PREFIX_COUNT = 2;
export const PATH_CANDIDATES = 3;

export interface Tables {
  /** Secret words for the positions of a name, and of a path: one more than the longest has, and as many. */
  nameWeights: Int32Array;
  pathWeights: Int32Array;
  words: Int32Array;
  chars: Uint8Array;
  hostSlots: Int32Array;
  /** Record of the rules for any host. */
  anyHost: number;
  /** Numbers of labels of the wildcards, as a set like a host's depths. */
  wildcardDepths: number;
  /** Deepest path of any host. */
  depthMax: number;
  regexes: PathRegex[];
  headers: HeaderCondition[];
}

/** The bit that stands for a depth. */
export function depthBit(depth: number): number {
  return 1 << (depth < 31 ? depth : 31);
}

interface PathGroup {
  exact: CanonicalRule[];
  prefix: CanonicalRule[];
}

interface HostGroup {
  name: string;
  isWildcard: boolean;
  paths: Map<string, PathGroup>;
  regexes: CanonicalRule[];
  any: CanonicalRule[];
}

/** Checks and compiles rules; throws the RouteError of the first that is refused. */
export function buildTables(rules: readonly RouteRule[], random: RandomWords): Tables {
  const groups = [...groupByHost(rules).values()];
  const builder = new TableBuilder(groups, random);
  for (const group of groups) builder.addHost(group);
  return builder.finish();
}

function groupByHost(rules: readonly RouteRule[]): Map<string, HostGroup> {
  const groups = new Map<string, HostGroup>();
  rules.forEach((written, index) => {
    const rule = canonicalRule(written, index);
    const key = rule.hostKind === "wildcard" ? `*.${rule.host}` : rule.host;
    let group = groups.get(key);
    if (!group) {
      group = { name: rule.host, isWildcard: rule.hostKind === "wildcard", paths: new Map(), regexes: [], any: [] };
      groups.set(key, group);
    }
    if (rule.pathKind === "any") group.any.push(rule);
    else if (rule.pathKind === "regex") group.regexes.push(rule);
    else addPath(group.paths, rule)[rule.pathKind].push(rule);
  });
  return groups;
}

function addPath(paths: Map<string, PathGroup>, rule: CanonicalRule): PathGroup {
  let group = paths.get(rule.path);
  if (!group) paths.set(rule.path, group = { exact: [], prefix: [] });
  return group;
}

class TableBuilder {
  private readonly nameWeights: Int32Array;
  private readonly pathWeights: Int32Array;
  private words = new Int32Array(1024);
  private chars = new Uint8Array(this.words.buffer);
  /** Where the next record goes. The first words are zero: they are no record, and the table of a host without paths. */
  private size = 3;
  private readonly hosts: number[] = [];
  private anyHost = 0;
  private wildcardDepths = 0;
  private depthMax = 0;
  private readonly regexes: PathRegex[] = [];
  private readonly regexNumbers = new Map<string, number>();
  private readonly headers: HeaderCondition[] = [];
  private readonly headerNumbers = new Map<string, number>();
  private readonly conditions = new Map<string, number>();
  private readonly methods = new Map<string, number>();

  constructor(groups: readonly HostGroup[], random: RandomWords) {
    let nameLengthMax = 0;
    let pathLengthMax = 0;
    for (const { name, paths } of groups) {
      nameLengthMax = Math.max(nameLengthMax, name.length);
      for (const path of paths.keys()) pathLengthMax = Math.max(pathLengthMax, path.length);
    }
    this.nameWeights = random(nameLengthMax + 1);
    this.pathWeights = random(pathLengthMax + 1);
  }

  addHost(group: HostGroup): void {
    const host = this.addName(group);
    // Each part is written before its place is stored: writing may move the words.
    const paths = this.addPaths(host, group.paths);
    this.words[host + HOST_PATHS] = paths;
    const any = this.addList(group.any);
    this.words[host + HOST_ANY] = any;
    const regexes = this.addRegexes(group.regexes);
    this.words[host + HOST_REGEXES] = regexes;
  }

  finish(): Tables {
    const words = this.words.slice(0, this.size);
    const chars = new Uint8Array(words.buffer);
    const { nameWeights, pathWeights, anyHost, wildcardDepths, depthMax, regexes, headers } = this;
    const slots = slotCount(this.hosts.length);
    const hostSlots = new Int32Array(2 * slots);
    for (const host of this.hosts) {
      const hash = hashName(chars, 4 * (host + HOST_NAME), words[host]! >> 1, nameWeights);
      insertSlot(hostSlots, 0, slots, nameKey(hash, words[host]! & 1), host);
    }
    return { nameWeights, pathWeights, words, chars, hostSlots, anyHost, wildcardDepths, depthMax, regexes, headers };
  }

  private addName(group: HostGroup): number {
    const { name, isWildcard } = group;
    const host = this.reserve(HOST_NAME, name);
    this.words[host] = name.length * 2 + (isWildcard ? 1 : 0);
    if (name === "") {
      this.anyHost = host;
      return host;
    }
    this.hosts.push(host);
    if (isWildcard) this.wildcardDepths |= depthBit(name.split(".").length);
    return host;
  }

  private addPaths(host: number, paths: Map<string, PathGroup>): number {
    if (paths.size === 0) return 0;
    const slots = slotCount(paths.size);
    const table = this.reserve(1 + 2 * slots, "");
    this.words[table] = slots - 1;
    for (const [path, { exact, prefix }] of paths) {
      const record = this.addPath(path, exact, prefix);
      const hash = hashPath(this.chars, 4 * pathTextAt(this.words, record), path.length, this.pathWeights);
      insertSlot(this.words, table + 1, slots, mix(hash), record);
      const depth = depthOf(path);
      this.depthMax = Math.max(this.depthMax, depth);
      if (exact.length > 0) this.words[host + HOST_EXACT_DEPTHS]! |= depthBit(depth);
      if (prefix.length > 0) this.words[host + HOST_PREFIX_DEPTHS]! |= depthBit(depth);
    }
    return table;
  }

  private addPath(path: string, exact: CanonicalRule[], prefix: CanonicalRule[]): number {
    sortRules(exact, compareConditions);
    sortRules(prefix, compareConditions);
    const rules = exact.concat(prefix);
    const conditions = rules.map((rule) => this.conditionOf(rule));
    const record = this.reserve(PATH_CANDIDATES + 2 * rules.length, path);
    this.words[record + PATH_LENGTH] = path.length;
    this.words[record + PATH_EXACT_COUNT] = exact.length;
    this.words[record + PATH_PREFIX_COUNT] = prefix.length;
    this.writeCandidates(record + PATH_CANDIDATES, rules, conditions);
    return record;
  }

  private addList(rules: CanonicalRule[]): number {
    if (rules.length === 0) return 0;
    sortRules(rules, compareConditions);
    const conditions = rules.map((rule) => this.conditionOf(rule));
    const list = this.reserve(1 + 2 * rules.length, "");
    this.words[list] = rules.length;
    this.writeCandidates(list + 1, rules, conditions);
    return list;
  }

  private addRegexes(rules: CanonicalRule[]): number {
    if (rules.length === 0) return 0;
    sortRules(rules, compareRegexes);
    const conditions = rules.map((rule) => this.conditionOf(rule));
    const list = this.reserve(1 + 3 * rules.length, "");
    this.words[list] = rules.length;
    rules.forEach((rule, at) => {
      this.words.set([rule.index, conditions[at]!, this.regexNumber(rule)], list + 1 + 3 * at);
    });
    return list;
  }

  private writeCandidates(at: number, rules: CanonicalRule[], conditions: number[]): void {
    for (let i = 0; i < rules.length; i++) {
      this.words[at + 2 * i] = rules[i]!.index;
      this.words[at + 2 * i + 1] = conditions[i]!;
    }
  }

  /** The record of a rule's condition on method and headers; rules that ask the same share it. */
  private conditionOf(rule: CanonicalRule): number {
    const { methods, headers } = rule;
    if (methods.length === 0 && headers.length === 0) return 0;
    const text = JSON.stringify([methods, headers]);
    const known = this.conditions.get(text);
    if (known !== undefined) return known;
    const parts = [...methods.map((method) => this.methodOf(method)), ...headers.map((h) => this.headerNumber(h))];
    const record = this.reserve(2 + parts.length, "");
    this.words.set([methods.length, headers.length, ...parts], record);
    this.conditions.set(text, record);
    return record;
  }

  private methodOf(method: string): number {
    const known = this.methods.get(method);
    if (known !== undefined) return known;
    const record = this.reserve(1, method);
    this.words[record] = method.length;
    this.methods.set(method, record);
    return record;
  }

  private headerNumber(header: HeaderCondition): number {
    const text = JSON.stringify(header);
    const known = this.headerNumbers.get(text);
    if (known !== undefined) return known;
    this.headerNumbers.set(text, this.headers.length);
    return this.headers.push(header) - 1;
  }

  private regexNumber(rule: CanonicalRule): number {
    const known = this.regexNumbers.get(rule.path);
    if (known !== undefined) return known;
    this.regexNumbers.set(rule.path, this.regexes.length);
    return this.regexes.push(PathRegex.compile(rule.path, rule.index)) - 1;
  }

  /** A new record of `count` zero words, followed by ASCII text; gives where it begins. */
  private reserve(count: number, text: string): number {
    const record = this.size;
    this.size += count + ((text.length + 3) >> 2);
    if (this.size > this.words.length) this.grow();
    const at = 4 * (record + count);
    for (let i = 0; i < text.length; i++) this.chars[at + i] = text.charCodeAt(i);
    return record;
  }

  private grow(): void {
    const words = new Int32Array(2 * this.size);
    words.set(this.words);
    this.words = words;
    this.chars = new Uint8Array(words.buffer);
  }
}

function depthOf(path: string): number {
  let depth = 0;
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) === 0x2f) depth++;
  return depth;
}

/** The word at which the bytes of a path record begin. */
export function pathTextAt(words: Int32Array, path: number): number {
  const candidates = words[path + PATH_EXACT_COUNT]! + words[path + PATH_PREFIX_COUNT]!;
  return path + PATH_CANDIDATES + 2 * candidates;
}

/** Bytes that the tables hold; of the expressions' programs an estimate. */
export function tableBytes(tables: Tables): number {
  const { nameWeights, pathWeights, words, hostSlots, regexes, headers } = tables;
  let bytes = words.byteLength + hostSlots.byteLength + 4 * (nameWeights.length + pathWeights.length);
  for (const regex of regexes) bytes += regex.bytesUsed;
  for (const header of headers) bytes += 2 * (header.name.length + (header.value?.length ?? 0)) + HEADER_BYTES;
  return bytes;
}

/** A header condition is an object with two strings' heads. */
const HEADER_BYTES = 64;
