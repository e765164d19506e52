// Main with sockets that a service manager has opened, which outlive it: who waits in them, who serves them, who keeps them.

import { inspectListener, openListeners, openUnixListener, queuedConnections } from "../../src/ts/sys/listen.ts";
import { closeFd, socketPair } from "../../src/ts/sys/fds.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { type Ended, MainProcess, runCommand } from "../support/main_process.ts";
import type { PassedSocket } from "../support/passed_sockets.ts";
import { eventually, startProxy } from "../support/proxy.ts";

const configFor = (listeners: string, workers = 2) => `
workers: ${workers}
user: ""
sandbox: off
listeners: { ${listeners} }
clusters: { app: { backends: ["127.0.0.1:9"] } }
routes: [ { cluster: app } ]
timeouts: { drain: 1s }
`;
const WEB = `web: { address: "127.0.0.1:1" }`;

interface Opened extends PassedSocket, Disposable {
  address: string;
}

function opened(name: string, fd: number, address: string): Opened {
  return { name, fd, address, [Symbol.dispose]: () => closeFd(fd) };
}

function listening(name: string, at = "127.0.0.1:0"): Opened {
  const { fds: [fd], address } = openListeners(at, 1, 64);
  return opened(name, fd!, address);
}

const portOf = ({ address }: { address: string }) => Number(address.slice(address.lastIndexOf(":") + 1));

/** A request that is sent at once, whether anybody serves or not. */
async function sent(socket: Opened): Promise<{ answer: Promise<string> }> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: portOf(socket) });
  await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const answer = new Response(connection.readable).text();
  answer.catch(() => {}); // a test that fails before it asks for it has its own reason
  return { answer };
}

async function bodyOf(request: { answer: Promise<string> }): Promise<{ pid: number; slot: number }> {
  return JSON.parse((await request.answer).split("\r\n\r\n")[1]!);
}

async function stop(main: MainProcess): Promise<void> {
  main.signal("SIGTERM");
  assertEquals((await main.ended).code, 0);
}

/** A start that is refused. */
async function refused(listeners: string, sockets: readonly PassedSocket[], env = {}): Promise<Ended> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/kakehi.yaml`, configFor(listeners));
  const args = ["start", "-c", `${folder}/kakehi.yaml`, "--socket", `${folder}/control.sock`];
  const ended = await runCommand(args, env, sockets);
  await Deno.remove(folder, { recursive: true });
  assertEquals(ended.code, 1, ended.stderr);
  return ended;
}

Deno.test("requests that are sent while main is stopped wait in the socket, and the next start answers them", async () => {
  using web = listening("web");
  const before = await sent(web);
  for (let round = 0; round < 2; round++) {
    await using main = await MainProcess.start(configFor(WEB), { sockets: [web] });
    assertMatch(
      main.log,
      /the socket is the service manager's {2}listener=web descriptor=3 address=\S+ instead_of=127\.0\.0\.1:1\n/,
    );
    if (round === 0) assertEquals(typeof (await bodyOf(before)).slot, "number");
    assertEquals((await main.ask()).revision, 1);
    await stop(main);
    assertEquals([inspectListener(web.fd).fault, queuedConnections(web.fd)], ["", 0]);
    const waiting = await Promise.all(Array.from({ length: 20 }, () => sent(web)));
    assertEquals(queuedConnections(web.fd), 20);
    await using next = await MainProcess.start(configFor(WEB), { sockets: [web] });
    for (const request of waiting) assert((await bodyOf(request)).pid > 0);
    await stop(next);
  }
});

Deno.test("all workers serve a socket that was passed, also one that is started later, and a dead one takes nothing with it", async () => {
  using web = listening("web");
  await using main = await MainProcess.start(configFor(WEB), { sockets: [web] });
  await main.logged(/slot=1 pid=\d+ took_ms/);
  const served = async () => {
    const requests = await Promise.all(Array.from({ length: 40 }, () => sent(web)));
    return new Set((await Promise.all(requests.map(bodyOf))).map(({ slot }) => slot)).size;
  };
  await eventually("workers that serve it", served, (count) => count === 2);
  assertEquals((await runCommand(["workers", "set", "3", "--socket", main.socket])).code, 0);
  await eventually("workers that serve it", served, (count) => count === 3);
  assertEquals((await runCommand(["workers", "set", "1", "--socket", main.socket])).code, 0);
  await eventually("workers that serve it", served, (count) => count === 1);
  const [last] = (await main.status()).workers.filter(({ state }) => state === "serving");
  Deno.kill(last!.pid, "SIGKILL");
  await served();
  await stop(main);
});

Deno.test("the real workers serve a socket that was passed, by its address, and keep it from nobody else", async () => {
  using web = listening("any");
  const backend = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("hi"));
  const yaml = `
