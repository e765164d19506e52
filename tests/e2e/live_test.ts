// Changes while traffic flows, with the real worker: no client notices any of them.

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { eventually, type Proxy, startProxy } from "../support/proxy.ts";
import { Client } from "../unit/control/client.ts";

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Backend extends AsyncDisposable {
  address: string;
}

/** Answers every request with its name. */
function startNamed(name: string): Backend {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    if (new URL(request.url).pathname === "/slow") await delay(400);
    return new Response(name);
  });
  return { address: `127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

const CONFIG = (a: string) => `
workers: 2
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${a}"] } }
routes: [ { cluster: app } ]
timeouts: { drain: 3s }
`;

async function apply(client: Client, ...orders: unknown[]): Promise<any> {
  const answer = await client.ask({ verb: "apply", orders });
  assertEquals(answer.status, "ok", JSON.stringify(answer));
  return answer;
}

async function assertAgreed(client: Client): Promise<void> {
  const asked = () => client.ask({ verb: "status" });
  const status = await eventually("workers that agree", asked, ({ workers, revision }) => {
    return workers.every((worker: any) => worker.state !== "serving" || worker.revision === revision);
  });
  for (const worker of status.workers.filter(({ state }: any) => state === "serving")) {
    assertEquals([worker.differs, worker.hash], [false, status.served_hash]);
  }
}

const get = async (port: number, path = "/", host = "a.test") => {
  const init = { headers: { host }, signal: AbortSignal.timeout(5_000) };
  return await (await fetch(`http://127.0.0.1:${port}${path}`, init)).text();
};

/** Requests without a pause, of keep-alive connections and of one each, until it is stopped; what failed. */
function startTraffic(port: number): { stop: () => Promise<{ served: number; failed: string[] }> } {
  let running = true;
  let served = 0;
  const failed: string[] = [];
  const one = async (init: RequestInit) => {
    while (running) {
      try {
        const response = await fetch(`http://127.0.0.1:${port}/`, init);
        await response.text();
        if (response.status === 200) served++;
        else failed.push(String(response.status));
      } catch (error) {
        failed.push(String(error));
      }
    }
  };
  const close = { headers: { connection: "close" } };
  const all = Promise.all([one({}), one({}), one({}), one(close), one(close)]);
  return {
    stop: async () => {
      running = false;
      await all;
      return { served, failed };
    },
  };
}

async function withProxy(
  yaml: (address: string) => string,
  body: (proxy: Proxy, client: Client, backends: Backend[]) => Promise<void>,
): Promise<void> {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using proxy = await startProxy(yaml(a.address));
  using client = await Client.connect(proxy.socket);
  await body(proxy, client, [a, b]);
}

Deno.test("routes, clusters, backends and settings change live, and at once for all workers", async () => {
  await withProxy(CONFIG, async (proxy, client, [, b]) => {
    const port = proxy.port("web");
    const before = await proxy.workers();
    await apply(
      client,
      { order: "add", object: "cluster", name: "other", value: { backends: [b!.address] } },
      { order: "add", object: "route", value: { path: "/b/*", cluster: "other" } },
    );
    assertEquals([await get(port), await get(port, "/b/x")], ["a", "b"]);
    await apply(client, { order: "update", object: "route", key: { path: "/b/*" }, value: { cluster: "app" } });
    assertEquals(await get(port, "/b/x"), "a");
    await apply(client, {
      order: "update",
      object: "settings",
      value: { answers: { 404: "not here" }, limits: { body_bytes: 3 } },
    });
    const refused = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "four" });
    assertEquals(refused.status, 413);
    await refused.body?.cancel();
    await apply(client, { order: "remove", object: "route", key: {} });
    assertEquals(await get(port, "/x"), "not here");
    await assertAgreed(client);
    assertEquals(await proxy.workers(), before);
    assertEquals((await client.ask({ verb: "rollback", revision: 1 })).status, "ok");
    assertEquals(await get(port, "/x"), "a");
    await assertAgreed(client);
  });
});

Deno.test("listeners come and go, and move under their names", async () => {
  await withProxy(CONFIG, async (proxy, client) => {
    const value = { address: "127.0.0.1:0" };
    await apply(client, { order: "add", object: "listener", name: "more", value });
    const addressOf = async (name: string) => {
      const { listeners } = await client.ask({ verb: "status" });
      return listeners.find((listener: any) => listener.name === name).address as string;
    };
    const first = Number((await addressOf("more")).split(":")[1]);
    assertEquals(await get(first), "a");
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    await apply(client, { order: "update", object: "listener", name: "more", value: { address: `127.0.0.1:${port}` } });
    assertEquals(await get(port), "a");
    await apply(client, { order: "remove", object: "listener", name: "more" });
    for (const gone of [first, port]) {
      const refused = await Deno.connect({ hostname: "127.0.0.1", port: gone }).then(() => "", (error) => error.name);
      assertEquals(refused, "ConnectionRefused");
    }
    assertEquals(await get(proxy.port("web")), "a");
    await assertAgreed(client);
  });
});

