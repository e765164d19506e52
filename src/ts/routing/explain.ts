// Why a request goes where it goes: for each rule whose host and path were considered, what kept it from answering.
// Works on the rules as they were written, so that it says what their author knows; it is not on the data path.

import type { PathRegex } from "./path_regex.ts";
import {
  type CanonicalRule,
  canonicalRule,
  conditionRank,
  exactHeaders,
  type HeaderCondition,
  type RouteRule,
} from "./rule.ts";

export interface Explanation {
  /** Id of the rule that answers, or -1. */
  winner: number;
  considered: { rule: number; reason: string }[];
}

interface Headers {
  has(name: string, value: string | null): boolean;
}

/** What the tables know of the candidates. */
interface Known {
  rules: { get(id: number): RouteRule | null };
  regexes: { find(source: string): PathRegex | undefined };
}

/** Judges the candidates, which come in the order of the lookup and fit in host and in path unless it is an expression. */
export function explainCandidates(
  { rules, regexes }: Known,
  candidates: Iterable<number>,
  path: string,
  method: string,
  headers: Headers,
): Explanation {
  let winner: CanonicalRule | null = null;
  const considered: Explanation["considered"] = [];
  for (const id of candidates) {
    const rule = canonicalRule(rules.get(id)!, id);
    const lost = mismatch(rule, regexes, path, method, headers) ?? (winner && whyAfter(winner, rule));
    if (!lost) winner = rule;
    considered.push({ rule: id, reason: lost ?? `answers: ${describe(rule)}` });
  }
  return { winner: winner?.index ?? -1, considered };
}

/** What of the request does not fit the rule, or null. */
function mismatch(
  rule: CanonicalRule,
  regexes: Known["regexes"],
  path: string,
  method: string,
  headers: Headers,
): string | null {
  if (rule.methods.length > 0 && !rule.methods.includes(method)) {
    return `method ${method} is not ${rule.methods.join(", ")}`;
  }
  const missing = rule.headers.find((header) => !headers.has(header.name, header.value));
  if (missing) return missingHeader(missing, headers);
  if (rule.pathKind !== "regex") return null;
  return regexes.find(rule.path)?.matches(path) ? null : `path ${path} does not match ~${rule.path}`;
}

function missingHeader(header: HeaderCondition, headers: Headers): string {
  if (header.value === null || !headers.has(header.name, null)) return `header ${header.name} is missing`;
  return `header ${header.name} is not ${JSON.stringify(header.value)}`;
}

/** Which step of the order puts a rule that fits after the winner. */
function whyAfter(winner: CanonicalRule, rule: CanonicalRule): string {
  return `route ${winner.index} comes first: ${firstDifference(winner, rule)}`;
}

function firstDifference(winner: CanonicalRule, rule: CanonicalRule): string {
  if (winner.hostKind !== rule.hostKind || winner.host !== rule.host) return "its host is more specific";
  if (winner.pathKind !== rule.pathKind) return `${kindOfPath(winner)} comes before ${kindOfPath(rule)}`;
  if (winner.pathKind === "regex" && winner.priority !== rule.priority) return "its priority is higher";
  if (winner.path !== rule.path) {
    return winner.pathKind === "prefix" ? "its path is longer" : "same priority, and its text is first in order";
  }
  if (conditionRank(winner) !== conditionRank(rule)) return `it asks for ${askedKinds(winner)}`;
  if (winner.headers.length !== rule.headers.length) return "it asks for more headers";
  if (exactHeaders(winner) !== exactHeaders(rule)) return "it asks for more exact header values";
  if (winner.methods.length !== rule.methods.length) return "it names fewer methods";
  if (winner.priority !== rule.priority) return "its priority is higher";
  return "equally specific, and its text is first in order";
}

function askedKinds(rule: CanonicalRule): string {
  const kinds = [rule.methods.length > 0 ? "a method" : "", rule.headers.length > 0 ? "a header" : ""];
  return kinds.filter((kind) => kind !== "").join(" and ");
}

function kindOfPath(rule: CanonicalRule): string {
  return { exact: "an exact path", prefix: "a prefix", regex: "a regular expression", any: "any path" }[rule.pathKind];
}

function describe(rule: CanonicalRule): string {
  const host = { exact: `host ${rule.host}`, wildcard: `host *.${rule.host}`, any: "any host" }[rule.hostKind];
  const path = { exact: rule.path, prefix: `${rule.path}/*`, regex: `~${rule.path}`, any: "any path" }[rule.pathKind];
  const methods = rule.methods.length > 0 ? `, method ${rule.methods.join(" or ")}` : "";
  const headers = rule.headers.map((h) => h.value === null ? `, header ${h.name}` : `, header ${h.name}: ${h.value}`);
  return `${host}, ${path}${methods}${headers.join("")}`;
}
