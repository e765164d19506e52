// The state on the disk, for the next start: a line that says what follows, the state in the form of the configuration
// file as JSON (several lines), and a line with the checksum of all before it. It is written to a new file, which then
// takes the place of the old one, so that at any moment a whole file is there; the one before is kept as PATH.previous.
// Changes are then added at its end, a line each (state_journal.ts), until they are as long as the state itself: then the
// whole is written again.
//
// Another version may know other keys, and then calls the same state by another hash: only hashes of our own are compared.
// That the bytes are those that were written, the checksums say of any version.
//
// Changes that come while one is being written share the next write. The text of the whole is made in pieces, between which
// main does other things: 100,000 routes take a quarter of a second.

import { checkState } from "../config/check_state.ts";
import { toFile } from "../config/file_form.ts";
import { formatErrors } from "../config/problem.ts";
import { hashState } from "../config/state_hash.ts";
import type { State } from "../config/state.ts";
import type { Log } from "../observe/log.ts";
import { checksum, endOfWhole, entryLine, replay, type Revision } from "./state_journal.ts";
import { VERSION } from "./version.ts";
import { turn } from "./waiting.ts";

const FORMAT = 1;
/** Objects that are put into text without a break. */
const PIECE_OBJECTS = 2_000;
/** Changes may take this much even of a small state: reading them again costs less than the time of a start. */
const CHANGES_BYTES_MIN = 64 * 1024;
const encoder = new TextEncoder();

export interface StoredState {
  state: State;
  revision: number;
  at: string;
  /** What of the file was dropped; "" if nothing was. */
  warning: string;
}

interface Job extends Revision {
  done: PromiseWithResolvers<string | undefined>;
}

/** The file as it was when it was last written. */
interface Written extends Revision {
  path: string;
  inode: number | null;
  bytes: number;
  /** Of them, the state without the changes. */
  wholeBytes: number;
}

/** The file is no whole state; it stays as it is. */
export class StateFileError extends Error {
  override name = "StateFileError";
}

export class StateFile {
  #next: Job | undefined;
  #writing: Promise<void> | undefined;
  /** Undefined: changes cannot be added. */
  #written: Written | undefined;
  /** The text of a state that may be saved soon. */
  #prepared: (Revision & { content: Promise<Uint8Array<ArrayBuffer>> }) | undefined;

  /** `before` is done each time before a file is written that has this path: what the state needs to be whole. */
  constructor(private readonly log: Log, private readonly before: (path: string) => Promise<void> = async () => {}) {}

  /** Resolves when this state or a later one is on the disk, or with the reason why it is not. */
  save(state: State, revision: number, hash: string): Promise<string | undefined> {
    if (state.control.state_file === "") return Promise.resolve(undefined);
    const done = this.#next?.done ?? Promise.withResolvers<string | undefined>();
    this.#next = { state, revision, hash, done };
    this.#writing ??= this.#writeAll();
    return done.promise;
  }

  /** Makes the text of a state that is going to be saved whole, if it is decided; only the last one is kept. */
  prepare(next: Revision): void {
    if (next.state.control.state_file === "") return;
    const content = textOf(next);
    // Whoever saves it is told.
    content.catch(() => {});
    this.#prepared = { ...next, content };
  }

  /** The state that was prepared is not going to be saved. */
  forget(): void {
    this.#prepared = undefined;
  }

