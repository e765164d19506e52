// Ten thousand connections: idle ones cost the worker at most 1 KiB of its own memory each, and what a burst of activity
// on all of them took is given back. Measured in the anonymous memory of the worker's process, warm.

import { assert, assertEquals } from "../support/assert.ts";
import { fromText, indexOf, toText } from "../support/bytes.ts";
import { eventually, memoryOf, type Proxy, startProxy } from "../support/proxy.ts";

const CONNECTIONS = 10_000;
const IDLE_BYTES_MAX = 1024;
/** Buffers that are kept for the next burst, and what the runtime's collector has not yet given back. */
const SLACK = 6 << 20;
const RETURN_MS = 20_000;
const AT_ONCE = 250;

const MIB = 1 << 20;

/** A backend that answers everything with two bytes. */
function startTinyBackend(): { address: string; stop(): Promise<void> } {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1", tcpBacklog: 4096 });
  const open = new Set<Deno.Conn>();
  const reply = fromText("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nok");
  const serve = async (connection: Deno.Conn) => {
    open.add(connection);
    const buffer = new Uint8Array(4096);
    try {
      for (let end = 0;;) {
        const n = await connection.read(buffer.subarray(end));
        if (n === null) return;
        end += n;
        if (indexOf(buffer.subarray(0, end), "\r\n\r\n") < 0) continue;
        end = 0;
        await connection.write(reply);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.ConnectionReset)) throw error;
    } finally {
      if (open.delete(connection)) connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) void serve(connection);
  })();
  return {
    address: `127.0.0.1:${listener.addr.port}`,
    async stop() {
      listener.close();
      for (const connection of open) connection.close();
      open.clear();
      await accepting;
    },
  };
}

const REQUEST = fromText(
  "GET /index.html HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html\r\n" +
    "Accept-Language: en\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n\r\n",
);
const HALF = REQUEST.length >> 1;
const answer = new Uint8Array(4096);

/** Reads one answer, which is small enough to come in one piece or two. */
async function readAnswer(client: Deno.Conn): Promise<void> {
  let text = "";
  while (!text.endsWith("\r\n\r\nok")) {
    const n = await client.read(answer); // nobody awaits between a read and its use, so all may share the bytes
    if (n === null) throw new Error(`the connection ended behind ${JSON.stringify(text)}`);
    text += toText(answer.subarray(0, n));
    if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`not a 200: ${text}`);
  }
}

/** Does something with all clients, a bounded number at a time. */
async function withAll(clients: Deno.Conn[], body: (client: Deno.Conn) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < clients.length; from += AT_ONCE) {
    await Promise.all(clients.slice(from, from + AT_ONCE).map(body));
  }
}

async function open(port: number, count: number): Promise<Deno.Conn[]> {
  const clients: Deno.Conn[] = [];
  while (clients.length < count) {
    const some = Array.from(
      { length: Math.min(AT_ONCE, count - clients.length) },
      () => Deno.connect({ port, hostname: "127.0.0.1" }),
    );
    clients.push(...await Promise.all(some));
  }
  return clients;
}

async function ask(client: Deno.Conn): Promise<void> {
  await client.write(REQUEST);
  await readAnswer(client);
}

function closeAll(clients: Deno.Conn[]): void {
  for (const client of clients.splice(0)) client.close();
}

async function untilActive(proxy: Proxy, count: number): Promise<void> {
  await eventually(`${count} connections`, () => proxy.counters(), (now) => {
    return now.of("connections.active") === count && now.of("streams.active") === 0;
  }, 20_000);
}

/** Descriptors that this process may still open. */
function descriptorsLeft(): number {
  const soft = Deno.readTextFileSync("/proc/self/limits").match(/^Max open files\s+(\d+)/m)?.[1];
  return Number(soft) - [...Deno.readDirSync("/proc/self/fd")].length;
}

async function tenThousand(): Promise<void> {
  const backend = startTinyBackend();
  const clients: Deno.Conn[] = [];
  try {
    await using proxy = await startProxy(`
limits: { connections: ${CONNECTIONS + 100} }
timeouts: { idle: 10m, request_header: 60s }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend.address}"], pool: { connections: 0, idle: 64 } } }
routes: [{ cluster: app }]
`);
    const [worker = 0] = await proxy.workers();
    const port = proxy.port("web");

    // code compiled, pools of objects made: what a worker has once and not for each connection
    const warm = await open(port, 500);
    for (let round = 0; round < 5; round++) await withAll(warm, ask);
    closeAll(warm);
    await untilActive(proxy, 0);
    const before = memoryOf(worker).anonymous;

    clients.push(...await open(port, CONNECTIONS));
    await withAll(clients, ask);
    await untilActive(proxy, CONNECTIONS);
    const idle = await eventually(
      "memory of idle connections, in bytes each",
      () => (memoryOf(worker).anonymous - before) / CONNECTIONS,
      (each) => each <= IDLE_BYTES_MAX,
      RETURN_MS,
    );
    console.log(`an idle connection: ${idle.toFixed()} bytes (worker: ${(before / MIB).toFixed(1)} MiB without any)`);

    // all of them active at once: half a head from each fills every buffer, then all ask
    await withAll(clients, (client) => client.write(REQUEST.subarray(0, HALF)));
    const counters = await eventually("a burst", () => proxy.counters(), (now) => now.of("buffers.used") >= 3_800);
    const most = memoryOf(worker).anonymous;
    const limit = counters.of("buffers.count");
    assert(counters.of("buffers.used") <= limit, "more buffers than there are");
    await withAll(clients, async (client) => {
      await client.write(REQUEST.subarray(HALF));
      await readAnswer(client);
    });
    await untilActive(proxy, CONNECTIONS);
    const returned = await eventually(
      "memory behind the burst",
      () => memoryOf(worker).anonymous,
      (bytes) => bytes <= before + CONNECTIONS * IDLE_BYTES_MAX + SLACK,
      RETURN_MS,
    );
    console.log(`a burst: ${(most / MIB).toFixed(1)} MiB, behind it ${(returned / MIB).toFixed(1)} MiB`);

    closeAll(clients);
    await untilActive(proxy, 0);
    assertEquals((await proxy.counters()).of("buffers.used"), 0);
    assertEquals(await proxy.workers(), [worker]);
  } finally {
    closeAll(clients);
    await backend.stop();
  }
}

Deno.test("10,000 idle connections cost at most 1 KiB each, and a burst gives its memory back", async () => {
  const needed = CONNECTIONS + 2_000;
  const left = descriptorsLeft();
  assert(left >= needed, `this test needs ${needed} open files, the limit leaves ${left}: raise it with "ulimit -n"`);
  await tenThousand();
});
