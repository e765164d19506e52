// Requests and bytes of any kind against a main of its own process, by seed: it goes on, and what was refused has changed
// nothing. KAKEHI_FUZZ says how many requests (4000,
// half of them with the real worker); one in eight is no request at all but bytes.

import { EVENT_NAMES, VERBS } from "../../../src/ts/control/protocol.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { MainProcess } from "../../support/main_process.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { Client } from "./client.ts";

const REQUESTS = Number(Deno.env.get("KAKEHI_FUZZ") ?? 4_000);
const BATCH = 100;
const ODD: unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  "",
  "\u0000",
  "__proto__",
  "constructor",
  "x".repeat(70_000),
  [],
  {},
  [[]],
  { __proto__: null, toString: 1 },
  "10s",
  "16KiB",
  "app",
  "web",
  "127.0.0.1:0",
  "unix:/x",
  "*.a.test",
  "~(((((a*)*)*)*)*)*",
  "/%00/*",
  4_294_967_296,
];
const KEYS = ["order", "object", "name", "value", "key", "cluster", "host", "path", "methods", "headers", "priority"];
const FIELDS = ["orders", "state", "text", "file_name", "if_revision", "why", "revision", "limit", "events", "filter"];
const MORE = ["url", "method", "client", "level", "object", "name", "key", "headers", "set", "backends", "weight"];
const SETTINGS = ["timeouts", "limits", "answers", "trusted_proxies", "idle", "pipes", "404", "listeners", "clusters"];
const WORDS = ["add", "update", "remove", "listener", "cluster", "backend", "route", "settings", ...EVENT_NAMES];
/** Not those that end it, and not so many processes that the machine is what gets tested. */
const TRIED = VERBS.filter((verb) => verb !== "stop" && verb !== "workers");

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}

function value(random: Random, depth = 0): unknown {
  const kind = random.below(depth > 4 ? 4 : 7);
  if (kind < 2) return pick(random, ODD);
  if (kind < 4) return pick(random, WORDS);
  const names = [...KEYS, ...SETTINGS];
  const items = Array.from({ length: random.below(4) }, () => value(random, depth + 1));
  if (kind === 4) return items;
  return Object.fromEntries(items.map((item) => [pick(random, names), item]));
}

function order(random: Random): unknown {
  if (random.below(8) === 0) return value(random);
  const object = pick(random, ["listener", "cluster", "backend", "route", "settings"]);
  const sound: Record<string, unknown> = {
    order: pick(random, ["add", "update", "remove"]),
    object,
    name: `n${random.below(4)}`,
    cluster: pick(random, ["app", "n1", "n2"]),
    key: { host: `h${random.below(4)}.test` },
    value: pick(random, [
      { backends: [`127.0.0.1:${random.below(60_000) + 1}`] },
      { address: "127.0.0.1:0" },
      { cluster: pick(random, ["app", "n1"]) },
      { timeouts: { idle: `${random.below(99) + 1}s` } },
      { answers: { 404: "x" } },
      { weight: random.below(300) },
    ]),
  };
  const wanted = {
    listener: ["name"],
    cluster: ["name"],
    backend: ["cluster", "name"],
    route: ["key"],
    settings: [],
  }[object]!;
  const keys = ["order", "object", "value", ...wanted].filter((key) => key !== "value" || sound["order"] !== "remove");
  const chosen = Object.fromEntries(keys.map((key) => [key, sound[key]]));
  if (random.below(4) === 0) chosen[pick(random, KEYS)] = value(random);
  if (object === "settings" && random.below(4) > 0) chosen["order"] = "update";
  return chosen;
}

