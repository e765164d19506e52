// The router: an immutable snapshot of rules, and the lookup on the path of every request. What the tables hold is
// described in tables.ts, the order of rules in rule.ts, the form in which paths are compared in path_form.ts.
//
// A lookup walks the host once from its right end and the path once from its left end. The hash of each suffix that
// could be a wildcard and of each prefix that ends at a slash falls out of these walks into two small arrays. Then the
// host's record is found by one probe, and its two sets of depths say which prefixes are worth a probe. So the cost is
// that of reading the host and the path, plus a probe or two, however many rules there are; and a path of thousands of
// segments costs no more probes than the host has rules of different depth.
//
// Nothing here allocates but a regular expression that has to be tried. Lookups do not nest, so they share scratch.

import { explainCandidates, type Explanation } from "./explain.ts";
import { CASE_BIT, mix, nameKey, type RandomWords, randomWords, sameBytes } from "./hash.ts";
import { CLASSES, isDotSegment, isNormalFrom, normalBytes, normalise, pathText } from "./path_form.ts";
import { RouteError, type RouteRule } from "./rule.ts";
import {
  buildTables,
  depthBit,
  HOST_ANY,
  HOST_EXACT_DEPTHS,
  HOST_NAME,
  HOST_PATHS,
  HOST_PREFIX_DEPTHS,
  HOST_REGEXES,
  PATH_CANDIDATES,
  PATH_EXACT_COUNT,
  PATH_LENGTH,
  PATH_PREFIX_COUNT,
  pathTextAt,
  tableBytes,
  type Tables,
} from "./tables.ts";

export { RouteError, type RouteRule };

/** Headers of the request being routed; asked only when a candidate rule has header conditions. */
export interface HeaderLookup {
  /** True if a field with this lower-case name exists and (value is null or one of its values equals it exactly). */
  has(name: string, value: string | null): boolean;
}

// As in path_form.ts. Repeated, since V8 reads and checks an imported binding but folds a constant of the module: 5 % of a
// lookup. The tests compare both files with the reference.
const SLASH = 0x2f;
const DOT = 0x2e;
const PLAIN = 0;
const BOUNDARY = 1;
const PERIOD = 2;
const COLON = 0x3a;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** What an absent path ("http://example.com") stands for (RFC 9110 §4.2.3). */
const ROOT = Uint8Array.of(SLASH);

/** A name of 253 bytes has no more labels. */
const LABELS_MAX = 128;

export class Router {
  private readonly words: Int32Array;
  private readonly chars: Uint8Array;
  private readonly hostSlots: Int32Array;
  private readonly nameWeights: Int32Array;
  private readonly pathWeights: Int32Array;
  private readonly depthMax: number;

  /** Hashes of the host (0) and of its suffixes (from 1, shortest first), and where the suffixes begin. */
  private readonly nameHashes = new Int32Array(LABELS_MAX);
  private readonly nameStarts = new Int32Array(LABELS_MAX);
  /** Ends, relative to the path, and hashes of its prefixes by depth. */
  private readonly prefixEnds: Int32Array;
  private readonly prefixHashes: Int32Array;

  // The request being looked up: its host without port, the number of its suffixes, its path in normal form.
  private name: Uint8Array = ROOT;
  private nameAt = 0;
  private nameLength = 0;
  private suffixes = 0;
  private path: Uint8Array = ROOT;
  private pathAt = 0;
  private pathLength = 0;
  /** Number of prefixes noted, and the depth of the whole path if it is one of them, else 0. */
  private depth = 0;
  private wholeDepth = 0;

  /** Bytes that the snapshot holds, without the rules themselves, which belong to the caller. */
  readonly bytesUsed: number;

  private constructor(private readonly rules: readonly RouteRule[], private readonly tables: Tables) {
    ({ words: this.words, chars: this.chars, hostSlots: this.hostSlots } = tables);
    ({ nameWeights: this.nameWeights, pathWeights: this.pathWeights } = tables);
    this.depthMax = tables.depthMax;
    this.prefixEnds = new Int32Array(tables.depthMax + 1);
    this.prefixHashes = new Int32Array(tables.depthMax + 1);
    this.bytesUsed = tableBytes(tables) + 8 * (LABELS_MAX + tables.depthMax + 1);
  }

