// What a rule asks of a request besides host and path. Rules that ask the same share one condition (shared.ts): most rules
// of a state ask one of a few.

import type { CanonicalRule, HeaderCondition } from "./rule.ts";
import { Shared } from "./shared.ts";

export interface Condition {
  /** The methods as the request has them, each after its length; none means any. One array, since it is read so often. */
  methods: Int32Array;
  headers: readonly HeaderCondition[];
}

export class Conditions extends Shared<Condition> {
  /** The number of the rule's condition, 0 if it asks nothing; for each call there is one `release`. */
  of({ methods, headers }: CanonicalRule): number {
    if (methods.length === 0 && headers.length === 0) return 0;
    return this.acquire(JSON.stringify([methods, headers]), () => ({ methods: joined(methods), headers }));
  }
}

/** Methods, which are ASCII, each after its length. */
function joined(methods: readonly string[]): Int32Array {
  const words: number[] = [];
  for (const method of methods) {
    words.push(method.length);
    for (let i = 0; i < method.length; i++) words.push(method.charCodeAt(i));
  }
  return Int32Array.from(words);
}

/** Whether the method in `bytes` is one of those of a condition. */
export function hasMethod(methods: Int32Array, bytes: Uint8Array, at: number, length: number): boolean {
  for (let method = 0; method < methods.length; method += methods[method]! + 1) {
    if (methods[method] !== length) continue;
    let i = 0;
    while (i < length && methods[method + 1 + i] === bytes[at + i]) i++;
    if (i === length) return true;
  }
  return false;
}

/** Estimate of the bytes that a condition holds: its arrays and objects, and what they say. */
export function conditionBytes({ methods, headers }: Condition): number {
  let bytes = 192 + methods.byteLength;
  for (const { name, value } of headers) bytes += 64 + name.length + (value?.length ?? 0);
  return bytes;
}
