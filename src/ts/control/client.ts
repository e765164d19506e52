// The commands' side of the control socket: one request, its progress, its answer.

import type { ControlAnswer, Verb } from "./protocol.ts";

/** Nobody answers at the socket: the command ends with its own exit code. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** The proxy answered that it could not do what was asked. */
export class Refused extends Error {
  override name = "Refused";
}

const CONNECT_LIMIT_MS = 5_000;

/**
 * Sends one request and gives the answer's fields. `quietLimitMs` bounds the time between two lines of the proxy (Infinity:
 * none). Throws Unreachable when nobody listens or the connection ends before the answer, Refused with the proxy's reason.
 */
export async function request(
  path: string,
  verb: Verb,
  fields: Record<string, unknown>,
  onProgress: (fields: Record<string, unknown>) => void = () => {},
  quietLimitMs = 10_000,
): Promise<Record<string, unknown>> {
  const connection = await connect(path);
  try {
    await connection.write(new TextEncoder().encode(JSON.stringify({ id: 1, verb, ...fields }) + "\n"));
    for await (const line of linesOf(connection, path, quietLimitMs)) {
      const answer = JSON.parse(line) as ControlAnswer;
      const { id: _id, status: _status, ...rest } = answer;
      if (answer.status === "ok") return rest;
      if (answer.status === "error") throw new Refused(answer.reason);
      onProgress(rest);
    }
  } finally {
    connection.close();
  }
  throw new Unreachable(`the proxy at ${path} closed the connection before it answered`);
}

async function connect(path: string): Promise<Deno.Conn> {
  try {
    return await within(Deno.connect({ transport: "unix", path }), CONNECT_LIMIT_MS, path);
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    if (error instanceof Deno.errors.PermissionDenied) throw new Unreachable(`no permission to use ${path}`);
    throw new Unreachable(`no proxy answers at ${path} (is it running, and is this its --socket?)`);
  }
}

async function* linesOf(connection: Deno.Conn, path: string, limitMs: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const count = await within(readSome(connection, buffer), limitMs, path);
    if (count === null) return;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const lines = text.split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** A connection that the proxy resets when it exits has ended like one that it closes. */
async function readSome(connection: Deno.Conn, buffer: Uint8Array): Promise<number | null> {
  try {
    return await connection.read(buffer);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return null;
    throw error;
  }
}

async function within<T>(promise: Promise<T>, limitMs: number, path: string): Promise<T> {
  if (limitMs === Infinity) return await promise;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Unreachable(`the proxy at ${path} did not answer within ${limitMs} ms`)),
      limitMs,
    );
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