  /**
   * Compiles rules into a snapshot; throws a RouteError for the first that is invalid, or that says the same as
   * another. The rules are kept for `explain` and must not change. Linear in the rules; `random` is for tests.
   */
  static compile(rules: readonly RouteRule[], random: RandomWords = randomWords): Router {
    return new Router(rules, buildTables(rules, random));
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
    this.readPath(bytes, pathAt, pathLength);
    this.readHost(bytes, hostAt, hostLength);
    for (let rank = this.suffixes + 1; rank >= 0; rank--) {
      const host = this.hostOfRank(rank);
      if (host === 0) continue;
      const rule = this.ruleOfHost(host, bytes, methodAt, methodLength, headers);
      if (rule >= 0) return rule;
    }
    return -1;
  }

  /** All candidates in the order in which they are considered, and why each lost; may allocate. */
  explain(host: string, path: string, method: string, headers: HeaderLookup): Explanation {
    const bytes = new TextEncoder().encode(host + path + method);
    const hostLength = new TextEncoder().encode(host).length;
    const pathLength = new TextEncoder().encode(path).length;
    this.readPath(bytes, hostLength, pathLength);
    this.readHost(bytes, 0, hostLength);
    const text = pathText(this.path, this.pathAt, this.pathLength);
    return explainCandidates(this.rules, this.candidates(), this.tables.regexes, text, method, headers);
  }

  /** Walks the path; one that is not in normal form is normalised and walked again. */
  private readPath(bytes: Uint8Array, at: number, length: number): void {
    if (length === 0) {
      bytes = ROOT;
      at = 0;
      length = 1;
    }
    if (!this.walkPath(bytes, at, length, 0)) {
      length = normalise(bytes, at, length);
      bytes = normalBytes();
      at = 0;
      this.walkPath(bytes, at, length, 1);
    }
    this.path = bytes;
    this.pathAt = at;
    this.pathLength = length;
  }

  /**
   * Notes the prefixes of the path that end at a slash or are the whole path, as far as any rule has some; false if the
   * path is not in normal form (which `isNormal` of 1 denies). What does not begin with "/" ("*") is no path.
   */
  private walkPath(bytes: Uint8Array, at: number, length: number, isNormal: number): boolean {
    const { depthMax, prefixEnds, prefixHashes, pathWeights } = this;
    const limit = length < pathWeights.length ? length : pathWeights.length;
    let hash = 0;
    let depth = 0;
    let noted = 0;
    let i = 0;
    if (bytes[at] !== SLASH) i = length;
    for (; i < limit; i++) {
      const byte = bytes[at + i]!;
      const kind = CLASSES[byte]!;
      if (kind !== PLAIN) {
        if (kind === BOUNDARY) {
          if (depth > 0) {
            if (bytes[at + i - 1] === SLASH) return false;
            noted = depth;
            prefixEnds[depth] = i;
            prefixHashes[depth] = hash;
          }
          if (depth === depthMax) break;
          depth++;
        } else if (isNormal === 0) {
          if (kind !== PERIOD || (bytes[at + i - 1] === SLASH && isDotSegment(bytes, at + i, at + length))) {
            return false;
          }
        }
      }
      hash = (hash + Math.imul(byte, pathWeights[i]!)) | 0;
    }
    this.wholeDepth = 0;
    if (i < length) {
      if (isNormal === 0 && !isNormalFrom(bytes, at + (i || 1), at + length)) return false;
    } else if (depth > 0) {
      prefixEnds[depth] = length;
      prefixHashes[depth] = hash;
      noted = this.wholeDepth = depth;
    }
    this.depth = noted;
    return true;
  }

