// The request that is being looked up: its host is walked once from the right end and its path once from the left end, and
// the hash of each suffix that could be a wildcard and of each prefix that ends at a slash falls out of these walks into two
// small arrays. Owned here: where a host's name ends, and that a path is compared in normal form.

import { CASE_BIT } from "./hash.ts";
import { CLASSES, isDotSegment, isNormalFrom, normalBytes, normalise } from "./path_form.ts";
import { depthBit } from "./tables.ts";

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

export class RequestWalk {
  // What the rules of the router ask for, as tables.ts says.
  protected nameWeights: Int32Array = new Int32Array(0);
  protected pathWeights: Int32Array = new Int32Array(0);
  protected wildcardDepths = 0;
  protected depthMax = 0;

  /** Hashes of the host (0) and of its suffixes (from 1, shortest first), and where the suffixes begin. */
  protected readonly nameHashes = new Int32Array(LABELS_MAX);
  protected readonly nameStarts = new Int32Array(LABELS_MAX);
  /** Ends, relative to the path, and hashes of its prefixes by depth. */
  protected prefixEnds = new Int32Array(1);
  protected prefixHashes = new Int32Array(1);

  // The request being looked up: its host without port, the number of its suffixes, its path in normal form.
  protected name: Uint8Array = ROOT;
  protected nameAt = 0;
  protected nameLength = 0;
  protected suffixes = 0;
  protected path: Uint8Array = ROOT;
  protected pathAt = 0;
  protected pathLength = 0;
  /** Number of prefixes noted, and the depth of the whole path if it is one of them, else 0. */
  protected depth = 0;
  protected wholeDepth = 0;

  /** Makes room for the prefixes of paths of another depth. */
  protected setDepthMax(depthMax: number): void {
    this.depthMax = depthMax;
    if (depthMax < this.prefixEnds.length) return;
    this.prefixEnds = new Int32Array(depthMax + 1);
    this.prefixHashes = new Int32Array(depthMax + 1);
  }

  /** Walks the path; one that is not in normal form is normalised and walked again. */
  protected readPath(bytes: Uint8Array, at: number, length: number): void {
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
  protected readHost(bytes: Uint8Array, at: number, length: number): void {
    const end = nameEnd(bytes, at, at + length);
    const { nameHashes, nameStarts, nameWeights, wildcardDepths } = this;
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
}

/** Where the name in a Host field ends: before a port, which may be empty, and before one trailing dot. */
function nameEnd(bytes: Uint8Array, at: number, end: number): number {
  let last = end - 1;
  while (last >= at && bytes[last]! >= DIGIT_0 && bytes[last]! <= DIGIT_9) last--;
  if (last >= at && bytes[last] === COLON) end = last;
  return end > at && bytes[end - 1] === DOT ? end - 1 : end;
}
