// HTTP/2 from clients, HTTP/1.1 to backends: programs that are not ours (curl, nghttp, h2load), and a client that sends frames
// one by one where it matters when, and how an exchange ends.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { bodyBytes, checkBody } from "../support/bodies.ts";
import { fromText, toText } from "../support/bytes.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { type Field } from "../support/h2_frames.ts";
import { eventually, memoryOf, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { createRandom } from "../support/random.ts";
import { requireTools } from "../support/require_tool.ts";
import { startBackend } from "../support/scripted_backend.ts";
import { serveTls } from "../support/tls_stage.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES = [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB];
const noTools = requireTools("curl", "nghttp", "h2load", "md5sum");
const WEBSOCKET: Field[] = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":authority", "a.test"],
  [":path", "/ws"],
  ["sec-websocket-version", "13"],
];

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  port: number;
  /** What the backend was asked: method, path, fields. */
  asked: { line: string; fields: string[] }[];
  /** Requests whose client has gone before the end. */
  aborted: string[];
}

/** `/size/N` and `/chunked/N` give bodies, `/echo` gives back what comes, `/headers` says what came, `/stall` never ends. */
async function serve(options = "", top = ""): Promise<Stage> {
  const asked: Stage["asked"] = [];
  const aborted: string[] = [];
  const server = createServer((request, response) => {
    const url = request.url!;
    asked.push({ line: `${request.method} ${url} HTTP/${request.httpVersion}`, fields: request.rawHeaders });
    response.on("close", () => {
      if (!response.writableFinished) aborted.push(url);
    });
    const size = Number(url.split("/")[2] ?? 0);
    if (url.startsWith("/size/")) response.end(bodyOf(size));
    else if (url.startsWith("/chunked/")) {
      response.setHeader("trailer", "x-sum");
      if (size > 0) response.write(bodyOf(size));
      response.addTrailers({ "x-sum": String(size) });
      response.end();
    } else if (url === "/echo") {
      request.on("data", (part) => response.write(part));
      request.on("end", () => {
        response.addTrailers({ "x-got": JSON.stringify(request.trailers) });
        response.end();
      });
      response.setHeader("trailer", "x-got");
    } else if (url === "/early") {
      response.writeHead(200, { "content-length": "3" });
      response.end("yes");
    } else if (url === "/unwanted") {
      response.writeHead(403, { "content-length": "2", connection: "close" });
      response.end("no");
    } else if (url === "/hints") {
      response.writeEarlyHints({ link: "</a.css>; rel=preload" });
      response.end("hints");
    } else if (url === "/cut") {
      response.writeHead(200, { "content-length": "100" });
      response.write("part", () => response.destroy());
    } else if (url === "/none") {
      response.writeHead(204);
      response.end();
    } else if (url === "/stall") response.write("begun");
    else response.end(url);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve);
  await promise;
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true, http2: { ${options} } } }
clusters: { app: { backends: ["127.0.0.1:${(server.address() as AddressInfo).port}"] } }
routes: [{ cluster: app }]
${top}
`);
  return {
    proxy,
    port: proxy.port("web"),
    asked,
    aborted,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

function bodyOf(size: number): Uint8Array {
  return bodyBytes(0, size);
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, code } = await new Deno.Command(program, { args }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${text.decode(stderr)}${text.decode(stdout)}`);
  return text.decode(stdout) + text.decode(stderr);
}

Deno.test("requests, answers and trailers of all forms, on one connection", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port);
  const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
  for (const [i, method] of methods.entries()) {
    await client.ask(2 * i + 1, "/m", { method, fields: [["cookie", "a=1"], ["cookie", "b=2"]] });
  }
  for (const [i, method] of methods.entries()) {
    const answer = await client.answer(2 * i + 1);
    assertEquals([fieldOf(answer, ":status"), toText(answer.body)], ["200", method === "HEAD" ? "" : "/m"], method);
    assertEquals(fieldOf(answer, "connection"), undefined);
    if (method !== "HEAD") assertEquals(fieldOf(answer, "content-length"), "2");
  }
  assertEquals(stage.asked.map(({ line }) => line).toSorted(), methods.map((one) => `${one} /m HTTP/1.1`).toSorted());
  const { fields } = stage.asked[0]!;
  assertEquals(fields[fields.indexOf("cookie") + 1], "a=1; b=2");
  assertEquals(fields[fields.indexOf("Host") + 1], "a.test");
  assertEquals(fields[fields.indexOf("Via") + 1], "2.0 kakehi");
  assertEquals(fields[fields.indexOf("X-Forwarded-For") + 1], "127.0.0.1");
  await client.ask(21, "/none");
  assertEquals(fieldOf(await client.answer(21), ":status"), "204");
  await client.ask(23, "/hints");
  const hints = await client.answer(23);
  assertEquals([fieldOf(hints, ":interim"), fieldOf(hints, ":status"), toText(hints.body)], ["103", "200", "hints"]);
  await client.ask(25, "/chunked/5");
  const chunked = await client.answer(25);
  assertEquals([chunked.body.length, chunked.trailers], [5, [["x-sum", "5"]]]);
  assertEquals(fieldOf(chunked, "transfer-encoding"), undefined);
});

