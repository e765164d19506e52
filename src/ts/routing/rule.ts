// One rule: what it may say, its canonical form, and the total order in which the rules of one host are tried. Owned
// here: every refusal of a rule. The order depends on what the rules say and never on where they stand in a list.
//
// Host: exact, then the longest wildcard, then any. Within a host: exact path, then the longest prefix, then regular
// expressions, then any path; each comes to the next one when its methods or headers do not fit the request.

import { isWellEncoded, normaliseText } from "./path_form.ts";

/** A rule as the state has it. "" (or "*", "/*") means any; see CONFIGURATION for the forms of host and path. */
export interface RouteRule {
  /** `example.com`, `*.example.com` (any depth of labels), "" or `*`. */
  host: string;
  /** `/x`, `/x/*` (a prefix that ends at a "/" boundary), `~regex` (of the whole path), "" or `/*`. */
  path: string;
  /** Exact, case-sensitive (RFC 9110 §9.1); none means any. GET does not include HEAD. */
  methods: readonly string[];
  /** Name → exact value, or `*` for any value of a field that is there. All of them must hold. */
  headers: Readonly<Record<string, string>>;
  /** Orders regular expressions and rules that are otherwise equally specific; higher first. */
  priority: number;
}

/** Why rules were refused: which one (its id, or its index in a list), and what was wrong with it. */
export class RouteError extends Error {
  override name = "RouteError";
  constructor(readonly rule: number, readonly reason: string) {
    super(`route ${rule}: ${reason}`);
  }
}

export type HostKind = "exact" | "wildcard" | "any";
export type PathKind = "exact" | "prefix" | "regex" | "any";

/** A condition on a header: the lower-case name, and the value or null for any. */
export interface HeaderCondition {
  name: string;
  value: string | null;
}

/** A rule in canonical form: two rules that mean the same are equal in every field but `index`. */
export interface CanonicalRule {
  index: number;
  hostKind: HostKind;
  /** Lower-case, ASCII, without trailing dot; of a wildcard what follows "*.". */
  host: string;
  pathKind: PathKind;
  /** In normal form; of a prefix without the final "/*"; of a regular expression its source. */
  path: string;
  /** Sorted, without repeats. */
  methods: string[];
  /** Sorted by name. */
  headers: HeaderCondition[];
  priority: number;
}

/** Longest name of a host (RFC 1035 §2.3.4) and of one of its labels. */
export const HOST_LENGTH_MAX = 253;
const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const IPV6 = /^\[[0-9a-f:]{2,39}(?:[0-9.]{7,15})?\]$/;

/** Longest path of a rule: a target that the default limits let through. */
const PATH_LENGTH_MAX = 8192;

/** Token of RFC 9110 §5.6.2. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/** The canonical form of a rule; throws a RouteError that names what was expected. */
export function canonicalRule(rule: RouteRule, index: number): CanonicalRule {
  const { kind: hostKind, name: host } = canonicalHost(rule.host, index);
  const { kind: pathKind, path } = canonicalPath(rule.path, index);
  if (!Number.isInteger(rule.priority)) {
    throw new RouteError(index, `priority ${rule.priority} is not a whole number`);
  }
  const methods = canonicalMethods(rule.methods, index);
  const headers = canonicalHeaders(rule.headers, index);
  return { index, hostKind, host, pathKind, path, methods, headers, priority: rule.priority };
}

/** The kind of a rule's host and its name in canonical form. */
export function canonicalHost(host: string, index: number): { kind: HostKind; name: string } {
  if (host === "" || host === "*") return { kind: "any", name: "" };
  const kind = host.startsWith("*.") ? "wildcard" : "exact";
  let name = kind === "wildcard" ? host.slice(2) : host;
  // Names of the length that a Host field can never reach are refused before anything looks at them.
  if (name.length > HOST_LENGTH_MAX + 1) throw badHost(host.slice(0, 40) + "…", index, "at most 253 characters");
  name = asciiName(name).toLowerCase();
  if (name.endsWith(".")) name = name.slice(0, -1);
  if (kind === "exact" && IPV6.test(name)) return { kind, name };
  if (/:\d*$/.test(name)) throw badHost(host, index, "a name without port: a rule holds for every port");
  if (!LABELS.test(name) || name.length > HOST_LENGTH_MAX) {
    throw badHost(host, index, 'a name such as "example.com", "*.example.com", "[::1]", or "*" for any');
  }
  return { kind, name };
}

function badHost(host: string, index: number, expected: string): RouteError {
  return new RouteError(index, `host ${JSON.stringify(host)}: expected ${expected}`);
}

/** An internationalised name as the wire has it (IDNA); "" if it has no such form. */
function asciiName(name: string): string {
  // deno-lint-ignore no-control-regex
  const beyondAscii = /[^\x00-\x7f]/g;
  if (!beyondAscii.test(name)) return name;
  // Only letters may go through the URL parser, which would take other characters for a port, a user, a path.
  if (!LABELS.test(name.replace(beyondAscii, "a").toLowerCase().replace(/\.$/, ""))) return "";
  return URL.parse(`http://${name}`)?.hostname ?? "";
}

