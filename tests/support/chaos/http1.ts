// Messages of HTTP/1 as they come over a wire, for either side: strict, since what it reads was written by the proxy.

import type { Bytes } from "../bytes.ts";
import { concat, fromText, indexOf, toText } from "../bytes.ts";

export interface Head {
  line: string;
  /** Names in lower case; of several the last. */
  fields: Map<string, string>;
}

export interface Http1Events {
  /** A head has come. What its body is: a length, "chunks", or "close". */
  onHead(head: Head): number | "chunks" | "close";
  onData(piece: Uint8Array): void;
  /** The message is whole. */
  onEnd(trailers: Map<string, string>): void;
}

const HEAD_MAX = 64 * 1024;

export class Http1Reader {
  #held: Bytes = new Uint8Array();
  #state: "head" | "body" | "size" | "chunk" | "close" = "head";
  #left = 0;
  constructor(private readonly events: Http1Events) {}

  /** Nothing of a message has come that is not whole. */
  get isBetween(): boolean {
    return this.#state === "head" && this.#held.length === 0;
  }

  take(bytes: Uint8Array): void {
    this.#held = this.#held.length === 0 ? Uint8Array.from(bytes) : concat([this.#held, bytes]);
    while (this.#held.length > 0 && this.#step());
  }

  /** The connection has ended. False: in the middle of a message. */
  close(): boolean {
    if (this.#state === "close") {
      this.#end(new Map());
      return true;
    }
    return this.isBetween;
  }

  /** False: more has to come. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "size":
        return this.#readSize();
      case "close":
        this.events.onData(this.#take(this.#held.length));
        return true;
      case "body":
        this.#readData();
        if (this.#left === 0) this.#end(new Map());
        return true;
      case "chunk":
        return this.#readChunk();
    }
  }

  #readData(): void {
    const length = Math.min(this.#left, this.#held.length);
    this.#left -= length;
    this.events.onData(this.#take(length));
  }

  #readHead(): boolean {
    const text = this.#section();
    if (text === undefined) return false;
    const [line = "", ...lines] = text.split("\r\n");
    const body = this.events.onHead({ line, fields: fieldsOf(lines) });
    this.#left = typeof body === "number" ? body : 0;
    this.#state = body === "chunks" ? "size" : body === "close" ? "close" : "body";
    if (body === 0) this.#end(new Map());
    return true;
  }

  /** Lines up to an empty one. */
  #section(): string | undefined {
    const at = indexOf(this.#held, "\r\n\r\n");
    if (at >= 0) return toText(this.#take(at + 4)).slice(0, -4);
    if (this.#held.length > HEAD_MAX) {
      throw new Error(`a head does not end: ${JSON.stringify(toText(this.#held.subarray(0, 300)))}`);
    }
    return undefined;
  }

  #readSize(): boolean {
    const at = indexOf(this.#held, "\r\n");
    if (at < 0) return false;
    const line = toText(this.#held.subarray(0, at));
    if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`no size of a chunk: ${JSON.stringify(line.slice(0, 80))}`);
    this.#left = parseInt(line, 16);
    if (this.#left > 0) {
      this.#take(at + 2);
      this.#state = "chunk";
      return true;
    }
    return this.#readTrailers(at + 2);
  }

  #readTrailers(from: number): boolean {
    if (toText(this.#held.subarray(from, from + 2)) === "\r\n") {
      this.#take(from + 2);
      this.#end(new Map());
      return true;
    }
    const end = indexOf(this.#held, "\r\n\r\n", from);
    if (end < 0) return false;
    const lines = toText(this.#held.subarray(from, end)).split("\r\n");
    this.#take(end + 4);
    this.#end(fieldsOf(lines));
    return true;
  }

  #readChunk(): boolean {
    if (this.#left > 0) {
      this.#readData();
      return true;
    }
    if (this.#held.length < 2) return false;
    const end = toText(this.#take(2));
    if (end !== "\r\n") throw new Error(`a chunk is longer than its size: ${JSON.stringify(end)}`);
    this.#state = "size";
    return true;
  }

  #end(trailers: Map<string, string>): void {
    this.#state = "head";
    this.events.onEnd(trailers);
  }

  #take(count: number): Bytes {
    const piece = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return piece;
  }
}

function fieldsOf(lines: string[]): Map<string, string> {
  return new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Error(`no field: ${JSON.stringify(line.slice(0, 80))}`);
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
}

/** A head as bytes. */
export function headBytes(line: string, fields: readonly (readonly [string, string])[]): Bytes {
  return fromText([line, ...fields.map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n"));
}

export function chunk(piece: Uint8Array): Bytes {
  return concat([fromText(piece.length.toString(16) + "\r\n"), piece, fromText("\r\n")]);
}

export function lastChunk(trailers: readonly (readonly [string, string])[] = []): Bytes {
  return fromText(["0", ...trailers.map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n"));
}
