// llhttp as we import it, and the one place that knows the layout of its parser. A parser is 64 bytes that can be
// copied: each connection's record begins with one, copied from a template. start() proves the offsets by parsing.
//
// The parser finds tokens and refuses bad bytes. It does not decide where a message ends: framing.ts does, from the
// header block, and llhttp only goes on behind a head to decode chunks.

@external("env", "llhttp_alloc")
declare function llhttp_alloc(type: i32): usize;
@external("env", "llhttp_execute")
export declare function llhttp_execute(parser: usize, at: usize, length: usize): i32;
@external("env", "llhttp_resume")
export declare function llhttp_resume(parser: usize): void;

export const PARSER_BYTES: usize = 64;
const TYPE_REQUEST: i32 = 1;
const TYPE_RESPONSE: i32 = 2;

// llhttp_t in wasm32
const ERROR_POS: usize = 20;
const CONTENT_LENGTH: usize = 32;
const METHOD: usize = 41;
const MAJOR: usize = 42;
const FLAGS: usize = 50;
const STATUS: usize = 52;

const FLAG_CHUNKED: u16 = 0x08;
/** llhttp's F_CONTENT_LENGTH, and the code by which a callback stops the parser behind what it was called for. */
const FLAG_CONTENT_LENGTH: u16 = 0x20;
export const PAUSED: i32 = 21;

/** "HTTP/1.1" and "HTTP/1.0" as they lie in memory. */
export const HTTP_1_1: u64 = 0x312e312f50545448;
export const HTTP_1_0: u64 = 0x302e312f50545448;

export const HPE_INVALID_METHOD: i32 = 6;
export const HPE_INVALID_VERSION: i32 = 9;
/** Behind "PRI * HTTP/2.0 … SM". */
export const HPE_PAUSED_H2_UPGRADE: i32 = 23;

let requestTemplate: usize = 0;
let responseTemplate: usize = 0;

/** Makes the two templates. False if llhttp put them where our statics are. */
export function allocateTemplates(): bool {
  requestTemplate = llhttp_alloc(TYPE_REQUEST);
  responseTemplate = llhttp_alloc(TYPE_RESPONSE);
  return requestTemplate + PARSER_BYTES <= 131072 && responseTemplate + PARSER_BYTES <= 131072;
}

@inline
function copyParser(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  v128.store(to, v128.load(from, 32), 32);
  v128.store(to, v128.load(from, 48), 48);
}

@inline
export function resetRequest(parser: usize): void {
  copyParser(parser, requestTemplate);
}

@inline
export function resetResponse(parser: usize): void {
  copyParser(parser, responseTemplate);
}

@inline
export function errorPosition(parser: usize): u32 {
  return load<u32>(parser, ERROR_POS);
}

/** What is left of the chunk being read. */
@inline
export function chunkRemaining(parser: usize): u64 {
  return load<u64>(parser, CONTENT_LENGTH);
}

@inline
export function methodNumber(parser: usize): u32 {
  return load<u8>(parser, METHOD);
}

@inline
export function statusCode(parser: usize): u32 {
  return load<u16>(parser, STATUS);
}

/** Whether llhttp will decode chunks behind the head. */
@inline
export function decodesChunks(parser: usize): bool {
  return (load<u16>(parser, FLAGS) & FLAG_CHUNKED) != 0;
}

/**
 * Forgets a Content-Length that was read, so that llhttp does not refuse a repeated one: framing.ts merges equal
 * repeats and refuses different ones.
 */
@inline
export function forgetContentLength(parser: usize): void {
  const flags = load<u16>(parser, FLAGS);
  if (flags & FLAG_CONTENT_LENGTH) {
    store<u16>(parser, flags & ~FLAG_CONTENT_LENGTH, FLAGS);
    store<u64>(parser, 0, CONTENT_LENGTH);
  }
}

/** Whether the offsets above are those of the llhttp that was merged: parses `text` (a request in memory) and looks. */
export function provesLayout(parser: usize, at: usize, length: usize): bool {
  resetRequest(parser);
  const code = llhttp_execute(parser, at, length);
  return code == PAUSED && errorPosition(parser) == u32(at + length) && methodNumber(parser) == 3 &&
    load<u8>(parser, MAJOR) == 1 && load<u64>(parser, CONTENT_LENGTH) == 7 &&
    (load<u16>(parser, FLAGS) & FLAG_CONTENT_LENGTH) != 0;
}