Deno.test("bodies of all sizes come whole in both directions, with length and without, trailers behind them", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port, [4, 100_000]);
  let id = -1;
  for (const size of SIZES) {
    for (const path of [`/size/${size}`, `/chunked/${size}`]) {
      await client.ask(id += 2, path);
      const answer = await client.answer(id);
      assertEquals(answer.body.length, size, path);
      checkBody(0, answer.body);
    }
    for (const fields of [[], [["content-length", String(size)]]] as Field[][]) {
      await client.ask(id += 2, "/echo", { body: bodyOf(size), fields });
      const answer = await client.answer(id);
      assertEquals([answer.body.length, answer.reset], [size, undefined], `echo of ${size}, ${fields}`);
      checkBody(0, answer.body);
    }
  }
  const line: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/echo"]];
  await client.send(f.headers(id += 2, line, f.END_HEADERS), f.frame(f.DATA, 0, id, fromText("abc")));
  await client.send(f.headers(id, [["x-trailer", "t"]]));
  const echoed = await client.answer(id);
  assertEquals([toText(echoed.body), echoed.trailers], ["abc", [["x-got", '{"x-trailer":"t"}']]]);
});

Deno.test({
  name: "100 MiB come whole through curl in both directions, in the worker's own memory",
  ignore: noTools,
  async fn() {
    await using stage = await serve();
    const folder = await Deno.makeTempDir({ prefix: "kakehi-h2-" });
    const [worker = 0] = await stage.proxy.workers();
    const before = memoryOf(worker).anonymous;
    try {
      const path = `${folder}/big`;
      using file = await Deno.open(path, { write: true, create: true });
      for (let at = 0; at < 100; at++) {
        const part = bodyBytes(at * MIB, MIB);
        for (let done = 0; done < part.length;) done += await file.write(part.subarray(done));
      }
      const sum = (await run("md5sum", path)).split(" ")[0]!;
      const url = `http://127.0.0.1:${stage.port}/echo`;
      for (const from of [path, "-"]) {
        const upload = `curl -sf --http2-prior-knowledge -T ${from} ${url} < ${path} | md5sum`;
        assertEquals((await run("sh", "-c", upload)).split(" ")[0], sum, from);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    const grown = memoryOf(worker).anonymous - before;
    assert(grown < 24 * MIB, `the worker grew by ${(grown / MIB).toFixed(1)} MiB`);
  },
});

Deno.test({
  name: "h2load and nghttp: thousands of streams, large bodies, windows of a byte",
  ignore: noTools,
  async fn() {
    await using stage = await serve("abuse: { small_frames: 100000 }");
    const url = `http://127.0.0.1:${stage.port}`;
    const load = async (...args: string[]) =>
      (await run("h2load", ...args)).match(/(\d+) succeeded, (\d+) failed/)?.[0];
    assertEquals(await load("-n10000", "-c4", "-m32", `${url}/m`), "10000 succeeded, 0 failed");
    assertEquals(await load("-n1000", "-c1", "-m1000", `${url}/m`), "1000 succeeded, 0 failed");
    assertEquals(await load("-n400", "-c4", "-m16", `${url}/size/1000000`), "400 succeeded, 0 failed");
    assertEquals(await load("-n400", "-c4", "-m16", `${url}/chunked/100000`), "400 succeeded, 0 failed");
    assertEquals(await load("-n2", "-c1", "-m2", "-w1", `${url}/size/3000`), "2 succeeded, 0 failed");
    assertMatch(await run("nghttp", "-v", `${url}/chunked/3`), /x-sum: 3/);
    const counters = await stage.proxy.counters();
    assertEquals([counters.of("h2.streams.active"), counters.of("buffers.used")], [0, 0]);
    assertEquals(counters.all("h2.abuse."), {});
  },
});

Deno.test("with TLS, ALPN decides; without room for HTTP/2, HTTP/1.1 is offered", async () => {
  await using stage = await serveTls({
    tls: "alpn: [h2, http/1.1], default_certificate: ecdsa",
    top: "limits: { http2_connections: 1 }",
  });
  const url = `https://a.test:${stage.proxy.port("sec")}/x`;
  const get = (...args: string[]) =>
    run(
      "curl",
      "-sf",
      "--cacert",
      stage.authority.cert,
      "--resolve",
      `a.test:${stage.proxy.port("sec")}:127.0.0.1`,
      "-w",
      " %{http_version}",
      ...args,
      url,
    );
  assertMatch(await get("--http2"), / 2$/);
  assertMatch(await get("--http1.1"), / 1\.1$/);
  await eventually("the first is gone", () => stage.proxy.counters(), (all) => all.of("h2.connections.active") === 0);
  const child = new Deno.Command("openssl", {
    args: [
      "s_client",
      "-quiet",
      "-alpn",
      "h2",
      "-connect",
      `127.0.0.1:${stage.proxy.port("sec")}`,
      "-servername",
      "a.test",
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually("one is there", () => stage.proxy.counters(), (all) => all.of("h2.connections.active") === 1);
  assertMatch(await get("--http2"), / 1\.1$/);
  await child.stdin.close();
  child.kill();
  await child.status;
});

Deno.test("an answer that comes early ends the stream with NO_ERROR, and the connection goes on", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port);
  const line = (path: string): Field[] => {
    return [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", path]];
  };
  for (const [id, path, status, text] of [[1, "/early", "200", "yes"], [3, "/unwanted", "403", "no"]] as const) {
    await client.send(f.headers(id, line(path), f.END_HEADERS), f.data(id, 1000));
    const answer = await client.answer(id);
    assertEquals([fieldOf(answer, ":status"), toText(answer.body)], [status, text]);
    await client.seen(`RST_STREAM ${id} NO_ERROR`);
    await client.send(f.data(id, 1000, f.END_STREAM));
  }
  await client.ask(5, "/m");
  assertEquals(fieldOf(await client.answer(5), ":status"), "200");
});

Deno.test("resets from either side cost their stream alone", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port);
  await client.ask(1, "/stall");
  await client.peer.until("the first byte", () => client.answers.get(1)?.body.length === 5 || undefined);
  await client.send(f.rstStream(1));
  await eventually("the backend is told", () => stage.aborted, (all) => all.includes("/stall"));
  const line: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/echo"]];
  await client.send(f.headers(3, line, f.END_HEADERS), f.data(3, 100), f.rstStream(3));
  await client.ask(5, "/cut");
  assertEquals((await client.answer(5)).reset, "RST_STREAM 5 INTERNAL_ERROR");
  await client.send(f.headers(7, [[":method", "GET"], [":path", "/"], [":scheme", "http"], ["Upper", "x"]]));
  assertEquals((await client.answer(7)).reset, "RST_STREAM 7 PROTOCOL_ERROR");
  await client.ask(9, "/m");
  assertEquals(toText((await client.answer(9)).body), "/m");
  const counters = await eventually("all have ended", () => stage.proxy.counters(), (all) => {
    return all.of("h2.streams.active") === 0 && all.of("buffers.used") === 0;
  });
  assertEquals([counters.of("h2.streams.reset_by_client"), counters.of("h2.streams.malformed")], [2, 1]);
});

Deno.test("a client that has ended its side still gets what it has asked for as a whole", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port);
  const line: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/echo"]];
  await client.send(f.headers(1, line, f.END_HEADERS), f.data(1, 10));
  await client.ask(3, "/size/30000");
  client.peer.finish();
  const answer = await client.answer(3);
  assertEquals([answer.body.length, answer.ended], [30_000, true]);
  await eventually("the other is given up", () => stage.proxy.counters(), (all) => {
    return all.of("h2.connections.active") === 0 && all.of("buffers.used") === 0 && all.of("client.aborted") === 1;
  });
});

