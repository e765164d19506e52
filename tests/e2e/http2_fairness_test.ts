// How the streams of a connection share it: bodies of the same urgency come at the same pace, small answers pass a large one
// that never ends, on its own connection and on others, and what is urgent comes before all that is not.

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { startProxy } from "../support/proxy.ts";
import { createRandom } from "../support/random.ts";
import { type ScriptedBackend, startBackend } from "../support/scripted_backend.ts";

const MIB = 1024 * 1024;
/** Of a connection, before the client says anything. */
const FIRST_WINDOW = 65_535;
const STEP = 160 * 1024;
const STEPS = 60;
const PIECE = new Uint8Array(64 * 1024);

/** Answers GET /BYTES with as many bytes, one request after the other. */
function startBodies(): Promise<ScriptedBackend> {
  return startBackend(async (peer) => {
    for (;;) {
      const end = await peer.until("a head", () => {
        const at = toText(peer.received).indexOf("\r\n\r\n");
        return at < 0 ? undefined : at + 4;
      }, 60_000);
      const bytes = Number(/^GET \/(\d+) /.exec(toText(peer.take(end)))![1]);
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
      for (let left = bytes; left > 0 && peer.end === "open"; left -= PIECE.length) {
        await peer.write(PIECE.subarray(0, Math.min(left, PIECE.length)));
      }
    }
  });
}

interface Bodies extends AsyncDisposable {
  /** A client that takes `window` of each stream before it says more. */
  connect(window: number): Promise<Http2Client>;
}

async function serveBodies(): Promise<Bodies> {
  const backend = await startBodies();
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
`);
  return {
    async connect(window) {
      return await Http2Client.connect(proxy.port("web"), [4, window]);
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

/**
 * Streams that all have something to send, of which the client takes a little at a time, of all together: what each has sent
 * after each step, in KiB. `priorities`: one for each stream; `meanwhile`: a further frame in front of the first step.
 */
async function share(priorities: readonly string[], meanwhile: Uint8Array = new Uint8Array()): Promise<number[][]> {
  await using bodies = await serveBodies();
  using client = await bodies.connect(0);
  const ids = priorities.map((_, i) => 1 + 2 * i);
  const sent = new Map<number, number>(ids.map((id) => [id, 0]));
  let came = 0;
  client.reads = false;
  client.onData = (stream, bytes) => {
    came += bytes;
    sent.set(stream, sent.get(stream)! + bytes);
  };
  for (const [i, id] of ids.entries()) await client.ask(id, `/${16 * MIB}`, { fields: [["priority", priorities[i]!]] });
  await client.peer.until("all heads", () => ids.every((id) => client.answers.has(id)) || undefined);
  const steps: number[][] = [];
  for (let window = FIRST_WINDOW; steps.length < STEPS; window += STEP) {
    await client.send(...steps.length === 0 ? [meanwhile, f.settings([4, 16 * MIB])] : [f.windowUpdate(0, STEP)]);
    await client.peer.until(`${window} bytes`, () => came === window || undefined);
    steps.push([...sent.values()].map((bytes) => bytes / 1024));
  }
  return steps;
}

for (const [priority, turn] of [["u=3", 64], ["u=3, i", 16]] as const) {
  Deno.test(`ten bodies (${priority}) come at the same pace`, async () => {
    for (const sent of await share(new Array(10).fill(priority))) {
      const apart = Math.max(...sent) - Math.min(...sent);
      assert(apart <= 4 * turn, `${apart} KiB apart: ${sent.map(Math.round)}`);
    }
  });
}

Deno.test("an urgent body comes before those that are not, by field and by PRIORITY_UPDATE", async () => {
  const others = ["u=7", "u=7", "u=7", "u=7"];
  const update = f.frame(f.PRIORITY_UPDATE, 0, 0, [...f.u32(9), ...new TextEncoder().encode("u=0")]);
  for (const steps of [await share([...others, "u=0"]), await share([...others, "u=7"], update)]) {
    const [first = [], last = []] = [steps[0], steps.at(-1)];
    const [urgent, ...rest] = last.map((kib, i) => kib - first[i]!).reverse();
    const others = rest.reduce((sum, kib) => sum + kib, 0);
    // they have their turns while the backend is late with it
    assert(others < urgent! / 4, `${others} KiB of others beside ${urgent}`);
  }
});

Deno.test("small answers pass an endless body, on its connection and on others", async () => {
  await using bodies = await serveBodies();
  using large = await bodies.connect(MIB);
  using other = await bodies.connect(MIB);
  let came = 0;
  large.onData = (stream, bytes) => came += stream === 1 ? bytes : 0;
  await large.ask(1, `/${1024 * MIB}`);
  await large.peer.until("the body", () => came > MIB || undefined);
  for (const client of [large, other]) {
    for (let id = 3; id < 43; id += 2) {
      const before = came;
      await client.ask(id, "/100");
      assertEquals(fieldOf(await client.answer(id), "content-length"), "100");
      const passed = (came - before) / MIB;
      assert(passed < 32, `${passed} MiB came before 100 bytes`);
    }
  }
  const before = came;
  await large.peer.until("more of the body", () => came > before + MIB || undefined);
});

Deno.test("heads do not wait for a window that bodies have used up", async () => {
  const waiting: Http2Request[] = [];
  const random = createRandom(5);
  const text = (length: number) => Array.from({ length }, () => random.below(36).toString(36)).join("");
  const head = ({ id }: Http2Request) => f.headers(id, [[":status", "204"], ["x-long", text(3_000)]]);
  const onRequest = (one: Http2Request) => {
    if (one.path === "/body") one.connection.answer(one.id, text(16_000));
    // all at once: more than a connection gathers between two writes
    else if (waiting.push(one) === 90) one.connection.send(...waiting.map(head));
  };
  await using backend = await Http2Backend.start({ onRequest });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"], protocol: h2c } }
routes: [{ cluster: app }]
`);
  using client = await Http2Client.connect(proxy.port("web"), [4, MIB]);
  let came = 0;
  client.reads = false;
  client.onData = (_, bytes) => came += bytes;
  for (let id = 1; id < 11; id += 2) await client.ask(id, "/body");
  await client.peer.until("the window's worth", () => came === FIRST_WINDOW || undefined);
  const ids = Array.from({ length: 90 }, (_, n) => 11 + 2 * n);
  for (const id of ids) await client.ask(id, "/head");
  for (const id of ids) assertEquals(fieldOf(await client.answer(id), ":status"), "204");
  assertEquals(came, FIRST_WINDOW);
});
