// WebSockets between clients and backends of both versions of HTTP: an upgrade on one side is extended CONNECT on the other
// (RFC 8441), with the key and its answer made and checked by whoever speaks HTTP/1.1.

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { fromText, toText } from "../support/bytes.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { eventually, type Proxy, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { requireTools } from "../support/require_tool.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** RFC 6455 §1.3 */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const ignore = requireTools("node");

interface Asked {
  method: string;
  path: string;
  fields: Record<string, string>;
}

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  port: number;
  /** What the backends were asked with, oldest first. */
  next(): Promise<Asked>;
}

async function serve(): Promise<Stage> {
  const script = fileURLToPath(new URL("../support/websocket_backend.cjs", import.meta.url));
  const child = new Deno.Command("node", { args: [script], stdin: "piped", stdout: "piped" }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  let waiting = "";
  const next = async () => {
    while (!waiting.includes("\n")) waiting += (await lines.next()).value ?? "\n";
    const end = waiting.indexOf("\n");
    const line = waiting.slice(0, end);
    waiting = waiting.slice(end + 1);
    return JSON.parse(line);
  };
  const [one, two, without] = await next();
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters:
  one: { backends: ["127.0.0.1:${one}"] }
  two: { backends: ["127.0.0.1:${two}"], protocol: h2c }
  without: { backends: ["127.0.0.1:${without}"], protocol: h2c }
routes:
  - { host: one.test, cluster: one }
  - { host: two.test, cluster: two }
  - { host: without.test, cluster: without }
`);
  return {
    proxy,
    port: proxy.port("web"),
    next,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await child.stdin.close();
      await lines.return?.();
      await child.status;
    },
  };
}

function upgrade(host: string, path: string, more = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n${more}\r\n`;
}

function extendedConnect(host: string, path: string): f.Field[] {
  return [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "http"],
    [":authority", host],
    [":path", path],
    ["sec-websocket-version", "13"],
  ];
}

/** Until nothing of a WebSocket is left in the proxy. */
async function untilGone(proxy: Proxy): Promise<void> {
  const names = ["h2.streams.active", "buffers.used", "streams.active"];
  await eventually("the tunnel is gone", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}

for (const host of ["one.test", "two.test"]) {
  Deno.test({
    name: `an HTTP/1.1 client opens a WebSocket at ${host}`,
    ignore,
    async fn() {
      await using stage = await serve();
      const client = await connect(stage.port);
      // bytes behind the head are the WebSocket's
      await client.write(upgrade(host, "/chat?a=b", "Cookie: a=1\r\n") + "first");
      const head = await client.until("a head and two texts", () => {
        const text = toText(client.received);
        return text.endsWith("hellofirst") ? text : undefined;
      });
      assertMatch(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
      assertMatch(head, /\r\nupgrade: websocket\r\n/i);
      assertMatch(head, /\r\nconnection: upgrade\r\n/i);
      assertMatch(head, new RegExp(`\r\nsec-websocket-accept: ${ACCEPT.replace("+", "\\+")}\r\n`, "i"));
      assertMatch(head, /\r\nsec-websocket-protocol: chat\r\n/i);
      const { method, path, fields } = await stage.next();
      assertEquals([path, fields["sec-websocket-version"], fields.cookie], ["/chat?a=b", "13", "a=1"]);
      assertEquals(method, host === "one.test" ? "GET" : "CONNECT");
      assertEquals(fields["sec-websocket-key"], host === "one.test" ? KEY : undefined);
      const long = "x".repeat(300_000);
      await client.write(long);
      await client.until("all of it", () => client.length >= head.length + long.length || undefined);
      client.finish();
      await client.untilEnd();
      assertEquals(toText(client.received).slice(head.length), long);
      client.destroy();
      await untilGone(stage.proxy);
    },
  });

  Deno.test({
    name: `an HTTP/2 client opens a WebSocket at ${host}`,
    ignore,
    async fn() {
      await using stage = await serve();
      using client = await Http2Client.connect(stage.port);
      await client.send(f.headers(1, extendedConnect(host, "/chat"), f.END_HEADERS));
      const has = (length: number) => client.answers.get(1)?.body.length === length || undefined;
      await client.peer.until("hello", () => has(5));
      const answer = client.answers.get(1)!;
      assertEquals([fieldOf(answer, ":status"), fieldOf(answer, "sec-websocket-protocol")], ["200", "chat"]);
      assertEquals([fieldOf(answer, "upgrade"), fieldOf(answer, "sec-websocket-accept")], [undefined, undefined]);
      const { path, fields } = await stage.next();
      assertEquals([path, fields["sec-websocket-version"]], ["/chat", "13"]);
      if (host === "one.test") {
        const key = fields["sec-websocket-key"]!;
        assertEquals([atob(key).length, createHash("sha1").update(key).digest().length], [16, 20]);
      }
      await client.send(f.frame(f.DATA, 0, 1, fromText("ping")));
      await client.peer.until("ping", () => has(9));
      await client.send(f.frame(f.DATA, f.END_STREAM, 1));
      await client.peer.until("end", () => client.answers.get(1)?.ended || undefined);
      assertEquals(toText(client.answers.get(1)!.body), "helloping");
      await untilGone(stage.proxy);
    },
  });
}

Deno.test({
  name: "a backend that takes no WebSockets over HTTP/2 is not asked for one",
  ignore,
  async fn() {
    await using stage = await serve();
    const one = await connect(stage.port);
    await one.write(upgrade("without.test", "/"));
    await one.until("502", () => toText(one.received).startsWith("HTTP/1.1 502 ") || undefined);
    one.destroy();
    using two = await Http2Client.connect(stage.port);
    await two.send(f.headers(1, extendedConnect("without.test", "/"), f.END_HEADERS));
    await two.answer(1);
    assertEquals(fieldOf(two.answers.get(1)!, ":status"), "502");
    assertEquals((await stage.proxy.counters()).of("refused.no_websocket"), 2);
    await untilGone(stage.proxy);
  },
});

Deno.test({
  name: "a backend may refuse, and one that lies about the key is not believed",
  ignore,
  async fn() {
    await using stage = await serve();
    const refused = await connect(stage.port);
    await refused.write(upgrade("two.test", "/refused"));
    await refused.until("403", () => toText(refused.received).startsWith("HTTP/1.1 403 ") || undefined);
    refused.destroy();
    using two = await Http2Client.connect(stage.port);
    await two.send(f.headers(1, extendedConnect("one.test", "/lies"), f.END_HEADERS));
    await two.answer(1);
    assertEquals(fieldOf(two.answers.get(1)!, ":status"), "502");
    assertEquals((await stage.proxy.counters()).of("refused.bad_response"), 1);
    await untilGone(stage.proxy);
  },
});
