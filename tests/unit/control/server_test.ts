import { ask, RefusedRequest, Unreachable } from "../../../src/ts/cli/connection.ts";
import { type ControlRequest, REQUEST_BYTES_MAX } from "../../../src/ts/control/protocol.ts";
import { type Asking, ControlServer } from "../../../src/ts/control/server.ts";
import { AlreadyRunning, claimSocketPath } from "../../../src/ts/control/socket_file.ts";
import { Poller } from "../../../src/ts/sys/poll.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";

const encoder = new TextEncoder();
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function answer({ verb, now }: ControlRequest, { progress }: Asking): Promise<object> {
  if (verb === "version") return { version: "1" };
  if (verb === "stop" && now) throw new Error("the test says no");
  progress({ left: 2 });
  await delay(10);
  progress({ left: 1 });
  return { size: "x".repeat(500_000) };
}

async function withServer(body: (path: string) => Promise<void>, idleMs?: number): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/control.sock`;
  const poller = new Poller();
  const server = ControlServer.open(path, poller, answer, idleMs);
  try {
    await body(path);
  } finally {
    await server.close();
    await poller.close();
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Sends bytes and gives all that comes back until the server closes or `lines` lines have come. */
async function raw(
  path: string,
  text: string | Uint8Array<ArrayBuffer>,
  lines = Infinity,
): Promise<Record<string, unknown>[]> {
  using connection = await Deno.connect({ transport: "unix", path });
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const written = writeAll(connection, bytes).catch(() => {});
  let got = "";
  const buffer = new Uint8Array(65536);
  while (got.split("\n").length <= lines) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) break;
    got += new TextDecoder().decode(buffer.subarray(0, count));
  }
  await written;
  return got.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

Deno.test("ControlServer answers requests with their id, and tells of progress before", async () => {
  await withServer(async (path) => {
    assertEquals(await ask<unknown>(path, "version"), { version: "1" });
    const progress: unknown[] = [];
    const { size } = await ask<{ size: string }>(path, "status", {}, { onProgress: (fields) => progress.push(fields) });
    assertEquals(size.length, 500_000, "an answer larger than the socket's buffer");
    assertEquals(progress, [{ left: 2 }, { left: 1 }]);
    await assertRejects(() => ask(path, "stop", { now: true }), /the test says no/);
    const two = await raw(path, '{"id":"a","verb":"version"}\n{"id":7,"verb":"version"}\n', 2);
    assertEquals(two.map(({ id, status }) => [id, status]), [["a", "ok"], [7, "ok"]]);
  });
});

Deno.test("ControlServer says what is wrong with a request, and goes on where it can", async () => {
  await withServer(async (path) => {
    const [first, second, third] = await raw(
      path,
      '{"verb":"status"}\n{"id":1,"verb":"fly"}\n{"id":2,"verb":"version"}\n',
      3,
    );
    assertEquals(first!["code"], "bad_request");
    assertEquals([second!["id"], second!["code"]], [1, "unknown_verb"]);
    assertMatch(String(second!["reason"]), /"fly": expected one of apply, .*status, stop/);
    assertEquals(third!["status"], "ok");
    for (const line of ["[1]\n", "7\n", "null\n"]) assertEquals((await raw(path, line, 1))[0]!["code"], "bad_request");
  });
});

Deno.test("ControlServer drops a client that breaks the rules, and no other", async () => {
  await withServer(async (path) => {
    using other = await Deno.connect({ transport: "unix", path });
    assertMatch(String((await raw(path, "no json\n"))[0]!["reason"]), /not JSON/);
    assertMatch(
      String((await raw(path, "x".repeat(REQUEST_BYTES_MAX + 10)))[0]!["reason"]),
      /longer than 16777216 bytes/,
    );
    assertMatch(String((await raw(path, new Uint8Array([255, 10])))[0]!["reason"]), /not JSON/);
    await other.write(encoder.encode('{"id":1,"verb":"version"}\n'));
    assert(await other.read(new Uint8Array(100)));
  });
});

Deno.test("ControlServer bounds the number of its clients, and how long they say nothing", async () => {
  await withServer(async (path) => {
    const clients = [];
    for (let i = 0; i < 32; i++) clients.push(await Deno.connect({ transport: "unix", path }));
    const [refusal] = await raw(path, "");
    assertEquals(refusal!["code"], "too_many");
    await delay(350);
    for (const client of clients) {
      assertEquals(await client.read(new Uint8Array(1)), null, "an idle client is dropped");
      client.close();
    }
    assertEquals(await ask<unknown>(path, "version"), { version: "1" });
  }, 150);
});

Deno.test("ControlServer bounds what the beginnings of lines take of all clients together", async () => {
  await withServer(async (path) => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => Deno.connect({ transport: "unix", path })));
    const beginning = encoder.encode(`{"id":1,"verb":"version","pad":"${"x".repeat(5 << 20)}`);
    for (const client of clients) await writeAll(client, beginning);
    const [refusal] = await raw(path, beginning);
    assertMatch(String(refusal!["reason"]), /lines that are not whole/);
    for (const client of clients) {
      await writeAll(client, encoder.encode('"}\n'));
      assert(await client.read(new Uint8Array(100)), "whoever was there before is answered");
      client.close();
    }
  });
});

Deno.test("ControlServer bounds the requests of one client at a time", async () => {
  await withServer(async (path) => {
    const lines = Array.from({ length: 17 }, (_, id) => `{"id":${id},"verb":"version"}\n`).join("");
    const answers = await raw(path, lines, 17);
    const refused = answers.filter(({ status }) => status === "error");
    assertEquals(refused.map(({ id, code }) => [id, code]), [[16, "too_many"]]);
    assertEquals(answers.filter(({ status }) => status === "ok").length, 16);
  });
});

Deno.test("claimSocketPath() replaces the socket of a dead main only", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/control.sock`;
  await claimSocketPath(path);
  const poller = new Poller();
  const server = ControlServer.open(path, poller, answer);
  assert(await assertRejects(() => claimSocketPath(path), /another proxy is running/) instanceof AlreadyRunning);

  // Closing removes the file only while it is ours.
  await Deno.rename(path, `${path}.away`);
  await Deno.writeTextFile(path, "somebody else's");
  await server.close();
  await poller.close();
  assertEquals(await Deno.readTextFile(path), "somebody else's");
  await assertRejects(() => claimSocketPath(path), /is not a socket/);

  // What a killed main leaves behind: a socket file that nobody listens at.
  await claimSocketPath(`${path}.away`);
  await assertRejects(() => Deno.lstat(`${path}.away`), /NotFound|No such file/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("ask() tells an unreachable proxy from one that refuses", async () => {
  assert(await assertRejects(() => ask("/nowhere/kakehi.sock", "status")) instanceof Unreachable);
  await withServer(async (path) => {
    assert(await assertRejects(() => ask(path, "stop", { now: true })) instanceof RefusedRequest);
    assert(await assertRejects(() => ask(path, "status", {}, { quietLimitMs: 1 })) instanceof Unreachable);
  });
});