  /** Takes port and trailing dot off the host and walks the name, noting the suffixes that may be wildcards. */
  private readHost(bytes: Uint8Array, at: number, length: number): void {
    const end = nameEnd(bytes, at, at + length);
    const { wildcardDepths } = this.tables;
    const { nameHashes, nameStarts, nameWeights } = this;
    // A name that is too long to be known is read no further than the longest wildcard could reach.
    const limit = end - at < nameWeights.length ? end - at : nameWeights.length;
    let hash = 0;
    let labels = 0;
    let suffixes = 0;
    for (let i = 0; i < limit; i++) {
      const byte = bytes[end - 1 - i]!;
      if (byte === DOT && i < end - 1 - at) {
        labels++;
        if ((wildcardDepths & depthBit(labels)) !== 0 && suffixes < LABELS_MAX - 1) {
          suffixes++;
          nameHashes[suffixes] = hash;
          nameStarts[suffixes] = end - i;
        }
      }
      hash = (hash + Math.imul(byte | CASE_BIT, nameWeights[i]!)) | 0;
    }
    nameHashes[0] = hash;
    this.name = bytes;
    this.nameAt = at;
    this.nameLength = end - at;
    this.suffixes = suffixes;
  }

  /** The record of the host that is considered at a rank: the exact name, its suffixes from the longest, any (0). */
  private hostOfRank(rank: number): number {
    if (rank > this.suffixes) {
      return this.nameLength >= this.nameWeights.length ? 0 : this.findHost(0, this.nameAt, this.nameLength, 0);
    }
    if (rank === 0) return this.tables.anyHost;
    const at = this.nameStarts[rank]!;
    return this.findHost(rank, at, this.nameAt + this.nameLength - at, 1);
  }

  private findHost(hashAt: number, at: number, length: number, kind: number): number {
    const { words, hostSlots } = this;
    const mask = hostSlots.length - 1;
    const key = nameKey(this.nameHashes[hashAt]!, kind);
    const head = 2 * length + kind;
    for (let slot = (key << 1) & mask;; slot = (slot + 2) & mask) {
      const host = hostSlots[slot + 1]!;
      if (host === 0) return 0;
      if (hostSlots[slot] === key && words[host] === head && this.isName(host, at, length)) return host;
    }
  }

  private isName(host: number, at: number, length: number): boolean {
    const { words, chars, name } = this;
    if (sameBytes(words, host + HOST_NAME, name, at, length)) return true;
    const known = 4 * (host + HOST_NAME);
    for (let i = 0; i < length; i++) {
      if (chars[known + i] !== lower(name[at + i]!)) return false;
    }
    return true;
  }

  /** The rule of a host that answers, or -1. */
  private ruleOfHost(host: number, bytes: Uint8Array, methodAt: number, methodLength: number, h: HeaderLookup): number {
    const { words, wholeDepth: depth } = this;
    // No path has depth 0, which stands for one that no rule can name.
    if (depth > 0 && (words[host + HOST_EXACT_DEPTHS]! & depthBit(depth)) !== 0) {
      const record = this.findPath(words[host + HOST_PATHS]!, depth);
      if (record !== 0) {
        const count = words[record + PATH_EXACT_COUNT]!;
        const rule = this.firstOf(record + PATH_CANDIDATES, count, bytes, methodAt, methodLength, h);
        if (rule >= 0) return rule;
      }
    }
    const prefixDepths = words[host + HOST_PREFIX_DEPTHS]!;
    if (prefixDepths !== 0) {
      for (let d = this.deepest(prefixDepths); d > 0; d--) {
        if ((prefixDepths & depthBit(d)) === 0) continue;
        const record = this.findPath(words[host + HOST_PATHS]!, d);
        if (record === 0) continue;
        const at = record + PATH_CANDIDATES + 2 * words[record + PATH_EXACT_COUNT]!;
        const rule = this.firstOf(at, words[record + PATH_PREFIX_COUNT]!, bytes, methodAt, methodLength, h);
        if (rule >= 0) return rule;
      }
    }
    const regexes = words[host + HOST_REGEXES]!;
    if (regexes !== 0) {
      const rule = this.firstRegex(regexes, bytes, methodAt, methodLength, h);
      if (rule >= 0) return rule;
    }
    const any = words[host + HOST_ANY]!;
    return any === 0 ? -1 : this.firstOf(any + 1, words[any]!, bytes, methodAt, methodLength, h);
  }

