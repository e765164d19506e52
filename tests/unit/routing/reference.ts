// A second router, written apart from the first and as plainly as the rules are stated: filter all rules, sort those
// that fit, take the first. It shares nothing with the router but the types. For rules that are valid.

import type { HeaderLookup, RouteRule } from "../../../src/ts/routing/router.ts";

export interface Request {
  host: string;
  path: string;
  method: string;
  headers: Record<string, string[]>;
}

export function headerLookup(headers: Record<string, string[]>): HeaderLookup {
  return { has: (name, value) => headers[name]?.some((had) => value === null || had === value) ?? false };
}

/** Index of the rule that answers, or -1. */
export function referenceLookup(rules: readonly RouteRule[], request: Request): number {
  const fitting = rules.map((rule, index) => ({ rule, index })).filter(({ rule }) => fits(rule, request));
  fitting.sort((a, b) => compareKeys(orderKey(a.rule), orderKey(b.rule)));
  return fitting[0]?.index ?? -1;
}

function fits(rule: RouteRule, request: Request): boolean {
  return hostFits(rule.host, request.host) && pathFits(rule.path, request.path) &&
    (rule.methods.length === 0 || rule.methods.includes(request.method)) &&
    Object.entries(rule.headers).every(([name, value]) => {
      const had = request.headers[name.toLowerCase()] ?? [];
      return value === "*" ? had.length > 0 : had.includes(value);
    });
}

function plainHost(host: string): string {
  return host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}

function hostFits(pattern: string, host: string): boolean {
  const name = plainHost(host);
  if (isAny(pattern)) return true;
  if (!pattern.startsWith("*.")) return name === plainHost(pattern);
  const suffix = plainHost(pattern.slice(1));
  return name.endsWith(suffix) && name.length > suffix.length;
}

function pathFits(pattern: string, path: string): boolean {
  const form = referenceForm(path);
  if (isAnyPath(pattern)) return true;
  if (pattern.startsWith("~")) return new RegExp(`^(?:${pattern.slice(1)})$`, "u").test(regexText(form));
  if (!pattern.endsWith("/*")) return form === referenceForm(pattern);
  const prefix = prefixOf(pattern);
  return form === prefix.slice(0, -1) || form.startsWith(prefix);
}

/** "/x/" of "/x/*". */
function prefixOf(pattern: string): string {
  return referenceForm(pattern.slice(0, -1));
}

function isAny(pattern: string): boolean {
  return pattern === "" || pattern === "*";
}

function isAnyPath(pattern: string): boolean {
  return pattern === "" || (pattern.endsWith("/*") && !pattern.startsWith("~") && prefixOf(pattern) === "/");
}

/** The normal form, by way of lists of segments. */
export function referenceForm(path: string): string {
  if (path === "") return "/";
  const bytes = String.fromCharCode(...new TextEncoder().encode(path));
  if (!bytes.startsWith("/")) return bytes;
  const encoded = bytes.replace(/%[0-9a-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/-]/gi, (found) => {
    if (found.length === 1) return `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
    const character = String.fromCharCode(parseInt(found.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : found.toUpperCase();
  });
  const segments = encoded.replace(/\/+/g, "/").split("/").slice(1);
  const kept: string[] = [];
  segments.forEach((segment, at) => {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
    if (at === segments.length - 1 && /^\.\.?$/.test(segment)) kept.push("");
  });
  return "/" + kept.join("/");
}

function regexText(form: string): string {
  return form.replace(/(?:%[89A-F][0-9A-F])+/g, (run) => {
    return new TextDecoder().decode(Uint8Array.from(run.match(/[0-9A-F]{2}/g)!, (digits) => parseInt(digits, 16)));
  });
}

/** What rules are ordered by; the smaller key comes first. */
function orderKey(rule: RouteRule): (number | string)[] {
  const methods = [...new Set(rule.methods)].sort();
  const headers = Object.entries(rule.headers).map((
    [name, value],
  ) => [name.toLowerCase(), value === "*" ? null : value]);
  headers.sort(([a], [b]) => a! < b! ? -1 : 1);
  const conditions = [
    -((headers.length > 0 ? 2 : 0) + (methods.length > 0 ? 1 : 0)),
    -headers.length,
    -headers.filter(([, value]) => value !== null).length,
    methods.length,
    -rule.priority,
    JSON.stringify([methods, headers]),
  ];
  return [...hostKey(rule.host), ...pathKey(rule), ...conditions];
}

function hostKey(pattern: string): number[] {
  if (isAny(pattern)) return [2, 0];
  return pattern.startsWith("*.") ? [1, -plainHost(pattern).length] : [0, 0];
}

function pathKey({ path, priority }: RouteRule): (number | string)[] {
  if (isAnyPath(path)) return [3, 0, ""];
  if (path.startsWith("~")) return [2, -priority, path];
  return path.endsWith("/*") ? [1, -prefixOf(path).length, ""] : [0, 0, ""];
}

function compareKeys(a: (number | string)[], b: (number | string)[]): number {
  for (let at = 0; at < a.length; at++) {
    if (a[at]! !== b[at]!) return a[at]! < b[at]! ? -1 : 1;
  }
  return 0;
}
