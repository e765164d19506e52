// The router: rules that change while requests are looked up. What the tables hold is described in tables.ts, the lookup in
// lookup.ts, the order of rules in rule.ts, the form in which paths are compared in path_form.ts.
//
// A change is prepared beside what is in force and committed in one step (prepared.ts), so no lookup sees a part of it. Both
// cost what the change names, however many rules there are; what changes leave behind is regained in small steps
// (compaction.ts). Lookups and changes take turns in one thread.

import { Compaction } from "./compaction.ts";
import { groupChanges, type HostEdit, lastChanges, type RouteChange } from "./edits.ts";
import { explainCandidates, type Explanation } from "./explain.ts";
import { type RandomWords, randomWords } from "./hash.ts";
import { HostBuilder } from "./host_builder.ts";
import { type HeaderLookup, RouteLookup } from "./lookup.ts";
import { pathText } from "./path_form.ts";
import { PreparedChange } from "./prepared.ts";
import { RouteError, type RouteRule } from "./rule.ts";
import { Tables } from "./tables.ts";

export { type Explanation, type HeaderLookup, type PreparedChange, type RouteChange, RouteError, type RouteRule };

/** Regions of the arena that one change copies of a resize under way: 128 KiB. */
const REGIONS_PER_CHANGE = 8;

/** Words that a rule takes, about: the room that is made for many rules before they come. */
const WORDS_PER_RULE = 16;

export class Router extends RouteLookup {
  private readonly compaction: Compaction;
  /** The change that may be committed. */
  private prepared: PreparedChange | null = null;

  private constructor(tables: Tables) {
    super(tables);
    this.compaction = new Compaction(tables);
  }

  /**
   * Compiles rules, whose ids are their indexes; throws a RouteError for the first that is invalid, or that says the same
   * as another. Linear in the rules. `random` and `regionBits` (arena.ts) are for tests.
   */
  static compile(rules: readonly RouteRule[], random: RandomWords = randomWords, regionBits?: number): Router {
    const tables = new Tables(random, WORDS_PER_RULE * rules.length, regionBits);
    build(tables, rules.map((rule, id) => ({ id, rule }))).commit();
    tables.arena.trim();
    return new Router(tables);
  }

  /**
   * Makes a change ready; lookups go on unchanged until it is committed. Of several changes of one id the last holds. Throws
   * a RouteError that names the id of a rule that is refused, and the rule whose equal it is. The rules are kept for
   * `explain` and must not change. Takes the place of a change that was prepared before and not committed.
   */
  prepare(changes: readonly RouteChange[]): PreparedChange {
    const { tables } = this;
    if (this.prepared) this.discard(this.prepared);
    try {
      tables.arena.advance(REGIONS_PER_CHANGE);
      tables.arena.expect(WORDS_PER_RULE * changes.filter(({ rule }) => rule).length);
      this.prepared = build(tables, lastChanges(changes, tables.rules));
      tables.arena.keepRoom();
    } finally {
      this.adopt();
    }
    return this.prepared;
  }

  /** Puts into force the change that was prepared last; throws for any other. */
  commit(prepared: PreparedChange): void {
    if (prepared !== this.prepared) {
      throw new Error("this change of the routes is stale: another was prepared after it, or it is in force already");
    }
    this.prepared = null;
    prepared.commit();
    this.adopt();
  }

  /** Gives back at once what a prepared change holds that will not be committed; without it the next `prepare` does. */
  discard(prepared: PreparedChange): void {
    if (prepared !== this.prepared) return;
    this.prepared = null;
    prepared.discard();
  }

  /**
   * Regains memory that changes left behind, for so many milliseconds at most but a few microseconds; true if there is more
   * to do at once. Does nothing between `prepare` and `commit`. Answers stay the same. Next to nothing when nothing is due,
   * so that it can be called in each turn of a loop.
   */
  maintain(budgetMs: number): boolean {
    if (this.prepared || !this.compaction.isDue) return false;
    const isUnfinished = this.compaction.run(budgetMs);
    this.adopt();
    return isUnfinished;
  }

  /** Number of rules. */
  get size(): number {
    return this.tables.rules.count;
  }

  /** Bytes that the router holds, without the rules themselves, which belong to the caller. */
  get bytesUsed(): number {
    return this.tables.bytesUsed;
  }

  /** Of them, bytes of gaps that changes have left. */
  get bytesWasted(): number {
    return 4 * this.tables.arena.wastedWords;
  }

  /** All candidates in the order in which they are considered, and why each lost; may allocate. */
  explain(host: string, path: string, method: string, headers: HeaderLookup): Explanation {
    const encoder = new TextEncoder();
    const hostLength = encoder.encode(host).length;
    const pathLength = encoder.encode(path).length;
    const bytes = encoder.encode(host + path);
    this.readPath(bytes, hostLength, pathLength);
    this.readHost(bytes, 0, hostLength);
    const text = pathText(this.path, this.pathAt, this.pathLength);
    return explainCandidates(this.tables, this.candidates(), text, method, headers);
  }
}

/** Makes a change ready: at most one an id. */
function build(tables: Tables, changes: readonly RouteChange[]): PreparedChange {
  const edits = groupChanges(changes, tables.rules);
  hashLongest(tables, edits);
  const prepared = new PreparedChange(changes, tables);
  try {
    const builder = new HostBuilder(tables, prepared);
    for (const edit of edits) builder.build(edit);
    prepared.settle();
  } catch (error) {
    prepared.discard();
    throw error;
  }
  return prepared;
}

function hashLongest(tables: Tables, edits: readonly HostEdit[]): void {
  let nameLength = 0;
  let pathLength = 0;
  for (const { name, paths } of edits) {
    if (name.length > nameLength) nameLength = name.length;
    for (const path of paths.keys()) if (path.length > pathLength) pathLength = path.length;
  }
  tables.hashUpTo(nameLength, pathLength);
}
