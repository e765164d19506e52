// Reads test vectors from Markdown (tests/vectors/README.md says how they are written) into values, and turns the text
// of their blocks into bytes and patterns. Strict: an unknown block, key, escape or macro is an error that names file
// and line, since a vector that is not understood tests nothing.

import { type Bytes, concat, fromText } from "./bytes.ts";
import type { Part, Pattern } from "./patterns.ts";

export interface Outcome {
  /** Status of the proxy's own answer, which ends the exchange; absent: no such answer. */
  status?: number;
  /** The counter `refused.NAME` that goes up by one. */
  refusal?: string;
  /** The proxy closes the client's connection by itself. */
  close: boolean;
  /** What may reach the backend: the `backend` blocks whole, at most a beginning of the last of them, or nothing. */
  backend: "whole" | "part" | "nothing";
  /** The answer breaks off: the client gets a beginning of the `client` block, or, if nothing was sent yet, `status`. */
  cut: boolean;
  /** What becomes of the connection to the backend. */
  connection?: "kept" | "closed";
}

export interface Answer {
  text: string;
  /** What the backend does with its connection behind the bytes. */
  then: "keep" | "close" | "reset";
}

export interface Vector {
  /** File and heading. */
  name: string;
  why: string;
  input: string;
  backends: string[];
  answers: Answer[];
  client: string;
  outcome: Outcome;
}

export interface VectorFile {
  name: string;
  /** Configuration added to the one that the vectors run with. */
  yaml: string;
  vectors: Vector[];
}

/** What macros need to know of the exchange. */
export interface Context {
  /** The listener's port. */
  port: number;
}

const DEFAULT_INPUT = "GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n";
const DEFAULT_BACKEND = "GET / HTTP/1.1\\r\\nHost: a.test\\r\\n{forwarded}\\r\\n";
const OK = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nDate: Thu, 01 Jan 2026 00:00:00 GMT\\r\\n\\r\\nok";

interface Block {
  kind: string;
  text: string;
  line: number;
}

interface Section {
  heading: string;
  line: number;
  prose: string;
  blocks: Block[];
}

