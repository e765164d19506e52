// What a cluster speaks to its backends changes while it serves: from HTTP/1.1 to HTTP/2 and back, without TLS and with. What
// is carried ends in the protocol that it began in, what comes next is asked in the new one, and nothing fails.

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { type AskedIn, startBothVersions } from "../support/both_versions.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { startBackend } from "../support/scripted_backend.ts";
import { Client } from "../unit/control/client.ts";

const ignore = requireTools("node", "openssl");

/** On a connection of its own: one that is there is answered by the worker that it is with. */
async function ask(proxy: Proxy, path = "/"): Promise<AskedIn> {
  using fresh = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await fetch(`http://127.0.0.1:${proxy.port("web")}${path}`, { client: fresh });
  const text = await response.text();
  assertEquals(response.status, 200, `${text}\n${proxy.log()}`);
  return JSON.parse(text);
}

const update = (value: object) => ({ order: "update", object: "cluster", name: "app", value });

async function apply(client: Client, ...orders: object[]): Promise<any> {
  const answer: any = await client.ask({ verb: "apply", orders });
  assertEquals(answer.status, "ok", JSON.stringify(answer));
  return answer;
}

function yamlOf(port: number, more = ""): string {
  return `
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["localhost:${port}"]${more} } }
routes: [{ cluster: app }]
`;
}

Deno.test({
  name: "a cluster changes between HTTP/1.1 and h2c, and what is under way ends as it began",
  ignore,
  async fn() {
    await using backend = await startBothVersions();
    await using proxy = await startProxy(yamlOf(backend.plain));
    using client = await Client.connect(proxy.socket);
    const before = await proxy.workers();
    const first = await ask(proxy);
    assertEquals([first.version, (await ask(proxy)).connection], ["1.1", first.connection], "pooled");
    for (const [protocol, version] of [["h2c", "2.0"], ["http/1.1", "1.1"], ["h2c", "2.0"]] as const) {
      const slow = ask(proxy, "/after/400");
      await new Promise((resolve) => setTimeout(resolve, 100));
      const { effects } = await apply(client, update({ protocol }));
      assertEquals(effects, ["live"]);
      const next = await ask(proxy);
      assertEquals(next.version, version, "asked after the change");
      const all = await Promise.all(Array.from({ length: 8 }, () => ask(proxy, "/after/50")));
      assert(all.every((one) => one.version === version), "and all that follow");
      if (version === "2.0") assert(all.every(({ connection }) => connection === next.connection), "on one connection");
      const late = await slow;
      assert(late.version !== version && late.connection !== next.connection, "what began before, ended as it began");
    }
    assertEquals(await proxy.workers(), before, "by the same process");
    assertEquals((await proxy.counters()).all("refused."), {});
  },
});

Deno.test({
  name: "TLS, ALPN and protocol change in one order, and a rollback brings back all of them",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const authority = folder.make("authority", { authority: true });
    await using backend = await startBothVersions(folder.make("b", { names: ["localhost"], issuer: authority }));
    const ca = `ca: ${authority.cert}`;
    await using proxy = await startProxy(yamlOf(backend.secure, `, protocol: h2, tls: { ${ca} }`));
    using client = await Client.connect(proxy.socket);
    const seen = async () => {
      const { version, alpn } = await ask(proxy);
      return [version, alpn];
    };
    assertEquals(await seen(), ["2.0", "h2"]);
    await apply(client, update({ protocol: "http/1.1" }));
    assertEquals(await seen(), ["1.1", "http/1.1"]);
    await apply(client, update({ protocol: "h2" }));
    assertEquals(await seen(), ["2.0", "h2"]);
    const plain = { backends: [`localhost:${backend.plain}`], protocol: "h2c", tls: "off" };
    await apply(client, update(plain));
    assertEquals((await seen())[0], "2.0");
    const { value }: any = await client.ask({ verb: "get", object: "cluster", name: "app" });
    assertEquals([value.protocol, value.tls], ["h2c", undefined]);
    const back: any = await client.ask({ verb: "rollback" });
    assertEquals(back.status, "ok", JSON.stringify(back));
    assertEquals(await seen(), ["2.0", "h2"]);
    const { revisions }: any = await client.ask({ verb: "history", limit: 2 });
    assertMatch(JSON.stringify(revisions[0]), /rollback/);
    const explained: any = await client.ask({ verb: "explain", url: "http://any.test/" });
    assertEquals(explained.cluster, { name: "app", balance: "round_robin", protocol: "h2", tls: true });
  },
});

Deno.test({
  name: "how many requests share a connection changes at once; more than workers have room for takes new ones",
  ignore,
  async fn() {
    await using backend = await startBothVersions();
    await using proxy = await startProxy(yamlOf(backend.plain, ", protocol: h2c"));
    using client = await Client.connect(proxy.socket);
    const connections = async (requests: number) => {
      const all = await Promise.all(Array.from({ length: requests }, () => ask(proxy, "/after/100")));
      return new Set(all.map(({ connection }) => connection)).size;
    };
    assertEquals(await connections(6), 1);
    const streams = (max_concurrent_streams: number) => update({ http2: { max_concurrent_streams } });
    assertEquals((await apply(client, streams(2))).effects, ["live"]);
    assertEquals(await connections(6), 3);
    const [worker] = await proxy.workers();
    assertEquals((await apply(client, streams(1024))).effects, ["rolls workers"]);
    assert((await proxy.workers())[0] !== worker);
    assertEquals(await connections(6), 1);
  },
});

Deno.test("that a backend does not speak HTTP/2 is said, by explain and by an event", async () => {
  await using backend = await startBackend(async (peer) => {
    await peer.until("a preface", () => peer.length >= 24 || undefined);
    await peer.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    peer.finish();
  });
  await using proxy = await startProxy(yamlOf(backend.port, ", protocol: h2c"));
  using client = await Client.connect(proxy.socket);
  const told = Promise.withResolvers<any>();
  client.follow({ verb: "subscribe", events: ["backend.down"] }, (line) => line?.event && told.resolve(line.event));
  const response = await fetch(`http://127.0.0.1:${proxy.port("web")}/`);
  assertEquals([response.status, await response.text()], [502, "The backend closed the connection.\n"]);
  const reason = "what it sends is not HTTP/2";
  assertEquals((await told.promise).reason, reason);
  const { backends }: any = await client.ask({ verb: "explain", url: "http://any.test/" });
  assertEquals([backends[0].standing, backends[0].fault], ["avoided", reason]);
  assertEquals((await proxy.counters()).of("upstreams.h2.connections.failed"), 1);
});

Deno.test({
  name: "under load, thirty changes of the protocol fail no request",
  ignore,
  async fn() {
    await using backend = await startBothVersions();
    await using proxy = await startProxy(yamlOf(backend.plain));
    using client = await Client.connect(proxy.socket);
    const asked = { "1.1": 0, "2.0": 0 };
    let ends = false;
    const traffic = Array.from({ length: 16 }, async (_, at) => {
      while (!ends) {
        const response = await fetch(`http://127.0.0.1:${proxy.port("web")}/after/${at % 4}`);
        assertEquals(response.status, 200, proxy.log());
        const { version }: AskedIn = await response.json();
        asked[version]++;
      }
    });
    for (let change = 0; change < 30; change++) {
      await apply(client, update({ protocol: change % 2 === 0 ? "h2c" : "http/1.1" }));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    ends = true;
    await Promise.all(traffic);
    assert(asked["1.1"] > 100 && asked["2.0"] > 100, JSON.stringify(asked));
    assertEquals((await proxy.counters()).all("refused."), {});
  },
});
