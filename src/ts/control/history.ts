// The revisions that were served: who changed what, when and why, and how to come back. Only the changes are kept, as the
// objects before and after, which the states share anyway; the state of an earlier revision is made by undoing what came
// after it. So a change of one route among 100,000 costs the history one route.

import type { Change } from "../config/changes.ts";
import { checkState } from "../config/check_state.ts";
import { toFile } from "../config/file_form.ts";
import { formatErrors } from "../config/problem.ts";
import { recordWith } from "../config/records.ts";
import { routesWith } from "../config/route_index.ts";
import { routeName } from "../config/route_key.ts";
import type { State } from "../config/state.ts";
import type { RevisionReport, RevisionSource, Who } from "./protocol.ts";

export interface Authorship {
  who: Who;
  why: string;
  source: RevisionSource;
  /** What it is about when no object of the state differs. */
  about?: string;
}

/** A revision, as one main also hands it over to the next. */
export interface HistoryEntry {
  report: RevisionReport;
  /** From the revision before to this one. */
  changes: readonly Change[];
}

/** So much text of a reason is kept. */
const WHY_LENGTH_MAX = 1_000;

export class History {
  /** The oldest first. */
  readonly #entries: HistoryEntry[] = [];
  /** Revisions up to this one come from another main, whose version may have known other keys. */
  #foreignUpTo = -1;

  add(
    revision: number,
    hash: string,
    changes: readonly Change[],
    { who, why, source, about }: Authorship,
    max: number,
    at = new Date(),
  ): RevisionReport {
    const count = (test: (change: Change) => boolean) => changes.filter(test).length;
    const report: RevisionReport = {
      revision,
      at: at.toISOString(),
      who,
      what: summary(changes, source, about),
      added: count(({ before, object }) => object !== "settings" && before === null),
      changed: count(({ before, after, object }) => object === "settings" || (before !== null && after !== null)),
      removed: count(({ after, object }) => object !== "settings" && after === null),
      why: why.slice(0, WHY_LENGTH_MAX),
      hash,
      source,
    };
    this.#entries.push({ report, changes });
    if (this.#entries.length > max) this.#entries.splice(0, this.#entries.length - max);
    return report;
  }

  /** Takes over the revisions of another main. */
  adopt(entries: readonly HistoryEntry[]): void {
    this.#entries.push(...entries);
    this.#foreignUpTo = entries.at(-1)?.report.revision ?? -1;
  }

  /** The oldest first. */
  get entries(): readonly HistoryEntry[] {
    return this.#entries;
  }

  /** The newest first. */
  reports(limit = Infinity): RevisionReport[] {
    return this.#entries.slice(-Math.min(limit, this.#entries.length)).reverse().map(({ report }) => report);
  }

  /** The revision before the current one; undefined if it is not known any more. */
  get previous(): number | undefined {
    return this.#entries.at(-2)?.report.revision;
  }

  /**
   * The state of an earlier revision, made from the current state; undefined if it is not known any more. Throws when it
   * was another version's, and makes no state in this one.
   */
  stateOf(revision: number, current: State): State | undefined {
    const at = this.#entries.findIndex(({ report }) => report.revision === revision);
    if (at < 0) return undefined;
    const state = undone(current, this.#entries.slice(at + 1).flatMap(({ changes }) => changes));
    return revision < this.#foreignUpTo ? readAgain(state, revision) : state;
  }
}

/** A state with objects of another version: what that one did not know gets its default. O(size of the state). */
function readAgain(state: State, revision: number): State {
  const loaded = checkState(toFile(state), `revision ${revision}`);
  if (!loaded.state) throw new Error(`this version cannot read what was served then: ${formatErrors(loaded.errors)}`);
  return loaded.state;
}

/** The state before some changes, which are given in their order. O(changes), and a copy of the lists that they touch. */
function undone(state: State, changes: readonly Change[]): State {
  const settings: Record<string, unknown> = {};
  const listeners = new Map<string, State["listeners"][string] | undefined>();
  const clusters = new Map<string, State["clusters"][string] | undefined>();
  const routes = new Map<string, State["routes"][number] | undefined>();
  const certificates = new Map<string, State["certificates"][string] | undefined>();
  // The first change of an object says what it was before all of them.
  for (const change of changes.toReversed()) {
    switch (change.object) {
      case "settings":
        settings[change.name] = change.before;
        break;
      case "listener":
        listeners.set(change.name, change.before ?? undefined);
        break;
      case "cluster":
        clusters.set(change.name, change.before ?? undefined);
        break;
      case "route":
        routes.set(change.name, change.before ?? undefined);
        break;
      case "certificate":
        certificates.set(change.name, change.before ?? undefined);
    }
  }
  return {
    ...state,
    ...settings,
    certificates: certificates.size === 0 ? state.certificates : recordWith(state.certificates, certificates),
    listeners: listeners.size === 0 ? state.listeners : recordWith(state.listeners, listeners),
    clusters: clusters.size === 0 ? state.clusters : recordWith(state.clusters, clusters),
    routes: routes.size === 0 ? state.routes : routesWith(state.routes, routes),
  };
}

/** `route a.test /x added`, `cluster app changed and 3 more changes`. */
function summary(changes: readonly Change[], source: RevisionSource, about: string | undefined): string {
  const [first] = changes;
  if (!first) {
    return source === "start" ? "the state at the start" : about ?? "names of backends lead to other addresses";
  }
  const rest = changes.length - 1;
  return rest === 0 ? describe(first) : `${describe(first)} and ${rest} more change${rest === 1 ? "" : "s"}`;
}

function describe({ object, name, before, after }: Change): string {
  if (object === "settings") return `${name} changed`;
  const route = object === "route" ? (after ?? before) as State["routes"][number] : undefined;
  const what = before === null ? "added" : after === null ? "removed" : "changed";
  return `${object} ${route ? routeName(route) : name} ${what}`;
}