function request(random: Random): Record<string, unknown> {
  const verb = random.below(3) > 0 ? pick(random, ["apply", "plan"] as const) : pick(random, TRIED);
  const asked: Record<string, unknown> = { verb };
  if (verb === "apply" || verb === "plan") {
    asked["orders"] = Array.from({ length: random.below(4) }, () => order(random));
    if (random.below(6) === 0) asked["if_revision"] = random.below(20);
  }
  while (random.below(3) === 0) asked[pick(random, [...FIELDS, ...MORE])] = value(random);
  if (verb === "subscribe") asked["events"] = ["rain"];
  // One that is done takes as long as a hundred other requests.
  if (verb === "upgrade" && random.below(8) > 0) {
    asked["binary"] = pick(random, ["/nowhere", "/dev/null", "/etc/passwd", "x"]);
  }
  return asked;
}

/** Bytes that are no request, or a bit of one, on a connection of their own. */
async function noise(path: string, random: Random): Promise<void> {
  const connection = await Deno.connect({ transport: "unix", path });
  const line = new TextEncoder().encode(JSON.stringify({ id: 1, ...request(random) }) + "\n");
  const kinds: (() => Uint8Array)[] = [
    () => random.bytes(random.below(3_000)),
    () => line.subarray(0, random.below(line.length)),
    () => {
      const changed = line.slice();
      for (let i = random.below(4); i >= 0; i--) changed[random.below(changed.length)] = random.below(256);
      return changed;
    },
    () => new TextEncoder().encode("[".repeat(50_000) + "\n"),
    () => new TextEncoder().encode(`{"id":1,"verb":"plan","orders":${"[".repeat(5_000)}${"]".repeat(5_000)}}\n`),
    () => new TextEncoder().encode("\n".repeat(500)),
  ];
  try {
    await connection.write(pick(random, kinds)());
    if (random.below(2) === 0) await connection.closeWrite();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) throw error;
  } finally {
    connection.close();
  }
}

async function fuzz(real: boolean): Promise<void> {
  const requests = real && !Deno.env.has("KAKEHI_FUZZ") ? REQUESTS / 2 : REQUESTS;
  const seed = Number(Deno.env.get("KAKEHI_SEED") ?? 7);
  const random = createRandom(seed);
  await using main = await MainProcess.start(
    `
workers: 2
user: ""
sandbox: off
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:9"] } }
routes: [ { cluster: app } ]
`,
    { real },
  );
  const client = await Client.connect(main.socket);
  let hash = (await client.ask({ verb: "status" })).hash;
  const pids = async () => (await client.ask({ verb: "status" })).workers.map(({ pid }: any) => pid);
  const before = await pids();
  const codes = new Map<string, number>();
  for (let done = 0; done < requests; done += BATCH) {
    for (let i = 0; i < BATCH; i++) {
      if (random.below(8) === 0) {
        await noise(main.socket, random);
        continue;
      }
      const asked = request(random);
      const answer = await client.ask(asked);
      const code = answer.status === "ok" ? `ok ${asked["verb"]}` : answer.code;
      codes.set(code, (codes.get(code) ?? 0) + 1);
      assert(["ok", "error"].includes(answer.status), JSON.stringify(answer));
      if (answer.status === "error") assertEquals(typeof answer.reason, "string");
      if (answer.status === "ok" && ["apply", "rollback"].includes(asked["verb"] as string)) hash = answer.hash;
    }
    const status = await client.ask({ verb: "status" });
    assertEquals(status.hash, hash, `seed ${seed}, after ${done + BATCH} requests`);
    assert(
      status.workers.every(({ differs, restarts }: any) => !differs && restarts === 0),
      "a worker died or differs",
    );
  }
  assert((codes.get("ok apply") ?? 0) > 0 && (codes.get("invalid") ?? 0) > 0, JSON.stringify([...codes]));
  assert(!/internal|undefined|not a function|of null/.test(main.log), main.log);
  console.log(
    "   ",
    Object.fromEntries([...codes].sort()),
    "processes as before:",
    JSON.stringify(await pids()) === JSON.stringify(before),
  );
  client.close();
}

for (const real of [false, true]) {
  const worker = real ? "the real worker" : "the worker of the tests";
  Deno.test(`no request and no bytes end a process, and what is refused changes nothing: ${worker}`, () => fuzz(real));
}
