// The lookup: one probe finds the host's record, and its two sets of depths say which prefixes of the path are worth one.
// So the cost is that of reading the host and the path, plus a probe or two, however many rules there are; and a path of
// thousands of segments costs no more probes than the host has rules of different depth.
//
// The host is looked for before the path is read: while the processor waits for the host's record it reads the path.
//
// Nothing here allocates but a regular expression that has to be tried. Lookups do not nest, so they share scratch.

import { type Condition, hasMethod } from "./conditions.ts";
import { mix, nameKey, sameBytes } from "./hash.ts";
import { pathText } from "./path_form.ts";
import type { PathRegex } from "./path_regex.ts";
import { RequestWalk } from "./request_walk.ts";
import { CANDIDATE, LIST_CANDIDATES, LIST_EXACT_COUNT, LIST_PREFIX_COUNT } from "./answers.ts";
import { PATH_KEY, PATH_LENGTH, PATH_TEXT } from "./paths.ts";
import {
  depthBit,
  HOST_ANY,
  HOST_EXACT_DEPTHS,
  HOST_NAME,
  HOST_PREFIX_DEPTHS,
  HOST_REGEXES,
  HOST_TABLE,
  HOST_TABLE_MASK,
  REGEX_CANDIDATE,
  type Tables,
} from "./tables.ts";

// As in answers.ts, for the reason that request_walk.ts gives.
const EXACT = 1;
const PREFIX = 2;

/** Headers of the request being routed; asked only when a candidate rule has header conditions. */
export interface HeaderLookup {
  /** True if a field with this lower-case name exists and (value is null or one of its values equals it exactly). */
  has(name: string, value: string | null): boolean;
}

export class RouteLookup extends RequestWalk {
  // What of the tables a lookup reads.
  private words: Int32Array;
  private chars: Uint8Array;
  private hostSlots: Int32Array;
  private pathSlots: Int32Array;
  private anyHost = 0;
  private readonly conditions: readonly (Condition | undefined)[];
  private readonly regexes: readonly (PathRegex | undefined)[];

  protected constructor(protected readonly tables: Tables) {
    super();
    this.words = tables.arena.words;
    this.chars = tables.arena.chars;
    this.hostSlots = tables.hosts.words;
    this.pathSlots = tables.paths.slots.words;
    this.conditions = tables.conditions.values;
    this.regexes = tables.regexes.values;
    this.adopt();
  }

  /** Reads the tables as they are now; to be called whenever they have changed. */
  protected adopt(): void {
    const { arena, hosts, paths, anyHost, nameWeights, wildcardDepths, depths } = this.tables;
    this.words = arena.words;
    this.chars = arena.chars;
    this.hostSlots = hosts.words;
    this.pathSlots = paths.slots.words;
    this.anyHost = anyHost;
    this.nameWeights = nameWeights;
    this.pathWeights = paths.weights;
    this.wildcardDepths = wildcardDepths;
    this.setDepthMax(depths.length - 1);
  }

  /**
   * Index of the rule that answers, or -1. The host may carry a port, capitals and a trailing dot; the path is without
   * query. Allocates nothing unless a regular expression has to be tried.
   */
  lookup(
    bytes: Uint8Array,
    hostAt: number,
    hostLength: number,
    pathAt: number,
    pathLength: number,
    methodAt: number,
    methodLength: number,
    headers: HeaderLookup,
  ): number {
    this.readHost(bytes, hostAt, hostLength);
    const record = this.likelyHost();
    this.readPath(bytes, pathAt, pathLength);
    let rank = this.suffixes + 1;
    let host = record !== 0 && this.isHost(record, this.nameAt, this.nameLength, 0) ? record : this.hostOfRank(rank);
    for (;;) {
      const rule = host === 0 ? -1 : this.ruleOfHost(host, bytes, methodAt, methodLength, headers);
      if (rule >= 0 || rank === 0) return rule;
      host = this.hostOfRank(--rank);
    }
  }

  /** The record of the first host that has the hash of the name, which is not compared yet, or 0. */
  private likelyHost(): number {
    const { hostSlots } = this;
    const mask = hostSlots.length - 1;
    const key = nameKey(this.nameHashes[0]!, 0);
    for (let slot = (key << 1) & mask;; slot = (slot + 2) & mask) {
      const host = hostSlots[slot + 1]!;
      if (host === 0 || hostSlots[slot] === key) return host;
    }
  }

