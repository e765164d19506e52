// What a call of gRPC is told when the proxy itself answers it, or cannot complete the answer of a backend: a status of gRPC that
// says what happened, read by gRPC's own library; and that nobody else is answered so.

import * as grpc from "@grpc/grpc-js";
import { assert, assertEquals } from "../support/assert.ts";
import { fromText, toText } from "../support/bytes.ts";
import { method, outcome, read, text } from "../support/grpc.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import { eventually, type Proxy, startProxy } from "../support/proxy.ts";
import { exchange } from "../support/raw_client.ts";
import { closedPort } from "../support/scripted_backend.ts";

const HEAD: Field[] = [[":status", "200"], ["content-type", "application/grpc"]];
const CALL: Field[] = [["content-type", "application/grpc"], ["te", "trailers"]];
/** Not compressed, of one byte. */
const MESSAGE = [0, 0, 0, 0, 1, 0x61];

const SERVICE = {
  once: method("once", false, false),
  send: method("send", true, false),
  watch: method("watch", false, true),
  talk: method("talk", true, true),
};

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  backend: Http2Backend;
  /** A client of the service for this host. */
  // deno-lint-ignore no-explicit-any
  client(host: string): any;
}

/** Hosts: `app.test` has a backend in the hands of the test, of `down.test` nobody listens, `none.test` has no backend in service. */
async function serve(onRequest: (one: Http2Request) => unknown, top = ""): Promise<Stage> {
  const backend = await Http2Backend.start({ onRequest });
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters:
  app: { backends: ["${backend.address}"], protocol: h2c }
  down: { backends: ["127.0.0.1:${await closedPort()}"], protocol: h2c }
  none: { backends: [{ address: "${backend.address}", weight: 0 }], protocol: h2c }
routes:
  - { host: app.test, cluster: app }
  - { host: down.test, cluster: down }
  - { host: none.test, cluster: none }
timeouts: { response: 300ms }
access_log: { path: "{folder}/access.log", format: json }
${top}
`);
  const clients: grpc.Client[] = [];
  const Client = grpc.makeGenericClientConstructor(SERVICE, "Service");
  return {
    proxy,
    backend,
    client(host) {
      const one = new Client(`127.0.0.1:${proxy.port("web")}`, grpc.credentials.createInsecure(), {
        "grpc.default_authority": host,
        "grpc.enable_retries": 0,
        "grpc.use_local_subchannel_pool": 1,
      });
      clients.push(one);
      return one;
    },
    async [Symbol.asyncDispose]() {
      for (const one of clients) one.close();
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

// deno-lint-ignore no-explicit-any
async function once(client: any): Promise<[number, string]> {
  const { status } = await outcome((answered) => client.once(text("a"), answered));
  return [status.code, status.details];
}

async function atRest({ proxy }: Stage): Promise<void> {
  const names = ["h2.streams.active", "streams.active", "buffers.used"];
  await eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}

Deno.test("a call that the proxy refuses has a status of gRPC: no backend, none reached, no route, no answer", async () => {
  await using stage = await serve((one) => {
    if (one.number === 0) return; // never answered
    one.connection.peer.destroy();
  });
  const { status } = grpc;
  assertEquals(await once(stage.client("down.test")), [status.UNAVAILABLE, "The backend cannot be reached."]);
  assertEquals(await once(stage.client("none.test")), [status.UNAVAILABLE, "No backend is available."]);
  assertEquals(await once(stage.client("other.test")), [status.UNIMPLEMENTED, "Nothing is served here."]);
  const app = stage.client("app.test");
  assertEquals(await once(app), [status.UNAVAILABLE, "The backend did not answer in time."]);
  assertEquals(await once(app), [status.UNAVAILABLE, "The backend closed the connection."]);
  // what happened is counted as what it is in HTTP
  const counters = await stage.proxy.counters();
  assertEquals(counters.all("refused."), {
    "refused.backend_closed": 1,
    "refused.connect_failed": 1,
    "refused.no_backend": 1,
    "refused.no_route": 1,
    "refused.response_timeout": 1,
  });
  assertEquals([counters.of("responses.2xx"), counters.of("responses.4xx"), counters.of("responses.5xx")], [0, 1, 4]);
  await atRest(stage);
});

Deno.test("a call, and metadata, that are too large are RESOURCE_EXHAUSTED", async () => {
  await using stage = await serve(() => {}, "limits: { body_bytes: 4KiB, header_bytes: 2KiB, target_bytes: 1KiB }");
  const client = stage.client("app.test");
  const sent = await outcome((answered) => client.send(answered), [new Uint8Array(3000), new Uint8Array(3000)]);
  const { RESOURCE_EXHAUSTED } = grpc.status;
  assertEquals([sent.status.code, sent.status.details], [RESOURCE_EXHAUSTED, "The request body is too large."]);
  using raw = await Http2Client.connect(stage.proxy.port("web"));
  await raw.ask(1, "/", { fields: [...CALL, ["x-long", "x".repeat(3000)]], body: fromText("x") });
  const { fields } = await raw.answer(1);
  const told = ["grpc-status", "grpc-message"].map((name) => fieldOf({ fields }, name));
  assertEquals(told, [String(RESOURCE_EXHAUSTED), "The request's header fields are too large."]);
  await atRest(stage);
});

Deno.test("a call whose backend goes away in the middle keeps what has come and is UNAVAILABLE", async () => {
  await using stage = await serve(async ({ connection, id, path }) => {
    const head = f.headers(id, HEAD, f.END_HEADERS);
    // in the middle of the second message
    await connection.send(head, f.frame(f.DATA, 0, id, MESSAGE), f.frame(f.DATA, 0, id, MESSAGE.slice(0, 3)));
    if (path.endsWith("watch")) await connection.send(f.rstStream(id, 2));
    else connection.peer.socket.end();
  });
  const client = stage.client("app.test");
  const { UNAVAILABLE } = grpc.status;
  const watched = await outcome(() => client.watch(text("a")));
  assertEquals([watched.status.code, watched.status.details], [UNAVAILABLE, "The answer was cut short."]);
  assertEquals(watched.messages.map(read), ["a"]);
  // here the client has not ended its side
  const talked = await outcome(() => client.talk(), [text("b")], () => {});
  assertEquals([talked.status.code, talked.status.details], [UNAVAILABLE, "The answer was cut short."]);
  assertEquals(talked.messages.map(read), ["a"]);
  assertEquals((await stage.proxy.counters()).of("backend.truncated"), 2);
  await atRest(stage);
});

Deno.test("what the configuration says instead reaches the client as it is", async () => {
  const said = "Gleich zurück: 100 % 筧 …";
  await using stage = await serve(() => {}, `answers: { 503: "${said}\\n", 404: "${"é".repeat(512)}" }`);
  assertEquals(await once(stage.client("none.test")), [grpc.status.UNAVAILABLE, said]);
  // as much of it as fits into 1 KiB, in whole characters
  assertEquals(await once(stage.client("other.test")), [grpc.status.UNIMPLEMENTED, "é".repeat(170)]);
});

Deno.test("the answer is a head that ends the stream; requests that are not gRPC over HTTP/2 are answered as ever", async () => {
  await using stage = await serve(() => {});
  const port = stage.proxy.port("web");
  using client = await Http2Client.connect(port);
  const line: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "other.test"], [":path", "/"]];
  const ask = async (id: number, type: string) => {
    const head = f.headers(id, [...line, ["content-type", type], ["te", "trailers"]], f.END_HEADERS);
    await client.send(head, f.frame(f.DATA, f.END_STREAM, id, MESSAGE));
    return await client.answer(id);
  };
  for (const [n, type] of ["application/grpc", "Application/GRPC+proto", "application/grpc;v=1"].entries()) {
    const answer = await ask(1 + 2 * n, type);
    const { fields } = answer;
    assertEquals(fields.filter(([name]) => name !== "date"), [
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-status", "12"],
      ["grpc-message", "Nothing is served here."],
    ]);
    assert(fieldOf(answer, "date") !== undefined);
    assertEquals([answer.body.length, answer.trailers.length, answer.reset], [0, 0, undefined]);
    const heads = client.words.filter((words) => words.startsWith(`HEADERS ${1 + 2 * n}`));
    assertEquals(client.frames.filter(({ type, stream }) => type === f.DATA && stream === 1 + 2 * n), []);
    assertEquals(heads.length, 1);
  }
  for (const [n, type] of ["application/grpc-web", "application/grpcs", "application/json", "text/plain"].entries()) {
    const answer = await ask(7 + 2 * n, type);
    assertEquals([fieldOf(answer, "grpc-status"), fieldOf(answer, ":status")], [undefined, "404"], type);
    assertEquals(toText(answer.body), "Nothing is served here.\n");
  }
  // RFC 9113 §8.1: what of the call is still to come is asked for no more, without an error
  await client.send(f.headers(15, [...line, ...CALL], f.END_HEADERS));
  await client.seen("RST_STREAM 15 NO_ERROR");
  assertEquals(fieldOf(client.answers.get(15)!, "grpc-status"), "12");
  const old = "POST / HTTP/1.1\r\nHost: other.test\r\nContent-Type: application/grpc\r\nContent-Length: 1\r\n" +
    "Connection: close\r\n\r\nx";
  const peer = await exchange(port, old);
  const answer = toText(peer.received);
  assert(answer.startsWith("HTTP/1.1 404 ") && !answer.includes("grpc"), answer);
  const lines = await eventually(
    "all are logged",
    () => Deno.readTextFileSync(`${stage.proxy.folder}/access.log`).trim().split("\n"),
    (all) => all.length === 9,
  );
  const statuses = new Set(lines.map((line) => JSON.parse(line)).map(({ status, refusal }) => `${status} ${refusal}`));
  assertEquals([...statuses], ["404 no_route"]);
});
