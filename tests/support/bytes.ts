// Bytes as tests need them: joining, searching, and showing them so that a failure can be read. Text is Latin-1 both
// ways, so that every byte has exactly one character.

export type Bytes = Uint8Array<ArrayBuffer>;

export function fromText(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 255) throw new Error(`the character ${JSON.stringify(text[at])} is no single byte; write it as \\xNN`);
    bytes[at] = code;
  }
  return bytes;
}

export function toText(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) {
    text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  }
  return text;
}

export function concat(pieces: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Index of `wanted` in `bytes` at or behind `from`, or -1. */
export function indexOf(bytes: Uint8Array, wanted: string, from = 0): number {
  const first = wanted.charCodeAt(0);
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let same = 1;
    while (same < wanted.length && bytes[at + same] === wanted.charCodeAt(same)) same++;
    if (same === wanted.length) return at;
  }
  return -1;
}

/** Bytes as one readable line, long ones with their middle left out. */
export function show(bytes: Uint8Array, max = 600): string {
  if (bytes.length > max) {
    const half = Math.floor(max / 2);
    const tail = bytes.subarray(bytes.length - half);
    return `${show(bytes.subarray(0, half), max)} … ${bytes.length} bytes in all … ${show(tail, max)}`;
  }
  return toText(bytes).replaceAll(/[^\x20-\x7e]|\\/g, (char) => {
    if (char === "\r") return "\\r";
    if (char === "\n") return "\\n\n    ";
    if (char === "\t") return "\\t";
    if (char === "\\") return "\\\\";
    return "\\x" + char.charCodeAt(0).toString(16).padStart(2, "0");
  }).replace(/\n {4}$/, "");
}