Deno.test("what the proxy refuses is answered on the stream", async () => {
  await using stage = await serve("", "limits: { body_bytes: 1000, header_bytes: 4KiB, target_bytes: 1KiB }");
  using client = await Http2Client.connect(stage.port);
  await client.ask(1, "/echo", { body: bodyOf(2000), fields: [["content-length", "2000"]] });
  await client.ask(3, "/echo", { body: bodyOf(2000) });
  await client.ask(5, "/m", { fields: [["x-long", "y".repeat(8000)]] });
  await client.ask(7, `/${"z".repeat(2000)}`);
  await client.ask(9, "/m", { method: "SPY" });
  await client.send(f.headers(11, [[":method", "CONNECT"], [":authority", "a.test:1"]], f.END_HEADERS));
  const statuses = [];
  for (const id of [1, 3, 5, 7, 9, 11]) statuses.push(fieldOf(await client.answer(id), ":status"));
  assertEquals(statuses, ["413", "413", "431", "414", "501", "405"]);
  const text = toText((await client.answer(9)).body);
  assertEquals(text, "The request method is not known here.\n");
});

Deno.test("a stream that nobody reads holds up nobody else, and its body stays with the backend", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port, [4, 65_535]);
  const [worker = 0] = await stage.proxy.workers();
  const before = memoryOf(worker).anonymous;
  client.reads = false;
  // each takes no more than its own window; the window of the connection has room for others
  await client.send(f.windowUpdate(0, 10 * MIB));
  for (let id = 1; id < 40; id += 2) await client.ask(id, "/size/1048000");
  await client.peer.until("all windows are full", () => {
    const lengths = [...client.answers.values()].map(({ body }) => body.length);
    return (lengths.length === 20 && lengths.every((length) => length === 65_535)) || undefined;
  });
  client.reads = true;
  await client.ask(41, "/size/100000");
  assertEquals((await client.answer(41)).body.length, 100_000);
  assert(memoryOf(worker).anonymous - before < 12 * MIB, "20 MiB are on their way");
  for (let id = 1; id < 40; id += 2) await client.send(f.windowUpdate(id, 2 * MIB));
  for (let id = 1; id < 40; id += 2) checkBody(0, (await client.answer(id)).body);
});