  /** The record of the host that is considered at a rank: the exact name, its suffixes from the longest, any (0). */
  private hostOfRank(rank: number): number {
    if (rank > this.suffixes) {
      return this.nameLength >= this.nameWeights.length ? 0 : this.findHost(0, this.nameAt, this.nameLength, 0);
    }
    if (rank === 0) return this.anyHost;
    const at = this.nameStarts[rank]!;
    return this.findHost(rank, at, this.nameAt + this.nameLength - at, 1);
  }

  private findHost(hashAt: number, at: number, length: number, kind: number): number {
    const { hostSlots } = this;
    const mask = hostSlots.length - 1;
    const key = nameKey(this.nameHashes[hashAt]!, kind);
    for (let slot = (key << 1) & mask;; slot = (slot + 2) & mask) {
      const host = hostSlots[slot + 1]!;
      if (host === 0) return 0;
      if (hostSlots[slot] === key && this.isHost(host, at, length, kind)) return host;
    }
  }

  /** Whether a record is that of the host (0) or wildcard (1) with the name at `at`. */
  private isHost(host: number, at: number, length: number, kind: number): boolean {
    const { words, chars, name } = this;
    if (words[host] !== 2 * length + kind) return false;
    if (sameBytes(words, host + HOST_NAME, name, at, length)) return true;
    const known = 4 * (host + HOST_NAME);
    for (let i = 0; i < length; i++) {
      if (chars[known + i] !== lower(name[at + i]!)) return false;
    }
    return true;
  }

  /** The rule of a host that answers, or -1. */
  private ruleOfHost(host: number, bytes: Uint8Array, methodAt: number, methodLength: number, h: HeaderLookup): number {
    const { words, wholeDepth } = this;
    const prefixDepths = words[host + HOST_PREFIX_DEPTHS]!;
    let whole = 0;
    // No path has depth 0, which stands for one that no rule can name.
    if (wholeDepth > 0 && ((words[host + HOST_EXACT_DEPTHS]! | prefixDepths) & depthBit(wholeDepth)) !== 0) {
      whole = this.findAnswer(host, wholeDepth);
      if ((whole & EXACT) !== 0) return whole >>> 2;
      const rule = this.exactRule(whole, bytes, methodAt, methodLength, h);
      if (rule >= 0) return rule;
    }
    if (prefixDepths !== 0) {
      for (let d = this.deepest(prefixDepths); d > 0; d--) {
        if ((prefixDepths & depthBit(d)) === 0) continue;
        const answer = d === wholeDepth ? whole : this.findAnswer(host, d);
        if ((answer & PREFIX) !== 0) return answer >>> 2;
        const rule = this.prefixRule(answer, bytes, methodAt, methodLength, h);
        if (rule >= 0) return rule;
      }
    }
    const regexes = words[host + HOST_REGEXES]!;
    if (regexes !== 0) {
      const rule = this.firstRegex(regexes, bytes, methodAt, methodLength, h);
      if (rule >= 0) return rule;
    }
    const any = words[host + HOST_ANY]!;
    return (any & PREFIX) !== 0 ? any >>> 2 : this.prefixRule(any, bytes, methodAt, methodLength, h);
  }

  /** The deepest prefix of the path that a host with these depths may have. */
  private deepest(depths: number): number {
    const known = this.depth;
    // Bit 31 stands for all that is deeper, so it bounds nothing.
    const bound = depths < 0 ? known : 31 - Math.clz32(depths);
    return known < bound ? known : bound;
  }

  /** What a host has for the prefix of the request's path that has this depth, or 0. */
  private findAnswer(host: number, depth: number): number {
    const { words } = this;
    const path = this.findPath(depth);
    if (path === 0) return 0;
    const table = words[host + HOST_TABLE]!;
    const mask = words[host + HOST_TABLE_MASK]!;
    const key = words[path + PATH_KEY]!;
    for (let slot = key & mask;; slot = (slot + 1) & mask) {
      const answer = words[table + 2 * slot + 1]!;
      if (answer === 0 || words[table + 2 * slot] === key) return answer;
    }
  }

  /** The record of the prefix of the request's path that has this depth, or 0. */
  private findPath(depth: number): number {
    const { words, pathSlots, path, pathAt } = this;
    const mask = pathSlots.length - 1;
    const length = this.prefixEnds[depth]!;
    const hash = mix(this.prefixHashes[depth]!);
    for (let slot = (hash << 1) & mask;; slot = (slot + 2) & mask) {
      const record = pathSlots[slot + 1]!;
      if (record === 0) return 0;
      if (pathSlots[slot] !== hash || words[record + PATH_LENGTH] !== length) continue;
      if (sameBytes(words, record + PATH_TEXT, path, pathAt, length)) return record;
    }
  }

