// HTTP/2 frames as a scripted peer writes them and as a test reads them. Header blocks are written without compression, so
// that any bytes can be put into them; what the codec writes is read by hpack.js, which is not ours.

import hpack from "hpack.js";
import type { Bytes } from "./bytes.ts";

export const MAGIC = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const TYPES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
];
export const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] =
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
export const PRIORITY_UPDATE = 16;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const WITH_PRIORITY = 32;

export const CODES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

export type Field = readonly [name: string, value: string];

export function u32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

export function frame(type: number, flags: number, stream: number, payload: ArrayLike<number> = []): Bytes {
  const { length } = payload;
  const bytes = new Uint8Array(9 + length);
  bytes.set([length >>> 16, length >>> 8 & 255, length & 255, type, flags, ...u32(stream)]);
  bytes.set(payload, 9);
  return bytes;
}

export function concat(...parts: ArrayLike<number>[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function string(text: string): number[] {
  const bytes = [...text].map((char) => char.charCodeAt(0));
  return [...integer(0, 127, bytes.length), ...bytes];
}

function integer(pattern: number, mask: number, value: number): number[] {
  if (value < mask) return [pattern | value];
  const bytes = [pattern | mask];
  for (value -= mask; value > 127; value >>>= 7) bytes.push(value & 127 | 128);
  return [...bytes, value];
}

/** A header block of literals without indexing. */
export function block(fields: readonly Field[]): number[] {
  return fields.flatMap(([name, value]) => [0, ...string(name), ...string(value)]);
}

export function headers(stream: number, fields: readonly Field[], flags = END_HEADERS | END_STREAM): Bytes {
  return frame(HEADERS, flags, stream, block(fields));
}

/** `[identifier, value]` of each. */
export function settings(...entries: readonly (readonly [number, number])[]): Bytes {
  return frame(SETTINGS, 0, 0, entries.flatMap(([id, value]) => [id >>> 8, id & 255, ...u32(value)]));
}

export function windowUpdate(stream: number, increment: number): Bytes {
  return frame(WINDOW_UPDATE, 0, stream, u32(increment));
}

export function rstStream(stream: number, code = 8): Bytes {
  return frame(RST_STREAM, 0, stream, u32(code));
}

export function goaway(last: number, code = 0, debug: number[] = []): Bytes {
  return frame(GOAWAY, 0, 0, [...u32(last), ...u32(code), ...debug]);
}

export function data(stream: number, length: number, flags = 0): Bytes {
  return frame(DATA, flags, stream, new Uint8Array(length).fill(0x61));
}

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Uint8Array;
}

/** Takes whole frames apart; throws when the last is not. */
export function frames(bytes: Uint8Array): Frame[] {
  const list: Frame[] = [];
  let at = 0;
  while (at < bytes.length) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const length = view.getUint32(0) >>> 8;
    if (at + 9 + length > bytes.length) throw new Error(`a frame of ${length} bytes is cut`);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    list.push({ type: view.getUint8(3), flags: view.getUint8(4), stream: view.getUint32(5), payload });
    at += 9 + length;
  }
  return list;
}

/** A frame in words, e.g. "RST_STREAM 1 CANCEL". */
export function inWords({ type, flags, stream, payload }: Frame): string {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const code = (at: number) => CODES[view.getUint32(at)] ?? String(view.getUint32(at));
  switch (type) {
    case SETTINGS: {
      if (flags & ACK) return "SETTINGS ack";
      const entries = Array.from(
        { length: payload.length / 6 },
        (_, i) => `${view.getUint16(i * 6)}=${view.getUint32(i * 6 + 2)}`,
      );
      return ["SETTINGS", ...entries].join(" ");
    }
    case PING:
      return `PING${flags & ACK ? " ack" : ""} ${
        [...payload].map((byte) => byte.toString(16).padStart(2, "0")).join("")
      }`;
    case RST_STREAM:
      return `RST_STREAM ${stream} ${code(0)}`;
    case GOAWAY:
      return `GOAWAY ${view.getUint32(0)} ${code(4)}`;
    case WINDOW_UPDATE:
      return `WINDOW_UPDATE ${stream} +${view.getUint32(0)}`;
    default:
      return `${TYPES[type] ?? type} ${stream} ${payload.length}${flags & END_STREAM ? " end" : ""}`;
  }
}

/** Reads header blocks, one after the other, as the peer of one connection does. */
export class BlockReader {
  readonly #decompressor = hpack.decompressor.create({ table: { maxSize: 4096 } });

  read(bytes: Uint8Array): Field[] {
    const fields: Field[] = [];
    this.#decompressor.write(bytes);
    this.#decompressor.execute();
    for (let header = this.#decompressor.read(); header; header = this.#decompressor.read()) {
      fields.push([String(header.name), String(header.value)]);
    }
    return fields;
  }
}

/** HEADERS and CONTINUATION frames of one block, as it was. */
export function joined(list: readonly Frame[]): Bytes {
  return concat(...list.map(({ payload }) => payload));
}
