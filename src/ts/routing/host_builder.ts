// How the record of a host becomes another: its lists and its paths are made anew where an edit names them, and only there.

import { AnswerBuilder } from "./answer_builder.ts";
import { type Candidates, CandidateWriter } from "./candidates.ts";
import type { GroupEdit, HostEdit } from "./edits.ts";
import { textWords, writeText } from "./hash.ts";
import { PathsBuilder } from "./paths_builder.ts";
import type { PreparedChange } from "./prepared.ts";
import { compareRegexes, sortRules } from "./rule.ts";
import {
  HOST_ANY,
  HOST_NAME,
  HOST_REGEXES,
  HOST_TABLE,
  hostHead,
  hostSize,
  REGEX_CANDIDATE,
  regexListSize,
  type Tables,
} from "./tables.ts";

export class HostBuilder {
  private readonly writer: CandidateWriter;
  private readonly answers: AnswerBuilder;
  private readonly paths: PathsBuilder;
  /** The words of the host before its name, as they will be. */
  private readonly fields = new Int32Array(HOST_NAME);

  constructor(private readonly tables: Tables, private readonly prepared: PreparedChange) {
    this.writer = new CandidateWriter(tables, prepared);
    this.answers = new AnswerBuilder(tables, prepared, this.writer);
    this.paths = new PathsBuilder(tables, prepared, this.answers);
  }

  build(edit: HostEdit): void {
    const { tables: { arena }, fields } = this;
    const old = this.tables.findHost(edit.name, edit.isWildcard);
    // The record of a new host is reserved first, so that it lies beside its table.
    const host = old !== 0 ? old : this.newHost(edit);
    fields.set(arena.words.subarray(host, host + HOST_NAME));
    this.paths.build(fields, edit.paths);
    fields[HOST_ANY] = this.answers.build(fields[HOST_ANY]!, edit.any);
    fields[HOST_REGEXES] = this.regexes(fields[HOST_REGEXES]!, edit.regexes);
    if (old === 0) this.addHost(edit, host);
    else if (this.isEmpty()) this.removeHost(edit, host);
    else this.patchHost(host);
  }

  private isEmpty(): boolean {
    const { fields } = this;
    return fields[HOST_TABLE] === 0 && fields[HOST_ANY] === 0 && fields[HOST_REGEXES] === 0;
  }

  private newHost({ name, isWildcard }: HostEdit): number {
    const host = this.prepared.reserve(HOST_NAME + textWords(name.length));
    const { words } = this.tables.arena;
    words[host] = hostHead(name, isWildcard);
    writeText(words, host + HOST_NAME, name);
    return host;
  }

  private addHost({ name, isWildcard }: HostEdit, host: number): void {
    this.tables.arena.words.set(this.fields, host);
    if (name === "") this.prepared.setAnyHost(host);
    else this.prepared.addHost(this.tables.keyOfHost(name, isWildcard), host, wildcardLabels(name, isWildcard));
  }

  private removeHost({ name, isWildcard }: HostEdit, host: number): void {
    this.prepared.release(host, hostSize(this.tables.arena.words, host));
    if (name === "") this.prepared.setAnyHost(0);
    else this.prepared.removeHost(this.tables.keyOfHost(name, isWildcard), host, wildcardLabels(name, isWildcard));
  }

  private patchHost(host: number): void {
    const { words } = this.tables.arena;
    for (let at = 0; at < HOST_NAME; at++) {
      if (words[host + at] !== this.fields[at]) this.prepared.set(host + at, this.fields[at]!);
    }
  }

  /** What a list of expressions becomes. */
  private regexes(old: number, { added, removed }: GroupEdit): number {
    if (added.length === 0 && removed.size === 0) return old;
    const { words } = this.tables.arena;
    const before: Candidates = { at: old + 1, count: words[old]!, stride: REGEX_CANDIDATE };
    const count = before.count - removed.size + added.length;
    if (old !== 0) this.prepared.release(old, regexListSize(words, old));
    const list = count === 0 ? 0 : this.prepared.reserve(1 + REGEX_CANDIDATE * count);
    if (count === 0) this.writer.dropAll(before);
    else {
      this.tables.arena.words[list] = count;
      this.writer.write(list + 1, before, sortRules(added, compareRegexes), removed, compareRegexes);
    }
    return list;
  }
}

/** Number of labels of a wildcard; 0 for a name that is none. */
function wildcardLabels(name: string, isWildcard: boolean): number {
  return isWildcard ? name.split(".").length : 0;
}