  /** The rule of an answer for the path itself that asks more, or -1. */
  private exactRule(
    answer: number,
    bytes: Uint8Array,
    methodAt: number,
    methodLength: number,
    h: HeaderLookup,
  ): number {
    if (answer === 0 || (answer & PREFIX) !== 0) return -1;
    const list = answer >>> 2;
    const count = this.words[list + LIST_EXACT_COUNT]!;
    return this.firstOf(list + LIST_CANDIDATES, count, bytes, methodAt, methodLength, h);
  }

  /** The rule of an answer for the path and what is below it that asks more, or -1. */
  private prefixRule(
    answer: number,
    bytes: Uint8Array,
    methodAt: number,
    methodLength: number,
    h: HeaderLookup,
  ): number {
    if (answer === 0 || (answer & EXACT) !== 0) return -1;
    const list = answer >>> 2;
    const at = list + LIST_CANDIDATES + 2 * this.words[list + LIST_EXACT_COUNT]!;
    return this.firstOf(at, this.words[list + LIST_PREFIX_COUNT]!, bytes, methodAt, methodLength, h);
  }

  /** The first of the candidates whose conditions hold, or -1. */
  private firstOf(
    at: number,
    count: number,
    bytes: Uint8Array,
    methodAt: number,
    methodLength: number,
    headers: HeaderLookup,
  ): number {
    const { words } = this;
    for (const end = at + 2 * count; at < end; at += 2) {
      const condition = words[at + 1]!;
      if (condition === 0 || this.holds(condition, bytes, methodAt, methodLength, headers)) return words[at]!;
    }
    return -1;
  }

  /** The first of the regular expressions that matches and whose conditions hold, or -1. */
  private firstRegex(
    list: number,
    bytes: Uint8Array,
    methodAt: number,
    methodLength: number,
    headers: HeaderLookup,
  ): number {
    const { words, path, pathAt, pathLength } = this;
    let text: string | null = null;
    const end = list + 1 + 3 * words[list]!;
    for (let at = list + 1; at < end; at += 3) {
      const condition = words[at + 1]!;
      if (condition !== 0 && !this.holds(condition, bytes, methodAt, methodLength, headers)) continue;
      const regex = this.regexes[words[at + 2]!]!;
      if (!regex.mayMatch(path, pathAt, pathLength)) continue;
      text ??= pathText(path, pathAt, pathLength);
      if (regex.matches(text)) return words[at]!;
    }
    return -1;
  }

  private holds(
    condition: number,
    bytes: Uint8Array,
    methodAt: number,
    methodLength: number,
    headers: HeaderLookup,
  ): boolean {
    const { methods, headers: asked } = this.conditions[condition]!;
    if (methods.length > 0 && !hasMethod(methods, bytes, methodAt, methodLength)) return false;
    for (let i = 0; i < asked.length; i++) {
      const header = asked[i]!;
      if (!headers.has(header.name, header.value)) return false;
    }
    return true;
  }

  /** The rules of the hosts and paths that fit, in the order in which a lookup tries them. */
  protected *candidates(): Generator<number> {
    const { words, depth, wholeDepth } = this;
    for (let rank = this.suffixes + 1; rank >= 0; rank--) {
      const host = this.hostOfRank(rank);
      if (host === 0) continue;
      if (wholeDepth > 0) yield* this.rulesOf(this.findAnswer(host, wholeDepth), EXACT);
      for (let d = depth; d > 0; d--) yield* this.rulesOf(this.findAnswer(host, d), PREFIX);
      const regexes = words[host + HOST_REGEXES]!;
      if (regexes !== 0) yield* this.listed(regexes + 1, words[regexes]!, REGEX_CANDIDATE);
      yield* this.rulesOf(words[host + HOST_ANY]!, PREFIX);
    }
  }

  /** The rules of one kind that an answer has. */
  private *rulesOf(answer: number, kind: typeof EXACT | typeof PREFIX): Generator<number> {
    const { words } = this;
    if ((answer & (EXACT | PREFIX)) === kind) yield answer >>> 2;
    if (answer === 0 || (answer & (EXACT | PREFIX)) !== 0) return;
    const list = answer >>> 2;
    const exactCount = words[list + LIST_EXACT_COUNT]!;
    if (kind === EXACT) yield* this.listed(list + LIST_CANDIDATES, exactCount, CANDIDATE);
    else {yield* this.listed(
        list + LIST_CANDIDATES + CANDIDATE * exactCount,
        words[list + LIST_PREFIX_COUNT]!,
        CANDIDATE,
      );}
  }

  private *listed(at: number, count: number, stride: number): Generator<number> {
    for (let i = 0; i < count; i++) yield this.words[at + stride * i]!;
  }
}

/** Lower case of a byte. */
function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
