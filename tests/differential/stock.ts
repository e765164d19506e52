// llhttp as it comes in the npm package, without anything of ours: its own framing, its own strictness. Driven directly,
// since the package's wrapper loses what arrives in two pieces.

import { llhttpBytes } from "../../scripts/llhttp.ts";
import { toText } from "../support/bytes.ts";
import { emptyReading, type Reading, type Side } from "./reading.ts";

const REQUEST = 1;
const RESPONSE = 2;
const OK = 0;
const PAUSED = 21;
const PAUSED_UPGRADE = 22;
const INPUT_MAX = 1 << 16;

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(size: number): number;
  llhttp_alloc(type: number): number;
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_get_error_reason(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_get_status_code(parser: number): number;
}

export class Stock {
  readonly #exports: Exports;
  readonly #memory: Uint8Array;
  readonly #inputAt: number;
  readonly #parsers: Record<number, number>;
  #reading = emptyReading();
  #skipsBody = false;
  #done = false;
  #inName = false;

  private constructor(bytes: Uint8Array<ArrayBuffer>) {
    const text = (at: number, length: number) => toText(this.#memory.subarray(at, at + length));
    const env = {
      wasm_on_message_begin: () => OK,
      wasm_on_url: (_: number, at: number, length: number) => {
        this.#reading.target += text(at, length);
        return OK;
      },
      wasm_on_status: () => OK,
      wasm_on_header_field: (_: number, at: number, length: number) => {
        if (!this.#reading.hasHead) this.#onName(text(at, length));
        return OK;
      },
      wasm_on_header_value: (_: number, at: number, length: number) => {
        if (!this.#reading.hasHead) this.#onValue(text(at, length));
        return OK;
      },
      wasm_on_headers_complete: (parser: number) => {
        this.#onHeadersComplete(parser);
        return this.#skipsBody ? 1 : OK;
      },
      wasm_on_body: (_: number, at: number, length: number) => {
        this.#reading.body += text(at, length);
        return OK;
      },
      wasm_on_message_complete: () => {
        this.#done = true;
        return PAUSED;
      },
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env });
    this.#exports = instance.exports as unknown as Exports;
    this.#exports._initialize();
    this.#inputAt = this.#exports.malloc(INPUT_MAX);
    this.#parsers = {
      [REQUEST]: this.#exports.llhttp_alloc(REQUEST),
      [RESPONSE]: this.#exports.llhttp_alloc(RESPONSE),
    };
    this.#memory = new Uint8Array(this.#exports.memory.buffer);
  }

  static async load(): Promise<Stock> {
    return new Stock(await llhttpBytes());
  }

  read(side: Side, input: Uint8Array): Reading {
    const parser = this.#parsers[side === "request" ? REQUEST : RESPONSE]!;
    this.#reading = emptyReading();
    this.#skipsBody = side === "response to HEAD";
    this.#done = this.#inName = false;
    this.#exports.llhttp_reset(parser);
    this.#memory.set(input, this.#inputAt);
    const code = this.#exports.llhttp_execute(parser, this.#inputAt, input.length);
    const reading = this.#reading;
    for (const field of reading.fields) field[1] = field[1].replace(/[ \t]+$/, "");
    reading.verdict = this.#done ? "whole" : "more";
    if (code !== OK && code !== PAUSED && code !== PAUSED_UPGRADE) {
      reading.verdict = "refused";
      reading.reason = this.#cString(this.#exports.llhttp_get_error_reason(parser));
    }
    return reading;
  }

  #onName(text: string): void {
    const { fields } = this.#reading;
    if (this.#inName) fields.at(-1)![0] += text;
    else fields.push([text, ""]);
    this.#inName = true;
  }

  #onValue(text: string): void {
    this.#reading.fields.at(-1)![1] += text;
    this.#inName = false;
  }

  #onHeadersComplete(parser: number): void {
    const reading = this.#reading;
    reading.hasHead = true;
    reading.version = `${this.#exports.llhttp_get_http_major(parser)}.${this.#exports.llhttp_get_http_minor(parser)}`;
    reading.status = this.#exports.llhttp_get_status_code(parser);
  }

  #cString(at: number): string {
    return toText(this.#memory.subarray(at, this.#memory.indexOf(0, at)));
  }
}