/** Cuts a file into its sections: the one under the title first, then one a `##`. */
function sections(name: string, markdown: string): Section[] {
  const found: Section[] = [];
  let block: Block | undefined;
  markdown.split("\n").forEach((text, index) => {
    const line = index + 1;
    const section = found.at(-1);
    if (block) {
      if (text === "```") block = undefined;
      else block.text += text + "\n";
    } else if (/^##? /.test(text)) {
      found.push({ heading: text.replace(/^##? /, ""), line, prose: "", blocks: [] });
    } else if (!section) {
      if (text !== "") throw new Error(`${name}:${line}: the file must begin with "# Title"`);
    } else if (text.startsWith("```")) {
      block = { kind: text.slice(3).trim(), text: "", line };
      section.blocks.push(block);
    } else section.prose += text + " ";
  });
  if (block) throw new Error(`${name}:${block.line}: this block has no end`);
  return found;
}

function readOutcome(place: string, text: string): Partial<Outcome> {
  const outcome: Partial<Outcome> = {};
  for (const line of text.trim().split("\n")) {
    const [, key, value] = line.match(/^(\w+): (\S+)$/) ?? [];
    const entry = `${key}: ${value}`;
    if (key === "status" && /^[45]\d\d$/.test(value!)) outcome.status = Number(value);
    else if (key === "refusal" && /^[a-z_]+$/.test(value!)) outcome.refusal = value!;
    else if (entry === "close: yes" || entry === "close: no") outcome.close = value === "yes";
    else if (entry === "cut: yes") outcome.cut = true;
    else if (entry === "backend: part" || entry === "backend: whole" || entry === "backend: nothing") {
      outcome.backend = value as Outcome["backend"];
    } else if (entry === "connection: kept" || entry === "connection: closed") {
      outcome.connection = value as "kept" | "closed";
    } else {throw new Error(
        `${place}: outcome "${line}" is not one of status, refusal, close, cut, backend, connection`,
      );}
  }
  return outcome;
}

function readAnswer(place: string, block: Block): Answer {
  const then = block.kind.split(" ")[1] ?? "keep";
  if (then !== "keep" && then !== "close" && then !== "reset") {
    throw new Error(`${place}: "${block.kind}": behind an answer comes "close", "reset" or nothing`);
  }
  return { text: block.text, then };
}

function readVector(file: string, section: Section): Vector {
  const place = `${file}:${section.line}`;
  const fail = (words: string): never => {
    throw new Error(`${place}: "${section.heading}" ${words}`);
  };
  const of = (kind: string) => section.blocks.filter((block) => block.kind.split(" ")[0] === kind);
  const known = ["in", "backend", "answer", "client", "outcome"];
  const unknown = section.blocks.find((block) => !known.includes(block.kind.split(" ")[0]!));
  if (unknown) fail(`has a block "${unknown.kind}"; known are ${known.join(", ")}`);
  for (const kind of ["in", "client", "outcome"]) if (of(kind).length > 1) fail(`has two blocks "${kind}"`);
  if (!section.prose.includes("§")) fail("does not say why, with a section (§) of an RFC");

  const answers = of("answer").map((block) => readAnswer(place, block));
  const given = readOutcome(place, of("outcome")[0]?.text ?? "close: no");
  const backends = of("backend").map((block) => block.text);
  if (backends.length === 0 && answers.length > 0) backends.push(DEFAULT_BACKEND);
  const refusedAtOnce = given.status !== undefined && answers.length === 0;
  const backend = given.backend ?? (refusedAtOnce && backends.length === 0 ? "nothing" : "whole");
  if (backend === "nothing" && backends.length > 0) fail('has a block "backend" though nothing may reach it');
  if (backend !== "nothing" && backends.length === 0) fail('has neither a block "backend" nor a refusal');
  while (answers.length < backends.length - (backend === "part" ? 1 : 0)) answers.push({ text: OK, then: "keep" });
  if (of("in").length === 0 && of("answer").length === 0) fail('has no block "in"');
  if (given.status !== undefined && !given.refusal) fail("has a status but no refusal's name");

  const answered = given.status !== undefined && of("client").length === 0;
  const client = of("client")[0]?.text ?? (answered && of("answer").length > 0 ? "" : answers.map(() => OK).join(""));
  return {
    name: `${file}: ${section.heading}`,
    why: section.prose.trim(),
    input: of("in")[0]?.text ?? DEFAULT_INPUT,
    backends,
    answers,
    client,
    outcome: { close: false, cut: false, ...given, backend },
  };
}

export function parseVectors(file: string, markdown: string): VectorFile {
  const [title, ...rest] = sections(file, markdown);
  if (!title) throw new Error(`${file}: the file is empty`);
  const odd = title.blocks.find((block) => block.kind !== "yaml");
  if (odd) throw new Error(`${file}:${odd.line}: a block "${odd.kind}" before the first vector`);
  const vectors = rest.map((section) => readVector(file, section));
  const names = new Set<string>();
  for (const { name } of vectors) {
    if (names.has(name)) throw new Error(`${name}: there are two vectors of this name`);
    names.add(name);
  }
  return { name: file, yaml: title.blocks.map((block) => block.text).join(""), vectors };
}

/** All files of tests/vectors whose name begins with `prefix`, by name. */
export function loadVectors(prefix: string): VectorFile[] {
  const folder = new URL("../vectors/", import.meta.url);
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => name.startsWith(prefix));
  return names.sort().map((name) => parseVectors(name, Deno.readTextFileSync(new URL(name, folder))));
}

// ---- text of a block → bytes and patterns ----

function forwarded(host = "a.test", version = "1.1"): string {
  const lines = ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", `X-Forwarded-Host: ${host}`];
  lines.push("X-Forwarded-Port: {port}", "X-Request-Id: {request_id}", `Via: ${version} kakehi`);
  return lines.map((line) => line + "\\r\\n").join("");
}

function repeated(rest: string, context: Context): Bytes {
  const [, text, count] = rest.match(/^(.*) (\d+)$/) ?? [];
  if (text === undefined) throw new Error(`"{repeat ${rest}}" is not "{repeat TEXT COUNT}"`);
  return concat(new Array<Bytes>(Number(count)).fill(toBytes(text, context)));
}

const MACROS = "port, request_id, date, forwarded, ok, chunks, chunks_repeat, repeat";

function expandMacro(name: string, rest: string, context: Context): Part[] {
  switch (name) {
    case "port":
      return [{ kind: "bytes", bytes: fromText(String(context.port)) }];
    case "request_id":
    case "date":
      return [{ kind: name }];
    case "forwarded":
      return [...toPattern(forwarded(...(rest ? rest.split(" ") : [])), context)];
    case "ok":
      return [...toPattern(OK, context)];
    case "chunks":
      return [{ kind: "chunks", bytes: toBytes(rest, context) }];
    case "repeat":
      return [{ kind: "bytes", bytes: repeated(rest, context) }];
    case "chunks_repeat":
      return [{ kind: "chunks", bytes: repeated(rest, context) }];
    default:
      throw new Error(`"{${name}}" is no macro; known are ${MACROS}`);
  }
}

const ESCAPES: Record<string, string> = { r: "\r", n: "\n", t: "\t", "0": "\0", "\\": "\\" };

function unescape(token: string): string {
  if (token.startsWith("\\x")) return String.fromCharCode(parseInt(token.slice(2), 16));
  return ESCAPES[token[1]!]!;
}

const TOKEN = /\\x[0-9a-fA-F]{2}|\\[rnt0\\]|\{(\w+)(?: ([^{}]*))?\}|\n|[\x20-\x7e]/g;

/** Bytes and macros of a block; a line's end in the file stands for nothing. */
export function toPattern(text: string, context: Context): Pattern {
  const parts: Part[] = [];
  let literal = "";
  let end = 0;
  const flush = () => {
    if (literal) parts.push({ kind: "bytes", bytes: fromText(literal) });
    literal = "";
  };
  const blank = text.match(/[ \t]$/m);
  if (blank) throw new Error(`blanks at the end of a line cannot be seen; write \\x20 or \\t: ${JSON.stringify(text)}`);
  for (const match of text.matchAll(TOKEN)) {
    if (match.index !== end || match[0] === "{" || match[0] === "}" || match[0] === "\\") break;
    end += match[0].length;
    if (match[0] === "\n") continue;
    if (match[1]) {
      flush();
      parts.push(...expandMacro(match[1], match[2] ?? "", context));
    } else literal += match[0].startsWith("\\") ? unescape(match[0]) : match[0];
  }
  if (end !== text.length) throw new Error(`not understood in a vector: ${JSON.stringify(text.slice(end, end + 40))}`);
  flush();
  return parts;
}

/** The bytes of a block that has nothing variable in it. */
export function toBytes(text: string, context: Context): Bytes {
  return concat(
    toPattern(text, context).map((part) => {
      if (part.kind !== "bytes") throw new Error(`"{${part.kind}}" cannot stand in bytes that a test sends`);
      return part.bytes;
    }),
  );
}
