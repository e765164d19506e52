// Paths of routes: their kinds, and the normal form in which they are compared (RFC 3986 §6.2.2), so that two spellings
// of one rule are found to be the same. Normal form: unreserved characters are not percent-encoded, other encodings have
// upper-case digits, what a path may not carry raw is encoded; repeated slashes are merged, then dot segments resolved.

import { RE2JS } from "re2js";
import { FormatError } from "./format_error.ts";

/** Longest path of a rule: a target that the default limits let through. */
const PATH_LENGTH_MAX = 8192;

/** Longest regular expression: beyond it an expression is a list of paths, which has better forms. */
const REGEX_LENGTH_MAX = 1024;

const PATH = 'a path such as "/x", a prefix such as "/x/*", or "~" and a regular expression';

/** Segments of plain characters that begin with no dot: nothing to decode, merge or resolve. */
const PLAINLY_NORMAL = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)*\/?$/;
const UNRESERVED = /[\w.~-]/;
const RAW = /[\w.~!$&'()*+,;=:@\/-]/;

/** The canonical form of a route's path, "" for any; throws a FormatError. */
export function parsePathPattern(text: string): string {
  if (text === "") throw new FormatError(PATH, text, 'write "/*" for any path, or leave the key out');
  if (text.startsWith("~")) return checkRegex(text);
  if (text.length > PATH_LENGTH_MAX) throw new FormatError(`at most ${PATH_LENGTH_MAX} characters`, text);
  const isPrefix = text.endsWith("/*");
  checkPlain(text, isPrefix ? text.slice(0, -2) : text);
  if (!isPrefix) return normalPath(text);
  // The final slash is there while dot segments are resolved: "/a/../*" is "/*", not "/a/.." and a "*".
  const prefix = normalPath(text.slice(0, -1));
  return prefix === "/" ? "" : `${prefix}*`;
}

function checkPlain(text: string, body: string): void {
  if (!text.startsWith("/")) throw new FormatError(PATH, text, 'a path begins with "/"');
  if (body.includes("*")) {
    throw new FormatError(
      '"*" only as the last segment ("/x/*")',
      text,
      'other patterns are regular expressions: "~…"',
    );
  }
  if (/[?#]/.test(body)) throw new FormatError('no "?" and no "#": paths are compared without the query', text);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(body)) throw new FormatError("no control characters", text);
  if (/%(?![0-9A-Fa-f]{2})/.test(body)) throw new FormatError('two hexadecimal digits after each "%"', text);
}

/** Expressions that were found to be right: the routes of a platform have one of a few. */
const knownRegexes = new Set<string>();
const KNOWN_REGEXES_MAX = 1_000;

function checkRegex(text: string): string {
  if (knownRegexes.has(text)) return text;
  const source = text.slice(1);
  if (source === "") throw new FormatError('a regular expression after the "~"', text);
  if (source.length > REGEX_LENGTH_MAX) throw new FormatError(`at most ${REGEX_LENGTH_MAX} characters`, text);
  try {
    RE2JS.compile(source);
  } catch (error) {
    throw new FormatError("a regular expression in RE2 syntax", text, reasonOf(error));
  }
  if (canMatchNoPath(source)) {
    throw new FormatError(
      'a regular expression of the whole path, which begins with "/"',
      text,
      `did you mean "~.*${source}"?`,
    );
  }
  if (knownRegexes.size >= KNOWN_REGEXES_MAX) knownRegexes.clear();
  knownRegexes.add(text);
  return text;
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

/** True if every match would begin with a certain character that is neither "/" nor the "*" of OPTIONS. */
function canMatchNoPath(source: string): boolean {
  if (source.includes("|")) return false;
  const [, first, next] = /^\^?(?:\\(?=[!-\/:-@[-`{-~])|(?![\\.+*?()[\]{}^$|]))([ -~])([^]?)/.exec(source) ?? [];
  return first !== undefined && first !== "/" && first !== "*" && !/[?*{]/.test(next ?? "");
}

/** The normal form of a path that begins with "/"; never throws. */
export function normalPath(path: string): string {
  if (PLAINLY_NORMAL.test(path)) return path;
  const segments: string[] = [];
  const parts = normalEncoding(path).split("/");
  for (let at = 1; at < parts.length; at++) {
    const isLast = at === parts.length - 1;
    const part = parts[at]!;
    if (part === "..") segments.pop();
    else if (part !== "" && part !== ".") {
      segments.push(part);
      continue;
    }
    if (isLast) segments.push("");
  }
  return `/${segments.join("/")}`;
}

function normalEncoding(path: string): string {
  let out = "";
  const bytes = new TextEncoder().encode(path);
  for (let at = 0; at < bytes.length; at++) {
    const character = String.fromCharCode(bytes[at]!);
    if (character === "%") {
      const byte = parseInt(String.fromCharCode(bytes[at + 1]!, bytes[at + 2]!), 16);
      const decoded = String.fromCharCode(byte);
      out += UNRESERVED.test(decoded) ? decoded : encoded(byte);
      at += 2;
    } else out += RAW.test(character) ? character : encoded(bytes[at]!);
  }
  return out;
}

function encoded(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}
