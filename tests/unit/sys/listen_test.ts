import { closeFd } from "../../../src/ts/sys/fds.ts";
import {
  acceptConnection,
  isAddressInUse,
  joinListeners,
  openListeners,
  openUnixListener,
  parseEndpoint,
  peerOf,
  queuedConnections,
  sealListener,
} from "../../../src/ts/sys/listen.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));
const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });

Deno.test("parseEndpoint() takes ip:port and [v6]:port only", () => {
  assertEquals(parseEndpoint("127.0.0.1:80"), { ip: "127.0.0.1", port: 80 });
  assertEquals(parseEndpoint("[::1]:65535"), { ip: "::1", port: 65535 });
  for (
    const bad of ["localhost:80", "127.0.0.1", "127.0.0.1:65536", "256.0.0.1:80", "::1:80", "[::g]:1", "[127.0.0.1]:80"]
  ) {
    assertEquals(parseEndpoint(bad), undefined, bad);
  }
});

Deno.test("openListeners() opens a group on one port, and the kernel spreads connections over it", async () => {
  const { fds, address } = openListeners("127.0.0.1:0", 3, 64);
  fds.push(...joinListeners(address, 1, 64));
  assert(portOf(address) > 0, address);
  const clients = await Promise.all(Array.from({ length: 80 }, () => connect(portOf(address))));
  const queued = fds.map(queuedConnections);
  assertEquals(queued.reduce((a, b) => a + b), 80);
  assert(queued.every((count) => count > 0), `80 connections spread as ${queued}`);
  clients.forEach((client) => client.close());
  fds.forEach(closeFd);
});

Deno.test("openListeners() says that an address is taken, by us or by anybody", () => {
  const ours = openListeners("127.0.0.1:0", 1, 64);
  assert(isAddressInUse(assertThrows(() => openListeners(ours.address, 2, 64))));
  ours.fds.forEach(closeFd);
  const theirs = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assert(isAddressInUse(assertThrows(() => openListeners(`127.0.0.1:${theirs.addr.port}`, 1, 64))));
  theirs.close();
});

Deno.test("openListeners() keeps IPv6 and IPv4 apart", () => {
  const v6 = openListeners("[::]:0", 1, 64);
  const v4 = openListeners(`0.0.0.0:${portOf(v6.address)}`, 1, 64);
  assertEquals(v6.address, `[::]:${portOf(v4.address)}`);
  [...v6.fds, ...v4.fds].forEach(closeFd);
});

Deno.test("sealListener() turns new connections away and keeps those that wait", async () => {
  const { fds: [fd], address } = openListeners("127.0.0.1:0", 1, 64);
  const waiting = await connect(portOf(address));
  sealListener(fd!);
  const late = connect(portOf(address)).then((c) => (c.close(), "connected"), (error) => (error as Error).name);
  assertEquals(queuedConnections(fd!), 1);
  const accepted = acceptConnection(fd!);
  assert(accepted >= 0);
  assertEquals(acceptConnection(fd!), -1);
  await waiting.write(new TextEncoder().encode("still alive"));
  closeFd(fd!);
  assertEquals(await late, "ConnectionRefused");
  waiting.close();
  closeFd(accepted);
});

Deno.test("openUnixListener() has mode 0600, and peerOf() knows who connects", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/test.sock`;
  const umask = Deno.umask();
  const fd = openUnixListener(path, 4);
  assertEquals(Deno.umask(), umask);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  const client = await Deno.connect({ transport: "unix", path });
  const accepted = acceptConnection(fd);
  assertEquals(peerOf(accepted), { pid: Deno.pid, uid: Deno.uid()! });
  client.close();
  closeFd(accepted);
  closeFd(fd);
  await Deno.remove(directory, { recursive: true });
});