Deno.test("a body that the backend does not take stops at the stream's window, and others pass it", async () => {
  let stalled: (() => void) | undefined;
  await using backend = await startBackend(async (peer) => {
    await peer.until("a head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    if (!toText(peer.received).startsWith("POST")) {
      await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      return;
    }
    peer.pause();
    await new Promise<void>((resolve) => stalled = resolve);
    peer.resume();
  });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
`);
  using client = await Http2Client.connect(proxy.port("web"));
  const line: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/"]];
  await client.send(f.headers(1, line, f.END_HEADERS));
  let sent = 0;
  let credit = 65_536;
  const read = () => {
    const updates = client.words.filter((word) => word.startsWith("WINDOW_UPDATE 1 "));
    return 65_536 + updates.reduce((sum, word) => sum + Number(word.split("+")[1]), 0);
  };
  // as much as there is credit for, until none comes for a while
  for (let quiet = 0; quiet < 20;) {
    credit = read();
    if (credit - sent < 16_384) {
      quiet++;
      await new Promise((resolve) => setTimeout(resolve, 25));
      continue;
    }
    quiet = 0;
    await client.send(f.data(1, 16_384));
    sent += 16_384;
    if (sent > 64 * MIB) throw new Error("nothing stops the body");
  }
  await client.ask(3, "/");
  assertEquals(toText((await client.answer(3)).body), "ok");
  const { counters } = await proxy.status();
  assert(counters["buffers.used"]! <= 8, `${counters["buffers.used"]} buffers are held`);
  stalled?.();
});

Deno.test("WebSockets are opened by extended CONNECT, and carried both ways until either end", async () => {
  const heads: string[] = [];
  await using backend = await startBackend(async (peer) => {
    const head = await peer.until("a head", () => {
      const end = toText(peer.received).indexOf("\r\n\r\n");
      return end < 0 ? undefined : toText(peer.take(end + 4));
    });
    heads.push(head);
    const key = /\r\nSec-WebSocket-Key: (\S+)/.exec(head)![1]!;
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    await peer.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\nhello`,
    );
    await peer.until("four bytes", () => peer.length >= 4 || undefined);
    await peer.write(peer.take(4));
    peer.finish();
  });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