  /** Resolves when nothing is being written any more. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    for (let job = this.#next; job; job = this.#next) {
      this.#next = undefined;
      const path = job.state.control.state_file;
      try {
        await this.before(path);
        await this.#write(path, job);
        job.done.resolve(undefined);
      } catch (error) {
        const reason = `state file ${path}: ${(error as Error).message}`;
        this.log.error("the state is not on the disk", { revision: job.revision, reason });
        job.done.resolve(reason);
      }
    }
    this.#writing = undefined;
  }

  async #write(path: string, { state, revision, hash }: Job): Promise<void> {
    const now = { state, revision, hash };
    const written = this.#written;
    const prepared = this.#takePrepared(now);
    // Whatever fails on the way leaves the end of the file in doubt.
    this.#written = undefined;
    if (!prepared && written?.path === path) {
      const line = await entryLine(written, now);
      const bytes = written.bytes + line.length;
      if (
        bytes - written.wholeBytes <= Math.max(written.wholeBytes, CHANGES_BYTES_MIN) && await append(written, line)
      ) {
        this.#written = { ...written, ...now, bytes };
        return;
      }
    }
    const content = await (prepared ?? textOf(now));
    await replaceFile(path, content);
    const { ino } = await Deno.stat(path);
    this.#written = { ...now, path, inode: ino, bytes: content.length, wholeBytes: content.length };
  }

  #takePrepared({ state, revision, hash }: Revision): Promise<Uint8Array<ArrayBuffer>> | undefined {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const isIt = prepared?.state === state && prepared.revision === revision && prepared.hash === hash;
    return isIt ? prepared.content : undefined;
  }
}

/** Adds a line to the file, and sees to it that it is on the disk; false if the file is not the one that was written. */
async function append({ path, inode, bytes }: Written, line: Uint8Array): Promise<boolean> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { append: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  try {
    const { ino, size } = await file.stat();
    if (ino !== inode || size !== bytes) return false;
    for (let done = 0; done < line.length;) done += await file.write(line.subarray(done));
    await file.syncData();
    return true;
  } finally {
    file.close();
  }
}

/** The whole file. Main does other things between its pieces. */
async function textOf({ state, revision, hash }: Revision): Promise<Uint8Array<ArrayBuffer>> {
  const head = JSON.stringify({ kakehi_state: FORMAT, version: VERSION, revision, hash, at: new Date().toISOString() });
  const { clusters: _, routes: __, ...rest } = toFile({ ...state, clusters: {}, routes: [] });
  const parts = [
    `${head}\n${JSON.stringify(rest).slice(0, -1)}${Object.keys(rest).length > 0 ? "," : ""}\n"clusters":{`,
  ];
  await addPieces(parts, Object.entries(state.clusters), (piece) => {
    const { clusters } = toFile({ ...state, clusters: Object.fromEntries(piece), routes: [] });
    return JSON.stringify(clusters).slice(1, -1);
  });
  parts.push(`},\n"routes":[`);
  await addPieces(parts, state.routes, (routes) => {
    return JSON.stringify(toFile({ ...state, clusters: {}, routes }).routes).slice(1, -1);
  });
  parts.push("]}\n");
  const content = encoder.encode(parts.join(""));
  const last = encoder.encode(JSON.stringify({ sha256: await checksum(content) }) + "\n");
  const whole = new Uint8Array(content.length + last.length);
  whole.set(content);
  whole.set(last, content.length);
  return whole;
}

async function addPieces<T>(parts: string[], all: readonly T[], write: (piece: T[]) => string): Promise<void> {
  for (let at = 0; at < all.length; at += PIECE_OBJECTS) {
    if (at > 0) await turn();
    parts.push(`${at > 0 ? "," : ""}\n${write(all.slice(at, at + PIECE_OBJECTS))}`);
  }
}

/** Another content for a file: whoever reads it at any moment, a crash included, finds the old one or the new one whole. */
export async function replaceFile(path: string, content: Uint8Array<ArrayBuffer>): Promise<void> {
  const fresh = `${path}.new`;
  const file = await Deno.open(fresh, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    for (let done = 0; done < content.length;) done += await file.write(content.subarray(done));
    await file.sync();
  } finally {
    file.close();
  }
  await keepPrevious(path);
  await Deno.rename(fresh, path);
  await syncFolder(path);
}

/** A second name for the file that is about to be replaced. */
async function keepPrevious(path: string): Promise<void> {
  const fresh = `${path}.previous.new`;
  await Deno.remove(fresh).catch(() => {});
  try {
    await Deno.link(path, fresh);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    await Deno.copyFile(path, fresh); // a file system without links
  }
  await Deno.rename(fresh, `${path}.previous`);
}

async function syncFolder(path: string): Promise<void> {
  const at = path.lastIndexOf("/");
  const folder = await Deno.open(at < 0 ? "." : path.slice(0, at) || "/");
  try {
    await folder.sync();
  } finally {
    folder.close();
  }
}

/**
 * The state that a file holds; undefined if there is no file. Throws StateFileError with the reason when it is not whole:
 * it is then left as it is.
 */
export async function readStateFile(path: string): Promise<StoredState | undefined> {
  let content: Uint8Array<ArrayBuffer>;
  try {
    content = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw refused(path, (error as Error).message);
  }
  const whole = endOfWhole(content);
  if (!whole) throw refused(path, "it is cut off: it has no line with a checksum");
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    const { sha256 } = JSON.parse(decoder.decode(content.subarray(whole.checksumAt, whole.end)));
    const body = content.subarray(0, whole.checksumAt);
    if (sha256 !== await checksum(body)) throw refused(path, "its content is not what the checksum says");
    const { at, isOurs, ...first } = stateIn(path, decoder.decode(body));
    const last = await replay(first, content, whole.end, isOurs);
    return { ...last, at: last.at || at, warning: last.warning && `state file ${path}: ${last.warning}` };
  } catch (error) {
    if (error instanceof StateFileError) throw error;
    throw refused(path, `it is no whole state file: ${(error as Error).message}`);
  }
}

function stateIn(path: string, text: string): Revision & { at: string; isOurs: boolean } {
  const line = text.indexOf("\n");
  const { kakehi_state, version, revision, hash: written, at } = JSON.parse(text.slice(0, line));
  if (kakehi_state !== FORMAT) throw refused(path, `its format is ${kakehi_state}, expected ${FORMAT}`);
  const loaded = checkState(JSON.parse(text.slice(line + 1)), path);
  if (!loaded.state) throw refused(path, formatErrors(loaded.errors));
  const hash = hashState(loaded.state);
  const isOurs = version === VERSION;
  if (isOurs && hash !== written) throw refused(path, "its state is not the one that its hash says");
  return { state: loaded.state, revision, hash, at, isOurs };
}

function refused(path: string, reason: string): StateFileError {
  const previous = exists(`${path}.previous`) ? `, the one before is ${path}.previous` : "";
  return new StateFileError(`state file ${path}: ${reason}; it stays as it is${previous}`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
