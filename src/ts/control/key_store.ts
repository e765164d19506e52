// Private keys that came as text, with an order or in the configuration file. They leave what they came with at once: the
// state has their digest in their place, and so have the history, the answers of the control socket and the state file. The
// keys themselves are here as long as a state that can be returned to names them, and, with `control.state_file`, in a file
// of their own beside it (mode 0600), because a state is something to copy and to show and a key is not.

import { createHash } from "node:crypto";
import { isMap } from "../config/check.ts";
import { FormatError } from "../config/format_error.ts";
import { isPem, parseKeyFile } from "../config/pem.ts";
import type { State } from "../config/state.ts";

const FORMAT = 1;

/** By `sha256:…`: PEM. */
export type Keys = ReadonlyMap<string, string>;

/** How the state names a key. */
export function keyDigest(pem: string): string {
  return `sha256:${createHash("sha256").update(pem).digest("hex")}`;
}

/** The same state with digests in the place of keys; the keys are added to `keys`. */
export function stateWithoutKeys(state: State, keys: Map<string, string>): State {
  const entries = Object.entries(state.certificates);
  if (!entries.some(([, { key }]) => isPem(key))) return state;
  const certificates = entries.map(([name, certificate]) => {
    return [name, { ...certificate, key: withoutKey(certificate.key, keys) }] as const;
  });
  return { ...state, certificates: Object.fromEntries(certificates) };
}

/** The same for orders, which may be anything; what is no key is left for whoever reads them. */
export function ordersWithoutKeys(orders: unknown, keys: Map<string, string>): unknown {
  if (!Array.isArray(orders)) return orders;
  return orders.map((order) => {
    if (!isMap(order) || order.object !== "certificate" || !isMap(order.value)) return order;
    const { key } = order.value;
    if (typeof key !== "string" || !isPem(key)) return order;
    try {
      return { ...order, value: { ...order.value, key: withoutKey(parseKeyFile(key), keys) } };
    } catch (error) {
      if (error instanceof FormatError) return order;
      throw error;
    }
  });
}

function withoutKey(key: string, keys: Map<string, string>): string {
  if (!isPem(key)) return key;
  const digest = keyDigest(key);
  keys.set(digest, key);
  return digest;
}

/** Where the keys are that the state in a state file names. */
export function keysPath(stateFile: string): string {
  return `${stateFile}.keys`;
}

export function keysText(keys: Keys): string {
  return `${JSON.stringify({ kakehi_keys: FORMAT, keys: Object.fromEntries(keys) })}\n`;
}

/** The keys in a file; none if there is no file. Throws, without a word of its content, when it is not whole. */
export async function readKeys(path: string): Promise<Map<string, string>> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Map();
    throw new Error(`key file ${path}: ${(error as Error).message}`);
  }
  const keys = keysIn(text);
  if (keys) return keys;
  throw new Error(`key file ${path}: it is not whole; it stays as it is, the one before is ${path}.previous`);
}

/** Undefined if the text is cut off, or any key is not the one that its digest says. */
function keysIn(text: string): Map<string, string> | undefined {
  try {
    const { kakehi_keys, keys } = JSON.parse(text);
    const entries = Object.entries(keys as Record<string, string>);
    const isWhole = kakehi_keys === FORMAT && entries.every(([digest, pem]) => keyDigest(pem) === digest);
    return isWhole ? new Map(entries) : undefined;
  } catch {
    return undefined;
  }
}