`);
  using client = await Http2Client.connect(proxy.port("web"));
  assertMatch(f.inWords(await client.seen(/^SETTINGS \d/)), / 8=1/);
  await client.send(f.headers(1, WEBSOCKET, f.END_HEADERS));
  await client.peer.until("hello", () => client.answers.get(1)?.body.length === 5 || undefined);
  assertEquals(fieldOf(client.answers.get(1)!, ":status"), "200");
  assertEquals(fieldOf(client.answers.get(1)!, "upgrade"), undefined);
  await client.send(f.frame(f.DATA, 0, 1, fromText("ping")));
  await client.peer.until("end", () => client.answers.get(1)?.ended || undefined);
  assertEquals(toText(client.answers.get(1)!.body), "helloping");
  await client.send(f.frame(f.DATA, f.END_STREAM, 1));
  assertMatch(heads[0]!, /^GET \/ws HTTP\/1\.1\r\n/);
  assertMatch(heads[0]!, /\r\nUpgrade: websocket\r\n/i);
  assertMatch(heads[0]!, /\r\nSec-WebSocket-Key: \S{24}\r\n/i);
  await eventually("the tunnel is gone", () => proxy.counters(), (all) => all.of("h2.streams.active") === 0);
});

Deno.test("a worker that drains says GOAWAY twice, and answers what was asked before", async () => {
  await using stage = await serve();
  using client = await Http2Client.connect(stage.port);
  await client.ask(1, "/stall");
  await client.peer.until("begun", () => client.answers.get(1)?.body.length === 5 || undefined);
  const ended = stage.proxy.stop();
  await client.seen("GOAWAY 2147483647 NO_ERROR");
  await client.seen("GOAWAY 1 NO_ERROR");
  await client.send(f.rstStream(1));
  await client.peer.untilEnd();
  assertEquals(await ended, 0);
});

Deno.test({
  name: "no request is lost when workers are rolled under load",
  ignore: requireTools("node"),
  async fn() {
    await using stage = await serve();
    const script = fileURLToPath(new URL("../support/http2_load.cjs", import.meta.url));
    const load = run("node", script, `http://127.0.0.1:${stage.port}`, "4", "8", "8");
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const { code, stderr } = await runKakehi("workers", "restart", "--socket", stage.proxy.socket);
      assertEquals(code, 0, stderr);
    }
    const { answered, failures, connections } = JSON.parse(await load);
    assertEquals(failures, []);
    assert(answered > 100 && connections > 8, JSON.stringify({ answered, connections }));
  },
});

Deno.test("connections that say nothing, or do not accept our settings, are ended", async () => {
  await using stage = await serve("", "timeouts: { request_header: 300ms, idle: 400ms }");
  using idle = await Http2Client.connect(stage.port);
  await idle.ask(1, "/m");
  await idle.answer(1);
  await idle.seen("GOAWAY 1 NO_ERROR", 3_000);
  await idle.peer.untilEnd();
  using begun = await Http2Client.connect(stage.port);
  // a frame that never becomes whole
  await begun.send(f.headers(1, WEBSOCKET).subarray(0, 20));
  await begun.seen("GOAWAY 0 NO_ERROR", 3_000);
  await begun.peer.untilEnd();
});