workers: 2
listeners: { web: { address: "${web.address}" } }
clusters: { app: { backends: ["127.0.0.1:${backend.addr.port}"] } }
routes: [ { cluster: app } ]
`;
  const early = await sent(web);
  await using proxy = await startProxy(yaml, {}, [web]);
  assertMatch(await early.answer, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhi$/);
  await eventually("both workers", async () => {
    const requests = await Promise.all(Array.from({ length: 40 }, () => sent(web)));
    for (const { answer } of requests) assertMatch(await answer, /^HTTP\/1\.1 200 OK\r\n/);
    return (await proxy.status()).workers.filter(({ counters }) => counters!["connections.accepted"]! > 0).length;
  }, (count) => count === 2);
  assertEquals(await proxy.stop(), 0);
  assertEquals(inspectListener(web.fd).fault, "");
  await backend.shutdown();
});

Deno.test("a listener that is removed leaves its passed socket open, and finds it when it comes back", async () => {
  using web = listening("web");
  const listeners = `${WEB}, more: { address: "127.0.0.1:0" }`;
  await using main = await MainProcess.start(configFor(listeners), { sockets: [web] });
  const run = async (...args: string[]) => {
    const { code, stderr } = await runCommand([...args, "--socket", main.socket]);
    assertEquals([code, stderr], [0, ""], args.join(" "));
  };
  await run("listener", "remove", "web");
  const waiting = await sent(web);
  assertEquals(queuedConnections(web.fd), 1);
  await run("rollback");
  assert((await bodyOf(waiting)).pid > 0);
  await run("listener", "update", "web", "--address", "127.0.0.1:2");
  assert((await bodyOf(await sent(web))).pid > 0, "its name decides, not the address of the configuration");
  await run("listener", "remove", "web");
  await run("listener", "add", "other", "--address", web.address);
  assert((await bodyOf(await sent(web))).pid > 0, "or its address");
  await stop(main);
});

Deno.test("a socket that no listener takes is closed, and said so; workers are not told of any", async () => {
  using web = listening("web");
  using spare = listening("spare");
  const [one, other] = socketPair();
  using pair = opened("pair", one, "");
  await using main = await MainProcess.start(configFor(WEB), { sockets: [spare, pair, web] });
  const closed =
    /no listener has the name or the address of a socket of the service manager: it is closed {2}socket="(.*)"\n/g;
  const sockets = [...main.log.matchAll(closed)].map(([, socket]) => JSON.parse(`"${socket}"`));
  assertEquals(sockets, [`descriptor 3 ("spare", ${spare.address})`, 'descriptor 4 ("pair")']);
  const inode = (fd: number) => Deno.readLinkSync(`/proc/self/fd/${fd}`);
  const open = (pid: number) => {
    const all = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      } catch {
        return ""; // closed since the listing
      }
    });
    return [spare.fd, one, web.fd].map((fd) => all.filter((link) => link === inode(fd)).length);
  };
  assertEquals(open(main.pid), [0, 0, 1]);
  const { workers, spare: waiting } = await main.status();
  for (const { pid } of workers) assertEquals(open(pid), [0, 0, 1], "once, by its channel");
  if (waiting) assertEquals(open(waiting.pid), [0, 0, 0]);
  for (const { pid } of workers) assert(!Deno.readTextFileSync(`/proc/${pid}/environ`).includes("LISTEN_"));
  closeFd(other);
  await stop(main);
});

Deno.test("what cannot be listened on is refused with its name", async () => {
  const folder = await Deno.makeTempDir();
  using unix = opened("web", openUnixListener(`${folder}/web.sock`, 1), "");
  const [one, other] = socketPair();
  using pair = opened("web", one, "");
  using v6 = listening("web", "[::1]:0");
  using first = listening("web");
  using second = listening("web");
  const cases: [PassedSocket[], RegExp][] = [
    [
      [unix],
      /listener web: descriptor 3 \("web", unix:\S+\/web\.sock\) of the service manager cannot be listened on: it is a unix socket; expected a listening IPv4 TCP socket, as for 127\.0\.0\.1:1\n/,
    ],
    [[pair], /listener web: descriptor 3 \("web"\) .*: it is a unix socket; expected/],
    [[v6], /listener web: descriptor 3 \("web", \[::1\]:\d+\) .*: it is an IPv6 socket; expected a listening IPv4 TCP/],
    [
      [first, second],
      /listener web: which of descriptor 3 .* and descriptor 4 .* is meant\? .*none is bound to 127\.0\.0\.1:1\n/,
    ],
  ];
  for (const [sockets, reason] of cases) assertMatch((await refused(WEB, sockets)).stderr, reason);
  for (const socket of [unix, pair, v6, first, second]) assert(Deno.readLinkSync(`/proc/self/fd/${socket.fd}`));
  closeFd(other);
  await Deno.remove(folder, { recursive: true });
});

/** systemd's own launcher; few machines without systemd have it. */
function hasLauncher(): boolean {
  try {
    return new Deno.Command("systemd-socket-activate", { args: ["--version"] }).outputSync().success;
  } catch {
    console.warn("left out: systemd-socket-activate not found");
    return false;
  }
}

Deno.test({
  name: "systemd-socket-activate starts main for the first client, who is answered",
  ignore: !hasLauncher(),
  async fn() {
    const free = listening("web");
    free[Symbol.dispose]();
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/kakehi.yaml`, configFor(WEB));
    const program = new URL("../support/test_main.ts", import.meta.url).href;
    const main = [Deno.execPath(), "run", "-A", "--no-prompt", program, "start", "-c", `${folder}/kakehi.yaml`];
    const launcher = new Deno.Command("systemd-socket-activate", {
      args: ["-l", free.address, "--fdname=web", ...main, "--socket", `${folder}/control.sock`],
      stderr: "piped",
      stdout: "null",
    }).spawn();
    const log = new Response(launcher.stderr).text();
    const request = await eventually("a listening launcher", () => sent(free).catch(() => undefined), (one) => !!one);
    assert((await bodyOf(request!)).pid > 0);
    launcher.kill("SIGTERM");
    assertEquals((await launcher.status).code, 0);
    assertMatch(await log, /the socket is the service manager's {2}listener=web descriptor=3/);
    await Deno.remove(folder, { recursive: true });
  },
});
