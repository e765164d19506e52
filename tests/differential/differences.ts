// Where our verdict differs from llhttp's on purpose: the table behind DIFFERENCES.md, which says why. Each entry decides
// for itself, from the bytes and from what the other parser made of them, whether it explains a difference; nothing of
// our codec is asked. What no entry explains is a bug.

import { toText } from "../support/bytes.ts";
import type { Field, Reading } from "./reading.ts";

export interface Difference {
  /** As the heading in DIFFERENCES.md. */
  name: string;
  /** Whether ours may refuse these bytes though the other parser does not. */
  explains(text: string, other: Reading): boolean;
}

/** Limits that the codec runs with here; all but the number of trailer fields are wide. */
export const HEADERS_MAX = 1000;
export const HEADER_BYTES_MAX = 40000;
const TRAILERS_MAX = 32;
const CHUNK_FRAMING_MAX = 16384;
const CONNECTION_OPTIONS_MAX = 32;
const HOST_BYTES_MAX = 261;

export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field[0].toLowerCase() === name).map((field) => field[1]);
}

const HOST = /^(?:\[[0-9a-fA-F:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})+)(?::(\d{1,5}))?$/;

function isHost(text: string): boolean {
  const [, port] = text.match(HOST) ?? [text];
  return HOST.test(text) && text.length <= HOST_BYTES_MAX &&
    (!text.startsWith("[") || URL.canParse(`http://${text}/`)) &&
    (port === undefined || (Number(port) > 0 && Number(port) < 65536));
}

/** Whether two hosts are the same where a port of `usual` goes without saying. */
function isSameHost(a: string, b: string, usual: string): boolean {
  const bare = (host: string) => host.toLowerCase().replace(new RegExp(`:${usual}$`), "");
  return bare(a) === bare(b);
}

function authorityOf(target: string): { scheme: string; host: string } | undefined {
  const [, scheme, host] = target.match(/^(https?):\/\/([^/?]*)/i) ?? [];
  return scheme === undefined ? undefined : { scheme: scheme.toLowerCase(), host: host! };
}

function isAbsoluteOrOrigin(target: string): boolean {
  const absolute = authorityOf(target);
  return absolute ? isHost(absolute.host) : target.startsWith("/");
}

/** Sizes of the chunks, as far as they can be read. */
function chunkSizes(text: string): bigint[] {
  const sizes = [...text.matchAll(/\r\n([0-9a-fA-F]{14,})[;\r]/g)].map((match) => BigInt(`0x${match[1]}`));
  return sizes;
}

function isRequest(text: string): boolean {
  return !/^\s*HTTP\//.test(text);
}

