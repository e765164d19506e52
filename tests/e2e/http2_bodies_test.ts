// Bodies between a client of HTTP/2 and a backend of HTTP/1.1: large ones to the byte in bounded memory, slow ones as they come,
// answers that come early, and those of the proxy itself for a client whose window is small.
// KAKEHI_H2_BODY_MIB=1024 is the full length.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { bodyBytes, checkBody, type Framing, startBodyBackend } from "../support/bodies.ts";
import { concat, fromText, toText } from "../support/bytes.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, memoryOf, type Proxy, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { type Script, startBackend } from "../support/scripted_backend.ts";

const MIB = 1 << 20;
const SIZE = Number(Deno.env.get("KAKEHI_H2_BODY_MIB") ?? 64) * MIB;
const PIECE = 256 << 10;
/** What the runtime's collector leaves lying; a body of SIZE is many times as much. */
const MEMORY_MAX = 24 * MIB;

function serve(address: string, more = ""): Promise<Proxy> {
  return startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${address}"] } }
routes: [{ host: a.test, cluster: app }, { host: 127.0.0.1, cluster: app }]
${more}
`);
}

/** The most memory that `worker` has while something goes on, more than before. */
async function growth(worker: number, during: () => Promise<void>): Promise<number> {
  const before = memoryOf(worker).anonymous;
  let most = 0;
  const timer = setInterval(() => most = Math.max(most, memoryOf(worker).anonymous), 50);
  await during().finally(() => clearInterval(timer));
  return most - before;
}

function curl(...args: string[]): Deno.ChildProcess {
  const all = ["-sSf", "--http2-prior-knowledge", ...args];
  return new Deno.Command("curl", { args: all, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
}

/** Posts SIZE bytes; the answer's fields. `length`: said before. */
async function upload(url: string, framing: Framing): Promise<string> {
  const fields = framing === "length" ? ["-H", `Content-Length: ${SIZE}`] : [];
  const child = curl("-D", "-", "-X", "POST", "-T", "-", ...fields, url);
  const writer = child.stdin.getWriter();
  const output = child.output();
  for (let at = 0; at < SIZE; at += PIECE) await writer.write(bodyBytes(at, PIECE));
  await writer.close();
  return new TextDecoder().decode((await output).stdout);
}

async function download(url: string): Promise<number> {
  const child = curl(url);
  await child.stdin.close();
  let size = 0;
  for await (const part of child.stdout) {
    checkBody(size, part);
    size += part.length;
  }
  await child.stderr.cancel();
  assertEquals((await child.status).code, 0);
  return size;
}

Deno.test({
  name: "large bodies come whole through curl, both ways, with length and without, in bounded memory",
  ignore: requireTools("curl"),
  async fn() {
    await using backend = startBodyBackend();
    await using proxy = await serve(backend.address);
    const [worker = 0] = await proxy.workers();
    const url = `http://127.0.0.1:${proxy.port("web")}`;
    for (const framing of ["length", "chunks"] as const) {
      const up = await growth(worker, async () => {
        assertMatch(await upload(`${url}/`, framing), new RegExp(`^x-got: ${SIZE}\r$`, "m"));
      });
      const down = await growth(worker, async () => assertEquals(await download(`${url}/${SIZE}/${framing}`), SIZE));
      if (SIZE > 64 * MIB) {
        console.log(`    ${framing}: ${SIZE / MIB} MiB up: +${up / MIB} MiB, down: +${down / MIB} MiB`);
      }
      assert(up < MEMORY_MAX && down < MEMORY_MAX, `${framing}: the worker grew by ${up / MIB} and ${down / MIB} MiB`);
    }
    const counters = await proxy.counters();
    assertEquals([counters.of("buffers.used"), counters.of("h2.streams.active")], [0, 0]);
    assertEquals(counters.all("h2.abuse."), {});
  },
});

// ---- with a scripted backend ----

interface Played extends AsyncDisposable {
  proxy: Proxy;
  client: Http2Client;
}

async function play(script: Script, ...settings: [number, number][]): Promise<Played> {
  const backend = await startBackend(script);
  const proxy = await serve(backend.address);
  const client = await Http2Client.connect(proxy.port("web"), ...settings);
  return {
    proxy,
    client,
    async [Symbol.asyncDispose]() {
      client.peer.destroy();
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
      if (backend.failures.length > 0) throw backend.failures[0];
    },
  };
}

const POST: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/"]];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The next head, which is taken. */
function head(peer: Peer): Promise<string> {
  return peer.until("a head", () => {
    const end = toText(peer.received).indexOf("\r\n\r\n");
    return end < 0 ? undefined : toText(peer.take(end + 4));
  });
}

Deno.test("what a backend sends slowly comes as it is sent, chunk by chunk", async () => {
  const next: (() => void)[] = [];
  await using played = await play(async (peer) => {
    await head(peer);
    await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n");
    for (const part of ["a", "bc", "def"]) {
      await peer.write(`${part.length}\r\n${part}\r\n`);
      await new Promise<void>((resolve) => next.push(resolve));
    }
    // byte by byte, framing included
    for (const byte of fromText("4\r\nghij\r\n0\r\nx-end: yes\r\n\r\n")) {
      await peer.write(Uint8Array.of(byte));
      await pause(2);
    }
  });
  const { client } = played;
  await client.ask(1, "/");
  for (const so of ["a", "abc", "abcdef"]) {
    const body = () => toText(client.answers.get(1)?.body ?? new Uint8Array());
    await client.peer.until(so, () => body() === so || undefined);
    next.shift()!();
  }
  const answer = await client.answer(1);
  assertEquals([toText(answer.body), answer.trailers], ["abcdefghij", [["x-end", "yes"]]]);
});