  /** The deepest prefix of the path that a host with these depths may have. */
  private deepest(depths: number): number {
    const known = this.depth;
    // Bit 31 stands for all that is deeper, so it bounds nothing.
    const bound = depths < 0 ? known : 31 - Math.clz32(depths);
    return known < bound ? known : bound;
  }

  /** The record in a host's table of the prefix of the request's path that has this depth, or 0. */
  private findPath(table: number, depth: number): number {
    const { words, path, pathAt } = this;
    const mask = words[table]!;
    const length = this.prefixEnds[depth]!;
    const key = mix(this.prefixHashes[depth]!);
    for (let slot = key & mask;; slot = (slot + 1) & mask) {
      const at = table + 1 + 2 * slot;
      const record = words[at + 1]!;
      if (record === 0) return 0;
      if (words[at] !== key || words[record + PATH_LENGTH] !== length) continue;
      if (sameBytes(words, pathTextAt(words, record), path, pathAt, length)) return record;
    }
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
      const regex = this.tables.regexes[words[at + 2]!]!;
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
    const { words } = this;
    const methods = words[condition]!;
    let at = condition + 2;
    const afterMethods = at + methods;
    if (methods > 0) {
      while (at < afterMethods && !this.isMethod(words[at]!, bytes, methodAt, methodLength)) at++;
      if (at === afterMethods) return false;
    }
    const end = afterMethods + words[condition + 1]!;
    for (at = afterMethods; at < end; at++) {
      const header = this.tables.headers[words[at]!]!;
      if (!headers.has(header.name, header.value)) return false;
    }
    return true;
  }

  private isMethod(method: number, bytes: Uint8Array, at: number, length: number): boolean {
    const { words, chars } = this;
    if (words[method] !== length) return false;
    const known = 4 * (method + 1);
    for (let i = 0; i < length; i++) {
      if (chars[known + i] !== bytes[at + i]) return false;
    }
    return true;
  }

  /** The rules of the hosts and paths that fit, in the order in which a lookup tries them. */
  private *candidates(): Generator<number> {
    const { words, depth, wholeDepth } = this;
    for (let rank = this.suffixes + 1; rank >= 0; rank--) {
      const host = this.hostOfRank(rank);
      if (host === 0) continue;
      const exact = wholeDepth > 0 ? this.findPath(words[host + HOST_PATHS]!, wholeDepth) : 0;
      if (exact !== 0) yield* this.listed(exact + PATH_CANDIDATES, words[exact + PATH_EXACT_COUNT]!, 2);
      for (let d = depth; d > 0; d--) {
        const record = this.findPath(words[host + HOST_PATHS]!, d);
        if (record === 0) continue;
        const at = record + PATH_CANDIDATES + 2 * words[record + PATH_EXACT_COUNT]!;
        yield* this.listed(at, words[record + PATH_PREFIX_COUNT]!, 2);
      }
      const regexes = words[host + HOST_REGEXES]!;
      if (regexes !== 0) yield* this.listed(regexes + 1, words[regexes]!, 3);
      const any = words[host + HOST_ANY]!;
      if (any !== 0) yield* this.listed(any + 1, words[any]!, 2);
    }
  }

  private *listed(at: number, count: number, stride: number): Generator<number> {
    for (let i = 0; i < count; i++) yield this.words[at + stride * i]!;
  }
}

/** Lower case of a byte. */
function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** Where the name in a Host field ends: before a port, which may be empty, and before one trailing dot. */
function nameEnd(bytes: Uint8Array, at: number, end: number): number {
  let last = end - 1;
  while (last >= at && bytes[last]! >= DIGIT_0 && bytes[last]! <= DIGIT_9) last--;
  if (last >= at && bytes[last] === COLON) end = last;
  return end > at && bytes[end - 1] === DOT ? end - 1 : end;
}