Deno.test("what is too much of anything ends the connection with ENHANCE_YOUR_CALM and is counted; limits change live", async () => {
  await using stage = await serve("abuse: { resets: 20, pings: 20, settings: 20, empty_frames: 20, continuations: 5 }");
  using bystander = await Http2Client.connect(stage.port);
  const ping = f.frame(f.PING, 0, 0, new Uint8Array(8));
  const many = (count: number, of: (i: number) => Uint8Array) =>
    f.concat(...Array.from({ length: count }, (_, i) => of(i)));
  const line: Field[] = [[":method", "GET"], [":scheme", "http"], [":authority", "a.test"], [":path", "/stall"]];
  const head = (id: number) => f.headers(id, line, f.END_HEADERS);
  const attacks: [string, Uint8Array][] = [
    ["rapid_reset", many(30, (i) => f.concat(f.headers(2 * i + 1, line), f.rstStream(2 * i + 1)))],
    ["ping", many(30, () => ping)],
    ["settings", many(30, () => f.settings())],
    ["empty_frames", f.concat(head(1), many(30, () => f.frame(f.DATA, 0, 1)))],
    [
      "continuation",
      f.concat(
        f.frame(f.HEADERS, 0, 1, f.block(line)),
        many(9, () => f.frame(f.CONTINUATION, 0, 1, f.block([["a", "b"]]))),
      ),
    ],
    ["made_you_reset", many(200, (i) => f.concat(head(2 * i + 1), f.windowUpdate(2 * i + 1, 0)))],
  ];
  for (const [name, bytes] of attacks) {
    using attacker = await Http2Client.connect(stage.port);
    await attacker.send(bytes);
    await attacker.seen(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
    await attacker.peer.untilEnd();
    assertEquals((await stage.proxy.counters()).of(`h2.abuse.${name}`), 1, name);
    await bystander.ask(2 * attacks.findIndex(([one]) => one === name) + 1, "/m");
  }
  for (let i = 0; i < attacks.length; i++) assertEquals(fieldOf(await bystander.answer(2 * i + 1), ":status"), "200");
  await eventually("nothing is left", () => stage.proxy.counters(), (all) => all.of("h2.streams.active") === 0);
  const change = await runKakehi(
    "listener",
    "update",
    "web",
    "--http2-abuse-pings",
    "2",
    "--socket",
    stage.proxy.socket,
  );
  assertEquals(change.code, 0, change.stderr);
  await bystander.send(many(10, () => ping));
  await bystander.seen(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
});

Deno.test("clients that do anything at any time leave nothing behind", async () => {
  await using stage = await serve("abuse: { resets: 1000000, ignored_frames: 1000000, resets_caused: 1000000 }");
  const [worker] = await stage.proxy.workers();
  const seed = Number(Deno.env.get("KAKEHI_SEED") ?? 1);
  const paths = ["/m", "/size/200000", "/chunked/70000", "/stall", "/cut", "/early", "/unwanted", "/hints", "/none"];
  const bother = async (index: number): Promise<void> => {
    const random = createRandom(seed + index);
    for (let round = 0; round < 6; round++) {
      using client = await Http2Client.connect(stage.port, [4, [0, 1, 1000, 65_535, 1 << 20][random.below(5)]!]);
      client.reads = random.below(2) === 0;
      const line = (path: string): Field[] => {
        return [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", path]];
      };
      for (let id = 1; id < 60 && client.peer.end === "open"; id += 2) {
        const path = paths[random.below(paths.length)]!;
        if (random.below(2)) await client.ask(id, path);
        else await client.send(f.headers(id, line(random.below(2) ? "/echo" : path), f.END_HEADERS));
        for (let i = random.below(4); i > 0; i--) {
          const other = 1 + 2 * random.below((id + 1) / 2);
          const acts = [
            () => client.send(f.rstStream(other)),
            () => client.send(f.data(id, random.between(1, 2000), random.below(3) === 0 ? f.END_STREAM : 0)),
            () => client.send(f.windowUpdate(random.below(2) ? 0 : other, random.between(1, 100_000))),
            () => client.send(f.settings([4, random.below(100_000)])),
            () => new Promise<void>((resolve) => setTimeout(resolve, random.below(10))),
          ];
          await acts[random.below(acts.length)]!();
        }
      }
      if (random.below(2)) client.peer.finish();
    }
  };
  await Promise.all(Array.from({ length: 12 }, (_, index) => bother(index)));
  const counters = await eventually(`nothing is left (KAKEHI_SEED=${seed})`, () => stage.proxy.counters(), (all) => {
    const names = [
      "h2.streams.active",
      "h2.connections.active",
      "connections.active",
      "streams.active",
      "buffers.used",
    ];
    return names.every((name) => all.of(name) === 0);
  }, 10_000);
  assertEquals(await stage.proxy.workers(), [worker]);
  assert(counters.of("requests") > 500, String(counters.of("requests")));
});

Deno.test("a thousand idle connections cost little memory", async () => {
  await using stage = await serve();
  const [worker = 0] = await stage.proxy.workers();
  const clients: Http2Client[] = [];
  let before = 0;
  try {
    for (let i = 0; i < 1500; i++) {
      if (i === 500) before = memoryOf(worker).anonymous;
      const client = await Http2Client.connect(stage.port);
      clients.push(client);
      await client.ask(1, "/m");
      await client.answer(1);
    }
    const each = (memoryOf(worker).anonymous - before) / 1000;
    console.log(`    ${(each / KIB).toFixed(1)} KiB each`);
    assert(each < 20 * KIB, `${(each / KIB).toFixed(1)} KiB each`);
    assertEquals((await stage.proxy.counters()).of("buffers.used"), 0);
  } finally {
    for (const client of clients) client.peer.destroy();
  }
});