Deno.test("what a client sends slowly goes on as it comes, and the answer goes on when the client has ended its side", async () => {
  await using played = await play(async (peer) => {
    assertMatch(await head(peer), /\r\nTransfer-Encoding: chunked\r\n/i);
    await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (let i = 0; i < 5; i++) {
      await peer.until("a chunk", () => peer.length >= 6 || undefined);
      assertEquals(toText(peer.take(6)), `1\r\n${i}\r\n`);
      await peer.write(String(i));
    }
    await peer.until("the end", () => toText(peer.received).endsWith("0\r\n\r\n") || undefined);
    await peer.write("half ");
  });
  const { client } = played;
  await client.send(f.headers(1, POST, f.END_HEADERS));
  for (let i = 0; i < 5; i++) {
    await client.send(f.frame(f.DATA, f.PADDED, 1, [3, 0x30 + i, 0, 0, 0]));
    await client.peer.until(`echo of ${i}`, () => client.answers.get(1)?.body.length === i + 1 || undefined);
  }
  await client.send(f.data(1, 0, f.END_STREAM));
  assertEquals(toText((await client.answer(1)).body), "01234half ");
});

Deno.test("a backend refuses a body before it has come: the client gets the answer, and may stop", async () => {
  await using played = await play(async (peer) => {
    await head(peer);
    await peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull");
  });
  const { client, proxy } = played;
  await client.send(f.headers(1, [...POST, ["content-length", "100000000"]], f.END_HEADERS), f.data(1, 16_384));
  const answer = await client.answer(1);
  assertEquals([fieldOf(answer, ":status"), toText(answer.body)], ["413", "full"]);
  await client.seen("RST_STREAM 1 NO_ERROR");
  // what was under way costs nothing
  await client.send(f.data(1, 16_384), f.data(1, 16_384, f.END_STREAM));
  await client.ask(3, "/");
  assertEquals(fieldOf(await client.answer(3), ":status"), "413");
  await eventually("all is back", () => proxy.counters(), (all) => all.of("buffers.used") === 0);
});

Deno.test("100 (Continue) and 103 (Early Hints) pass, each before the answer", async () => {
  await using played = await play(async (peer) => {
    assertMatch(await head(peer), /\r\nExpect: 100-continue\r\n/i);
    await peer.write("HTTP/1.1 100 Continue\r\n\r\n");
    await peer.until("the body", () => toText(peer.received).includes("asked for") || undefined);
    await peer.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const { client } = played;
  await client.send(f.headers(1, [...POST, ["expect", "100-continue"], ["content-length", "9"]], f.END_HEADERS));
  await client.peer.until("100", () => fieldOf(client.answers.get(1) ?? { fields: [] }, ":interim") || undefined);
  await client.send(f.frame(f.DATA, f.END_STREAM, 1, fromText("asked for")));
  const answer = await client.answer(1);
  const interims = answer.fields.filter(([name]) => name === ":interim").map(([, value]) => value);
  assertEquals([interims, fieldOf(answer, ":status"), toText(answer.body)], [["100", "103"], "200", "ok"]);
});

Deno.test("answers of the proxy's own wait for a window that is smaller than they are", async () => {
  await using played = await play(() => {}, [4, 7]);
  const { client, proxy } = played;
  client.reads = false;
  const get: Field[] = [[":method", "GET"], [":scheme", "http"], [":authority", "nobody.test"], [":path", "/"]];
  await client.send(f.headers(1, get));
  await client.peer.until("a part", () => client.answers.get(1)?.body.length === 7 || undefined);
  await client.send(f.windowUpdate(1, 5));
  await client.peer.until("more", () => client.answers.get(1)?.body.length === 12 || undefined);
  // what else it sends meanwhile is of no use, and kept nowhere
  await client.send(f.headers(3, [[":method", "POST"], ...get.slice(1)], f.END_HEADERS), f.data(3, 16_384));
  await client.peer.until("the other", () => client.answers.get(3)?.body.length === 7 || undefined);
  await client.send(f.data(3, 16_384), f.windowUpdate(1, 1000), f.windowUpdate(3, 1000));
  const [first, second] = [await client.answer(1), await client.answer(3)];
  assertEquals([fieldOf(first, ":status"), first.ended, fieldOf(second, ":status"), second.ended], [
    "404",
    true,
    "404",
    true,
  ]);
  assertEquals(String(first.body.length), fieldOf(first, "content-length"));
  assertEquals(concat([first.body]), concat([second.body]));
  await client.seen("RST_STREAM 3 NO_ERROR");
  await eventually("all is back", () => proxy.counters(), (all) => {
    return all.of("buffers.used") === 0 && all.of("h2.streams.active") === 0;
  });
  // one that is never asked for ends with its connection
  await client.send(f.headers(5, get));
  await client.peer.until("a part", () => client.answers.get(5)?.body.length === 7 || undefined);
  client.peer.reset();
  await eventually("all is back", () => proxy.counters(), (all) => {
    return all.of("buffers.used") === 0 && all.of("h2.streams.active") === 0;
  });
});