export const DIFFERENCES: readonly Difference[] = [
  {
    name: "only HTTP/1.0 and HTTP/1.1",
    explains: (text, { version }) => (version !== "" && version !== "1.0" && version !== "1.1") || isPreface(text),
  },
  {
    name: "empty lines before a message",
    explains: (text) => isRequest(text) ? /^(?:[\r\n]*\n\r\n|\n|\r[^\n])/.test(text) : /^[\r\n]/.test(text),
  },
  {
    name: "one blank between the parts of a request line",
    explains: (text) => isRequest(text) && !/^(?:\r\n)?[^ \r\n]+ [^ \r\n]+ HTTP\/\d\.\d\r\n/.test(text),
  },
  {
    name: "characters of a target",
    explains: (text, { target }) =>
      isRequest(text) && !/^(?:[A-Za-z0-9._~:/?[\]@!$&'()*+,;=-]|%[0-9a-fA-F]{2})*$/.test(target),
  },
  {
    name: "forms of a target",
    explains: (text, { target }) =>
      isRequest(text) && !/^(?:\r\n)?CONNECT /.test(text) && !isAbsoluteOrOrigin(target) &&
      !(target === "*" && /^(?:\r\n)?OPTIONS /.test(text)),
  },
  {
    name: "Host is missing, repeated or no host",
    explains: (text, { fields, version, hasHead }) => {
      const hosts = valuesOf(fields, "host");
      if (!isRequest(text) || !hasHead) return false;
      return hosts.length > 1 || (hosts.length === 0 && version !== "1.0") || hosts.some((host) => !isHost(host));
    },
  },
  {
    name: "Host and target disagree",
    explains: (text, { fields, target }) => {
      const absolute = authorityOf(target);
      const [host] = valuesOf(fields, "host");
      if (!isRequest(text) || !absolute || host === undefined) return false;
      return !isSameHost(absolute.host, host, absolute.scheme === "http" ? "80" : "443");
    },
  },
  {
    name: "CONNECT",
    explains: (text, { fields, target }) => {
      if (!/^(?:\r\n)?CONNECT /.test(text)) return false;
      const [host] = valuesOf(fields, "host");
      const bodied = valuesOf(fields, "content-length").some((value) => Number(value) > 0) ||
        valuesOf(fields, "transfer-encoding").length > 0;
      return bodied || !isHost(target) || !/:\d+$/.test(target) ||
        (host ?? target).toLowerCase() !== target.toLowerCase();
    },
  },
  {
    name: "a transfer coding other than chunked, once",
    explains: (_, { fields }) => {
      const codings = valuesOf(fields, "transfer-encoding");
      return codings.length > 1 || codings.some((value) => value.toLowerCase() !== "chunked");
    },
  },
  {
    name: "a tab behind a transfer coding",
    explains: (text) => /\r\ntransfer-encoding:[^\r\n]*\t[ \t]*\r\n/i.test(text),
  },
  {
    name: "a transfer coding in HTTP/1.0",
    explains: (_, { fields, version }) => version === "1.0" && valuesOf(fields, "transfer-encoding").length > 0,
  },
  {
    name: "lengths over 2^53 - 1",
    explains: (text, { fields }) =>
      valuesOf(fields, "content-length").some((value) =>
        value.length > 16 || Number(value) > Number.MAX_SAFE_INTEGER
      ) ||
      chunkSizes(text).some((size) => size > BigInt(Number.MAX_SAFE_INTEGER)),
  },
  {
    name: "more than 32 connection options",
    explains: (_, { fields }) => {
      const options = valuesOf(fields, "connection").flatMap((value) => value.split(","));
      return options.filter((option) => option.trim() !== "").length > CONNECTION_OPTIONS_MAX;
    },
  },
  {
    name: "a status that no response has",
    explains: (text, { status, hasHead }) => !isRequest(text) && hasHead && (status < 100 || status > 599),
  },
  {
    name: "control characters in a reason",
    // deno-lint-ignore no-control-regex
    explains: (text) => /^HTTP\/\d\.\d \d{3} [^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text),
  },
  {
    name: "CR CR behind a status line",
    explains: (text) => /^HTTP\/\d\.\d \d{3}(?: [^\r\n]*)?\r\r/.test(text),
  },
  {
    name: "a switch of protocols that was not asked for",
    explains: (text, { status }) => !isRequest(text) && status === 101,
  },
  {
    name: "limits",
    explains: (text, { fields }) => {
      const end = text.indexOf("\r\n\r\n", 2);
      const headBytes = end < 0 ? text.length : end + 4;
      const lastChunk = text.slice(end).match(/\r\n0+(?:;[^\r\n]*)?\r\n/)?.index;
      const trailers = lastChunk === undefined ? 0 : text.slice(end + lastChunk).split("\r\n").length;
      return headBytes > HEADER_BYTES_MAX || fields.length > HEADERS_MAX || trailers > TRAILERS_MAX ||
        (text.length - headBytes > CHUNK_FRAMING_MAX && valuesOf(fields, "transfer-encoding").length > 0);
    },
  },
];

function isPreface(text: string): boolean {
  return /^(?:\r\n)?PRI \* HTTP\/2\.0/.test(text);
}

/** The differences that explain why ours refuses what the other parser does not. */
export function explain(input: Uint8Array, other: Reading): string[] {
  const text = toText(input);
  return DIFFERENCES.filter((difference) => difference.explains(text, other)).map(({ name }) => name);
}

// ---- where ours accepts, or reads otherwise ----

export const EQUAL_LENGTHS = "equal lengths are one";
export const METHOD_END = "a method is read to its end";
export const REFUSED_LATER = "both framings are refused when the head is whole";
export const INTERIM_BODY = "no body behind an interim response";
export const OTHER_DIFFERENCES: readonly string[] = [EQUAL_LENGTHS, METHOD_END, REFUSED_LATER, INTERIM_BODY];
