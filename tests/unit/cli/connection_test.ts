// The commands' side of the control socket, against a server that says whatever it likes.

import { Connection, RefusedRequest } from "../../../src/ts/cli/connection.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { ScriptedControl } from "../../support/scripted_control.ts";

Deno.test("request() gives the answer to its own id, whatever the order", async () => {
  const first = Promise.withResolvers<void>();
  await using control = await ScriptedControl.start(async function* ({ verb }) {
    if (verb === "status") await first.promise;
    yield { status: "ok", verb };
    first.resolve();
  });
  using connection = await Connection.open(control.path);
  const answers = await Promise.all([connection.request("status"), connection.request("version")]);
  assertEquals(answers, [{ verb: "status" }, { verb: "version" }]);
});

Deno.test("request() hands on progress, and reads lines however they are cut", async () => {
  await using control = await ScriptedControl.start(async function* ({ id }) {
    for (const byte of `{"id":${id},"status":"progress","n":1}\n{"id":${id},"status":"pro`) {
      yield byte;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    yield `gress","n":2}\n{"id":99,"status":"ok"}\n{"id":${id},"status":"ok","n":3}\n`;
  });
  using connection = await Connection.open(control.path);
  const seen: unknown[] = [];
  const answer = await connection.request("stop", {}, { onProgress: (fields) => seen.push(fields) });
  assertEquals([...seen, answer], [{ n: 1 }, { n: 2 }, { n: 3 }]);
});

Deno.test("request() sends all of a large request", async () => {
  await using control = await ScriptedControl.start(function* ({ text }) {
    yield { status: "ok", length: (text as string).length };
  });
  using connection = await Connection.open(control.path);
  assertEquals(await connection.request("plan", { text: "x".repeat(5_000_000) }), { length: 5_000_000 });
});

Deno.test("request() refuses with everything that the proxy said", async () => {
  await using control = await ScriptedControl.start(function* () {
    yield { status: "error", code: "conflict", reason: "revision 9 is served", revision: 9 };
  });
  using connection = await Connection.open(control.path);
  const error = await assertRejects(() => connection.request("apply"), /revision 9 is served/) as RefusedRequest;
  assertEquals([error.name, error.fields], ["Refused", { code: "conflict", revision: 9 }]);
});

Deno.test("request() fails for all requests when the connection as a whole is refused", async () => {
  await using control = await ScriptedControl.start(function* ({ verb }) {
    if (verb === "status") yield `{"id":null,"status":"error","code":"too_many","reason":"32 clients are connected"}\n`;
  });
  using connection = await Connection.open(control.path);
  const waiting = connection.request("history");
  const failed = assertRejects(() => waiting, /32 clients/);
  await assertRejects(() => connection.request("status"), /32 clients/);
  await failed;
});

Deno.test("request() is Unreachable when nobody answers", async () => {
  await using control = await ScriptedControl.start(function* ({ verb }) {
    if (verb === "stop") yield null;
  });
  using connection = await Connection.open(control.path);
  const late = await assertRejects(() => connection.request("status", {}, { quietLimitMs: 20 }), /within 20 ms/);
  const gone = await assertRejects(() => connection.request("stop"), /closed the connection before it answered/);
  const after = await assertRejects(() => connection.request("status"), /closed the connection/);
  const nobody = await assertRejects(() => Connection.open(`${control.path}.not`), /no proxy answers at/);
  assertEquals([late, gone, after, nobody].map(({ name }) => name), Array(4).fill("Unreachable"));
});

Deno.test("request() says so when what answers is no kakehi", async () => {
  await using control = await ScriptedControl.start(function* () {
    yield "HTTP/1.1 400 Bad Request\r\n\r\n";
  });
  using connection = await Connection.open(control.path);
  const error = await assertRejects(() => connection.request("status"));
  assertMatch(error.message, /is no kakehi/);
  assert(error.name !== "Unreachable");
});
