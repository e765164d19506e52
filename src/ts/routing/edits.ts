// What changes, by host and path: the rules that go and the rules that come, in canonical form. A rule that is given anew
// goes and comes. Nothing of the tables is looked at or touched yet.

import { type CanonicalRule, canonicalRule, RouteError, type RouteRule } from "./rule.ts";
import type { RuleList } from "./rule_list.ts";

/** One rule to add, to put in the place of the one with the same id, or (null) to remove. */
export interface RouteChange {
  id: number;
  rule: RouteRule | null;
}

/** Changes of the rules of one path, of the expressions of a host, or of its rules for any path. */
export interface GroupEdit {
  added: CanonicalRule[];
  removed: ReadonlySet<number>;
}

export interface HostEdit {
  /** Of a wildcard what follows "*."; "" for any host. */
  name: string;
  isWildcard: boolean;
  paths: Map<string, GroupEdit>;
  regexes: GroupEdit;
  any: GroupEdit;
}

/** Records hold ids as 32-bit numbers. */
const ID_MAX = 0x7fff_ffff;

/** The changes without those that a later one of the same id takes the place of; refuses what cannot be meant. */
export function lastChanges(changes: readonly RouteChange[], rules: RuleList): RouteChange[] {
  const last = new Map<number, RouteChange>();
  for (const change of changes) {
    const { id, rule } = change;
    if (!Number.isInteger(id) || id < 0 || id > ID_MAX) {
      throw new RouteError(id, `expected an id from 0 to ${ID_MAX}`);
    }
    if (!rule && !(last.get(id)?.rule ?? rules.get(id))) throw new RouteError(id, "cannot be removed, there is none");
    last.set(id, change);
  }
  return [...last.values()];
}

/** Checks the rules that come; throws the RouteError of the first that is refused. At most one change an id. */
export function groupChanges(changes: readonly RouteChange[], rules: RuleList): HostEdit[] {
  const hosts = new Map<string, HostEdit>();
  for (const { id, rule } of changes) {
    const old = rules.get(id);
    if (old) {
      const edit = groupOf(hosts, canonicalRule(old, id));
      if (edit.removed === NONE) edit.removed = new Set();
      (edit.removed as Set<number>).add(id);
    }
    if (rule) {
      const canonical = canonicalRule(rule, id);
      groupOf(hosts, canonical).added.push(canonical);
    }
  }
  return [...hosts.values()];
}

/** Most groups lose no rule, and all that there are when a table is compiled. */
const NONE: ReadonlySet<number> = new Set();

function newEdit(): GroupEdit {
  return { added: [], removed: NONE };
}

function groupOf(hosts: Map<string, HostEdit>, rule: CanonicalRule): GroupEdit {
  const isWildcard = rule.hostKind === "wildcard";
  const key = isWildcard ? `*.${rule.host}` : rule.host;
  let host = hosts.get(key);
  if (!host) {
    host = { name: rule.host, isWildcard, paths: new Map(), regexes: newEdit(), any: newEdit() };
    hosts.set(key, host);
  }
  if (rule.pathKind === "any") return host.any;
  if (rule.pathKind === "regex") return host.regexes;
  let path = host.paths.get(rule.path);
  if (!path) host.paths.set(rule.path, path = newEdit());
  return path;
}