/** The kind of a rule's path and the path in canonical form. The syntax of a regular expression is not checked here. */
export function canonicalPath(path: string, index: number): { kind: PathKind; path: string } {
  if (path === "" || path === "/*") return { kind: "any", path: "" };
  if (path.length > PATH_LENGTH_MAX) {
    throw new RouteError(index, `path: ${path.length} characters, expected at most ${PATH_LENGTH_MAX}`);
  }
  if (path.startsWith("~")) {
    if (path === "~") throw badPath(path, index, 'a regular expression after "~"');
    return { kind: "regex", path: path.slice(1) };
  }
  const isPrefix = path.endsWith("/*");
  checkPlainPath(path, isPrefix ? path.slice(0, -2) : path, index);
  if (!isPrefix) return { kind: "exact", path: normaliseText(path) };
  // The final slash is kept until dot segments are resolved, and is no part of the prefix: "/x/*" holds for "/x" too.
  const prefix = normaliseText(path.slice(0, -1)).slice(0, -1);
  return prefix === "" ? { kind: "any", path: "" } : { kind: "prefix", path: prefix };
}

function checkPlainPath(path: string, body: string, index: number): void {
  if (!path.startsWith("/")) throw badPath(path, index, 'a path that begins with "/", or "~" and a regular expression');
  if (body.includes("*")) {
    throw badPath(path, index, '"*" only as the last segment ("/x/*"); use "~" for other patterns');
  }
  if (/[?#]/.test(body)) throw badPath(path, index, 'no "?" or "#": paths are compared without the query');
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(body)) throw badPath(path, index, "no control characters");
  if (!isWellEncoded(body)) throw badPath(path, index, 'two hexadecimal digits after each "%"');
}

function badPath(path: string, index: number, expected: string): RouteError {
  return new RouteError(index, `path ${JSON.stringify(path)}: expected ${expected}`);
}

function canonicalMethods(methods: readonly string[], index: number): string[] {
  if (methods.length === 0) return [];
  for (const method of methods) {
    if (!TOKEN.test(method)) {
      throw new RouteError(index, `method ${JSON.stringify(method)}: expected a token such as GET`);
    }
    const upper = method.toUpperCase();
    if (upper !== method && METHODS.includes(upper)) {
      throw new RouteError(index, `method "${method}": methods are case-sensitive, expected "${upper}"`);
    }
  }
  return [...new Set(methods)].sort();
}

function canonicalHeaders(headers: Readonly<Record<string, string>>, index: number): HeaderCondition[] {
  const conditions: HeaderCondition[] = [];
  for (const name in headers) {
    if (!TOKEN.test(name)) throw new RouteError(index, `header ${JSON.stringify(name)}: expected a field name`);
    const value = headers[name]!;
    conditions.push({ name: name.toLowerCase(), value: value === "*" ? null : value });
  }
  if (conditions.length > 1) conditions.sort((a, b) => compareText(a.name, b.name));
  const repeated = conditions.find((condition, at) => condition.name === conditions[at + 1]?.name);
  if (repeated) throw new RouteError(index, `header "${repeated.name}" is named twice; names have no case`);
  return conditions;
}

/** All that a rule says, as one text: equal exactly for rules that mean the same, but for priority. */
export function canonicalText(rule: CanonicalRule): string {
  const host = rule.hostKind === "wildcard" ? `*.${rule.host}` : rule.host;
  return JSON.stringify([host, rule.pathKind, rule.path, rule.methods, rule.headers.map((h) => [h.name, h.value])]);
}

/**
 * Order of rules for the same host and path, negative if `a` is tried first: conditions on methods and headers, then
 * on headers, then on methods, then none; more headers first; exact values before "is there"; fewer methods first, so
 * that [POST] is not hidden by [GET, POST]; then priority; then the canonical text.
 */
export function compareConditions(a: CanonicalRule, b: CanonicalRule): number {
  return conditionRank(b) - conditionRank(a) ||
    b.headers.length - a.headers.length ||
    exactHeaders(b) - exactHeaders(a) ||
    a.methods.length - b.methods.length ||
    b.priority - a.priority ||
    compareText(canonicalText(a), canonicalText(b));
}

/** Order of the regular expressions of a host: priority, then their text, then as for the same path. */
export function compareRegexes(a: CanonicalRule, b: CanonicalRule): number {
  return b.priority - a.priority || compareText(a.path, b.path) || compareConditions(a, b);
}

/** Sorts rules that are tried one after the other, in place; refuses two between which nothing decides. */
export function sortRules(
  rules: CanonicalRule[],
  compare: (a: CanonicalRule, b: CanonicalRule) => number,
): CanonicalRule[] {
  if (rules.length < 2) return rules;
  rules.sort(compare);
  for (let at = 1; at < rules.length; at++) {
    const [a, b] = [rules[at - 1]!, rules[at]!];
    if (compare(a, b) !== 0) continue;
    throw a.index < b.index ? saysTheSame(b, a) : saysTheSame(a, b);
  }
  return rules;
}

/** The refusal of a rule beside another. */
export function saysTheSame(rule: CanonicalRule, other: CanonicalRule): RouteError {
  return new RouteError(rule.index, `says the same as route ${other.index}: remove one, or give them priorities`);
}

/** Kinds of conditions, by weight: both 3, headers 2, methods 1, none 0. */
export function conditionRank(rule: CanonicalRule): number {
  return (rule.headers.length > 0 ? 2 : 0) + (rule.methods.length > 0 ? 1 : 0);
}

/** Number of headers whose value is asked for. */
export function exactHeaders(rule: CanonicalRule): number {
  return rule.headers.reduce((count, header) => count + (header.value === null ? 0 : 1), 0);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
