// The commands' side of the control socket: any number of requests on one connection, each with its progress and its answer.
// Nothing here waits for ever but what is meant to: a request says how long the proxy may say nothing about it.

import type { ControlAnswer, ErrorFields, Verb } from "../control/protocol.ts";
import { controlSocketPath } from "../control/socket_path.ts";

const CONNECT_LIMIT_MS = 5_000;
const QUIET_LIMIT_MS = 10_000;
/** New workers may have to start, and others to be asked, before a change is answered. */
export const CHANGE_LIMIT_MS = 120_000;

/** Nobody answers at the socket: the command ends with an exit code of its own. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** The proxy answered that it does not do what was asked; with everything that it said about it. */
export class RefusedRequest extends Error {
  override name = "Refused";
  readonly fields: Omit<ErrorFields, "reason">;

  constructor({ reason, ...fields }: ErrorFields) {
    super(reason);
    this.fields = fields;
  }
}

export interface Listening {
  onProgress?: (fields: Record<string, unknown>) => void;
  /** Between two lines of the proxy about this request; Infinity: any time. */
  quietLimitMs?: number;
}

interface Pending {
  resolve: (fields: Record<string, unknown>) => void;
  reject: (error: Error) => void;
  onProgress: (fields: Record<string, unknown>) => void;
  quietLimitMs: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Connection implements Disposable {
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #writing: Promise<void> = Promise.resolve();
  #ended: Error | undefined;

  private constructor(private readonly path: string, private readonly socket: Deno.Conn) {
    void this.#read();
  }

  /** Throws Unreachable when nobody listens there. */
  static async open(path: string): Promise<Connection> {
    return new Connection(path, await connect(path));
  }

  /** Throws Unreachable when the proxy does not answer, RefusedRequest with its reason when it refuses. */
  request<T>(
    verb: Verb,
    fields: object = {},
    { onProgress = () => {}, quietLimitMs = QUIET_LIMIT_MS }: Listening = {},
  ) {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    if (this.#ended) reject(this.#ended);
    const pending: Pending = { resolve, reject, onProgress, quietLimitMs, timer: undefined };
    this.#pending.set(id, pending);
    this.#watch(id, pending);
    const line = new TextEncoder().encode(JSON.stringify({ ...fields, id, verb }) + "\n");
    this.#writing = this.#writing.then(() => this.#write(line));
    return promise as Promise<T>;
  }

  close(): void {
    this.#end(new Unreachable(`the connection to ${this.path} is closed`));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) done += await this.socket.write(bytes.subarray(done));
    } catch {
      // Whoever closed it may have said why: reading tells.
    }
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    let text = "";
    try {
      for (let count = await this.socket.read(buffer); count !== null; count = await this.socket.read(buffer)) {
        const piece = decoder.decode(buffer.subarray(0, count), { stream: true });
        text += piece;
        if (!piece.includes("\n")) continue;
        const lines = text.split("\n");
        text = lines.pop()!;
        for (const line of lines) this.#onAnswer(JSON.parse(line) as ControlAnswer);
      }
    } catch (error) {
      // A connection that the proxy resets when it exits has ended like one that it closes.
      if (error instanceof SyntaxError) this.#end(new Error(`what answers at ${this.path} is no kakehi`));
    }
    this.#end(new Unreachable(`the proxy at ${this.path} closed the connection before it answered`));
  }

  #onAnswer(answer: ControlAnswer): void {
    const { id, status: _, ...fields } = answer;
    // An error about no request in particular ends them all.
    if (id === null && answer.status === "error") {
      return this.#end(new RefusedRequest(fields as unknown as ErrorFields));
    }
    const pending = this.#pending.get(Number(id));
    if (!pending) return;
    clearTimeout(pending.timer);
    if (answer.status === "progress") {
      this.#watch(Number(id), pending);
      return pending.onProgress(fields);
    }
    this.#pending.delete(Number(id));
    if (answer.status === "ok") pending.resolve(fields);
    else pending.reject(new RefusedRequest(fields as unknown as ErrorFields));
  }

  #watch(id: number, pending: Pending): void {
    const { quietLimitMs, reject } = pending;
    if (quietLimitMs === Infinity) return;
    pending.timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new Unreachable(`the proxy at ${this.path} did not answer within ${quietLimitMs} ms`));
    }, quietLimitMs);
  }

  #end(why: Error): void {
    if (this.#ended) return;
    this.#ended = why;
    this.socket.close();
    for (const { timer, reject } of this.#pending.values()) {
      clearTimeout(timer);
      reject(why);
    }
    this.#pending.clear();
  }
}

async function connect(path: string): Promise<Deno.Conn> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    const late = new Unreachable(`the proxy at ${path} did not answer within ${CONNECT_LIMIT_MS} ms`);
    timer = setTimeout(() => reject(late), CONNECT_LIMIT_MS);
  });
  try {
    return await Promise.race([Deno.connect({ transport: "unix", path }), limit]);
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    if (error instanceof Deno.errors.PermissionDenied) throw new Unreachable(`no permission to use ${path}`);
    throw new Unreachable(`no proxy answers at ${path} (is it running, and is this its --socket?)`);
  } finally {
    clearTimeout(timer);
  }
}

/** A connection to the proxy whose socket was named, or to the one at the usual place. */
export function openConnection(socket: string | undefined): Promise<Connection> {
  return Connection.open(controlSocketPath(socket));
}

/** One request on a connection of its own. */
export async function ask<T>(
  socket: string | undefined,
  verb: Verb,
  fields: object = {},
  listening: Listening = {},
): Promise<T> {
  using connection = await openConnection(socket);
  return await connection.request<T>(verb, fields, listening);
}
