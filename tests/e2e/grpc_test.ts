// gRPC as its own library for JavaScript speaks it, on both ends, through HTTP/2 without TLS and with it: all four kinds of call,
// statuses in trailers and instead of them, metadata, deadlines, cancellation, long messages, many calls at once.

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { type AddressInfo, connect } from "node:net";
import { createServer as createTls } from "node:tls";
import { assert, assertEquals } from "../support/assert.ts";
import { bodyBytes, checkBody } from "../support/bodies.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { type Bytes, method, outcome, read, text } from "../support/grpc.ts";
import { eventually, type Proxy, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const ignore = requireTools("openssl");
const MIB = 1024 * 1024;
const MESSAGE_MAX = 8 * MIB;

// ---- the service ----

const SERVICE = {
  echo: method("echo", false, false),
  join: method("join", true, false),
  count: method("count", false, true),
  talk: method("talk", true, true),
  fail: method("fail", false, false),
  wait: method("wait", false, false),
  endless: method("endless", false, true),
};

interface Told {
  cancelled: string[];
  deadlines: number[];
}

function implementation(told: Told): grpc.UntypedServiceImplementation {
  const trailers = () => {
    const metadata = new grpc.Metadata();
    metadata.set("x-sum", "3");
    metadata.set("x-some-bin", Buffer.from([0, 255, 7]));
    return metadata;
  };
  const echo: grpc.handleUnaryCall<Bytes, Bytes> = (call, answer) => {
    const metadata = new grpc.Metadata();
    for (const value of call.metadata.get("x-said")) metadata.add("x-heard", value);
    for (const value of call.metadata.get("x-said-bin")) metadata.add("x-heard-bin", value);
    call.sendMetadata(metadata);
    answer(null, call.request, trailers());
  };
  const join: grpc.handleClientStreamingCall<Bytes, Bytes> = (call, answer) => {
    let all = "";
    call.on("data", (part: Bytes) => all += read(part));
    call.on("end", () => answer(null, text(all)));
  };
  const count: grpc.handleServerStreamingCall<Bytes, Bytes> = (call) => {
    for (let n = 0; n < Number(read(call.request)); n++) call.write(text(String(n)));
    call.end(trailers());
  };
  const talk: grpc.handleBidiStreamingCall<Bytes, Bytes> = (call) => {
    call.on("data", (part: Bytes) => call.write(text(`${read(part)}!`)));
    call.on("end", () => call.end());
  };
  const fail: grpc.handleUnaryCall<Bytes, Bytes> = (_call, answer) => {
    answer({ code: grpc.status.NOT_FOUND, details: "keine Brücke", metadata: trailers() });
  };
  const wait: grpc.handleUnaryCall<Bytes, Bytes> = (call, _answer) => {
    told.deadlines.push(Number(call.getDeadline()) - Date.now());
    call.on("cancelled", () => told.cancelled.push("wait"));
  };
  const endless: grpc.handleServerStreamingCall<Bytes, Bytes> = (call) => {
    const timer = setInterval(() => call.write(text("tick")), 20);
    call.on("cancelled", () => {
      clearInterval(timer);
      told.cancelled.push("endless");
    });
  };
  return { echo, join, count, talk, fail, wait, endless } as unknown as grpc.UntypedServiceImplementation;
}

/** Speaks TLS, and HTTP/2 by ALPN, for what listens on a port without. */
async function secure(to: number, pair: { cert: Buffer; key: Buffer }): Promise<{ port: number; close(): void }> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createTls({ ...pair, ALPNProtocols: ["h2"] }, (outer) => {
    const inner = connect({ port: to, host: "127.0.0.1", noDelay: true });
    for (const [from, into] of [[outer, inner], [inner, outer]] as const) {
      sockets.add(from);
      from.on("error", () => into.destroy());
      from.on("close", () => into.destroy());
      from.pipe(into);
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  told: Told;
  /** Of the generic client: methods by the names in SERVICE. */
  // deno-lint-ignore no-explicit-any
  client: any;
}

async function serve(tls: boolean): Promise<Stage> {
  const folder = new CertificateFolder();
  const issuer = folder.make("ca", { authority: true });
  const { cert, key } = folder.make("leaf", { names: ["localhost", "a.test"], issuer });
  const bytesOf = (path: string) => Buffer.from(Deno.readFileSync(path));
  const told: Told = { cancelled: [], deadlines: [] };
  const options = { "grpc.max_receive_message_length": MESSAGE_MAX };
  const server = new grpc.Server(options);
  server.addService(SERVICE, implementation(told));
  const bound = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) bound.reject(error);
    else bound.resolve(port);
  });
  // the library's own server offers no ALPN when it runs on Deno
  const front = tls ? await secure(await bound.promise, { cert: bytesOf(cert), key: bytesOf(key) }) : null;
  const port = front?.port ?? await bound.promise;
  const protocol = tls ? `protocol: h2, tls: { ca: ${issuer.cert} }` : "protocol: h2c";
  const proxy = await startProxy(`
listeners:
  web: { address: "127.0.0.1:0", h2c: true }
  sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: leaf } }
clusters: { app: { backends: ["localhost:${port}"], ${protocol} } }
routes: [{ cluster: app }]
certificates: [{ name: leaf, cert: ${cert}, key: ${key} }]
`);
  const Client = grpc.makeGenericClientConstructor(SERVICE, "Service");
  const channel = { ...options, "grpc.ssl_target_name_override": "a.test", "grpc.default_authority": "a.test" };
  const client = new Client(
    `127.0.0.1:${proxy.port(tls ? "sec" : "web")}`,
    tls ? grpc.credentials.createSsl(bytesOf(issuer.cert)) : grpc.credentials.createInsecure(),
    channel,
  );
  return {
    proxy,
    told,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      server.forceShutdown();
      front?.close();
      await proxy[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function atRest({ proxy }: Stage): Promise<void> {
  const names = ["h2.streams.active", "streams.active", "buffers.used"];
  await eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}

for (const tls of [false, true]) {
  const by = tls ? "by TLS" : "by h2c";

  Deno.test({
    name: `gRPC ${by}: all four kinds of call, statuses and metadata`,
    ignore,
    async fn() {
      await using stage = await serve(tls);
      const { client } = stage;
      const metadata = new grpc.Metadata();
      metadata.add("x-said", "one");
      metadata.add("x-said", "two");
      metadata.set("x-said-bin", Buffer.from([1, 0, 254]));
      const unary = await outcome((answered) => client.echo(text("hello"), metadata, answered));
      assertEquals([unary.status.code, unary.messages.map(read)], [grpc.status.OK, ["hello"]], unary.status.details);
      assertEquals(unary.initial!.get("x-heard").join(", "), "one, two");
      assertEquals([...unary.initial!.get("x-heard-bin")[0] as Buffer], [1, 0, 254]);
      assertEquals(unary.status.metadata.get("x-sum"), ["3"]);
      assertEquals([...unary.status.metadata.get("x-some-bin")[0] as Buffer], [0, 255, 7]);

      const joined = await outcome((answered) => client.join(answered), ["a", "b", "c"].map(text));
      assertEquals([joined.status.code, joined.messages.map(read)], [grpc.status.OK, ["abc"]]);

      const counted = await outcome(() => client.count(text("100")));
      assertEquals(counted.messages.map(read), Array.from({ length: 100 }, (_, n) => String(n)));
      assertEquals(counted.status.metadata.get("x-sum"), ["3"]);

      // one after the other: each waits for the answer to the one before
      const talked = await outcome(() => client.talk(), [text("0")], (message, call) => {
        const n = parseInt(read(message));
        if (n === 20) call.end();
        else call.write(text(String(n + 1)));
      });
      assertEquals(talked.messages.map(read), Array.from({ length: 21 }, (_, n) => `${n}!`));
      assertEquals(talked.status.code, grpc.status.OK);

      // a status without anything else: trailers alone
      const failed = await outcome((answered) => client.fail(text(""), answered));
      assertEquals([failed.status.code, failed.status.details], [grpc.status.NOT_FOUND, "keine Brücke"]);
      assertEquals(failed.status.metadata.get("x-sum"), ["3"]);
      await atRest(stage);
    },
  });

  Deno.test({
    name: `gRPC ${by}: deadlines and cancellation reach the server`,
    ignore,
    async fn() {
      await using stage = await serve(tls);
      const { client, told } = stage;
      const late = await outcome((answered) => {
        return client.wait(text(""), new grpc.Metadata(), { deadline: Date.now() + 400 }, answered);
      });
      assertEquals(late.status.code, grpc.status.DEADLINE_EXCEEDED);
      await eventually("the server is told", () => told.cancelled, (all) => all.includes("wait"));
      assert(told.deadlines[0]! > 0 && told.deadlines[0]! <= 400, `${told.deadlines} ms`);
      const cancelled = await outcome(() => client.endless(text("")), undefined, (_message, call) => call.cancel());
      assertEquals([cancelled.status.code, cancelled.messages.map(read)], [grpc.status.CANCELLED, ["tick"]]);
      await eventually("the server is told", () => told.cancelled, (all) => all.includes("endless"));
      await atRest(stage);
    },
  });

  Deno.test({
    name: `gRPC ${by}: messages of a MiB, and a hundred calls at once`,
    ignore,
    async fn() {
      await using stage = await serve(tls);
      const { client } = stage;
      for (const size of [0, 1, 1_000_000, 1_048_573]) {
        const { status, messages } = await outcome((answered) => client.echo(bodyBytes(0, size), answered));
        assertEquals([status.code, messages[0]?.length], [grpc.status.OK, size], status.details);
        checkBody(0, messages[0]!);
      }
      const calls = Array.from({ length: 100 }, (_, n) => {
        return outcome(() => client.talk(), [text(`${n}`), text(`${n}`)]);
      });
      for (const [n, { messages, status }] of (await Promise.all(calls)).entries()) {
        assertEquals([messages.map(read), status.code], [[`${n}!`, `${n}!`], grpc.status.OK]);
      }
      await atRest(stage);
    },
  });
}