Deno.test("a backend that is removed finishes its requests, and its end is told", async () => {
  await withProxy(CONFIG, async (proxy, client, [a, b]) => {
    const told: string[] = [];
    client.follow({ verb: "subscribe", events: ["backend.drained"] }, (line) => {
      if (line?.event) told.push(`${line.event.cluster} ${line.event.address}`);
    });
    const slow = get(proxy.port("web"), "/slow");
    await delay(150);
    await apply(
      client,
      { order: "add", object: "backend", cluster: "app", name: b!.address },
      { order: "remove", object: "backend", cluster: "app", name: a!.address },
    );
    assertEquals(await get(proxy.port("web")), "b");
    assertEquals(await slow, "a");
    await eventually("the event", () => told.includes(`app ${a!.address}`), (has) => has);
  });
});

Deno.test("nobody notices 150 changes of every kind", async () => {
  await withProxy(CONFIG, async (proxy, client, [, b]) => {
    const traffic = startTraffic(proxy.port("web"));
    const slowest: number[] = [];
    for (let i = 0; i < 150; i++) {
      const k = Math.floor(i / 10);
      const key = { host: `h${k}.test` };
      const turn = [
        { order: "add", object: "cluster", name: `c${k}`, value: { backends: [b!.address] } },
        { order: "add", object: "route", key, value: { cluster: `c${k}` } },
        { order: "add", object: "backend", cluster: "app", name: b!.address },
        { order: "update", object: "backend", cluster: "app", name: b!.address, value: { weight: 3 } },
        { order: "add", object: "listener", name: `l${k}`, value: { address: "127.0.0.1:0" } },
        { order: "update", object: "settings", value: { workers: [1, 4, 2][k % 3] } },
        { order: "update", object: "settings", value: { timeouts: { idle: `${k + 20}s` } } },
        { order: "remove", object: "listener", name: `l${k}` },
        { order: "remove", object: "backend", cluster: "app", name: b!.address },
        { order: "remove", object: "route", key },
      ];
      const answer = await apply(client, turn[i % 10]);
      slowest.push(answer.paused_us);
      if (i % 50 === 49) await client.ask({ verb: "workers", restart: true });
    }
    const { served, failed } = await traffic.stop();
    assertEquals(failed, []);
    assert(served > 200, `${served} requests`);
    await assertAgreed(client);
    assert(Math.max(...slowest) < 50_000, `a loop stood still for ${Math.max(...slowest)} µs`);
  });
});

Deno.test("watch: true applies the file when it changes; a bad one changes nothing and says why", async () => {
  const yaml = (address: string) => CONFIG(address);
  await withProxy(yaml, async (proxy, client) => {
    const path = `${proxy.folder}/kakehi.yaml`;
    const text = await Deno.readTextFile(path);
    const watched = text.replace("control: { socket:", "control: { watch: true, socket:");
    assert(watched !== text);
    await apply(client, { order: "update", object: "settings", value: { control: { watch: true } } });
    const revision = async () => (await client.ask({ verb: "status" })).revision;
    const before = await revision();
    await Deno.writeTextFile(path, watched.replace("{ cluster: app }", "{ cluster: nap }"));
    await eventually("the complaint", () => proxy.log(), (log) => /was not applied, nothing has changed/.test(log));
    assertMatch(proxy.log(), /kakehi\.yaml:\d+:\d+: .*nap/);
    assertEquals(await revision(), before);
    await Deno.writeTextFile(path, watched.replace("{ cluster: app }", "{ host: only.test, cluster: app }"));
    await eventually("the next revision", revision, (number) => number > before);
    const { revisions } = await client.ask({ verb: "history", limit: 1 });
    assertEquals([revisions[0].source, revisions[0].why], ["file", "the file has changed"]);
    await assertAgreed(client);
  });
});

Deno.test("explain tells which route answers and why", async () => {
  await withProxy(CONFIG, async (_proxy, client, [a]) => {
    await apply(client, {
      order: "add",
      object: "route",
      value: { host: "a.test", path: "/x", methods: ["POST"], cluster: "app" },
    });
    const answer = await client.ask({ verb: "explain", url: "http://a.test/x" });
    assertEquals(answer.status, "ok", JSON.stringify(answer));
    assertEquals([answer.route.cluster, answer.route.key.host, answer.would_pick], ["app", "", a!.address]);
    assertEquals(answer.considered.map(({ key }: any) => key.host), ["a.test"]);
  });
});

Deno.test("explain tells what becomes of the fields of a request, as the codec writes them", async () => {
  await withProxy(CONFIG, async (_proxy, client) => {
    const ask = (more: object) => client.ask({ verb: "explain", url: "http://a.test/x", ...more });
    const headers = [["X-Forwarded-For", "1.2.3.4"], ["Connection", "close, X-Hop"], ["X-Hop", "1"], ["Accept", "*/*"]];
    const answer = await ask({ headers, client: "2001:db8::7" });
    assertEquals(answer.headers_added, [
      ["X-Forwarded-For", "2001:db8::7"],
      ["X-Forwarded-Proto", "http"],
      ["X-Forwarded-Host", "a.test"],
      ["X-Forwarded-Port", "80"],
      ["X-Request-Id", "32 hexadecimal digits"],
      ["Via", "1.1 kakehi"],
    ]);
    assertEquals(answer.headers_removed, ["x-forwarded-for", "connection", "x-hop"]);
    assertEquals((await ask({})).headers_added[0], ["X-Forwarded-For", "the client's address"]);
    assertEquals((await ask({ headers: [["Content-Length", "x"]] })).refusal, "bad_request");
    assertMatch((await ask({ client: "nobody" })).reason, /client: expected an IP address/);
  });
});
