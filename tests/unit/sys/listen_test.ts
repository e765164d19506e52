import { createSocket } from "node:dgram";
import { closeFd, memoryFile, socketPair } from "../../../src/ts/sys/fds.ts";
import {
  acceptConnection,
  adoptListener,
  inspectListener,
  isAddressInUse,
  isSameAddress,
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

Deno.test("inspectListener() says what a descriptor is, and why it cannot be listened on", async () => {
  const { fds: [v4], address } = openListeners("127.0.0.1:0", 1, 64);
  assertEquals(inspectListener(v4!), { address, fault: "" });
  const { fds: [v6], address: address6 } = openListeners("[::1]:0", 1, 64);
  assertEquals(inspectListener(v6!), { address: address6, fault: "" });
  const client = await connect(portOf(address));
  const accepted = acceptConnection(v4!);
  assertEquals(inspectListener(accepted), { address, fault: "it does not listen" });
  const path = await Deno.makeTempFile();
  await Deno.remove(path);
  const unix = openUnixListener(path, 1);
  assertEquals(inspectListener(unix), { address: `unix:${path}`, fault: "it is a unix socket" });
  const file = memoryFile("test", new Uint8Array(1));
  assertEquals(inspectListener(file), { address: "", fault: "it is no socket" });
  const [one, other] = socketPair();
  assertEquals(inspectListener(one), { address: "", fault: "it is a unix socket" });
  client.close();
  [v4!, v6!, accepted, unix, file, one, other].forEach(closeFd);
  assertEquals(inspectListener(v4!), { address: "", fault: "it is no socket" });
  await Deno.remove(path);
});

Deno.test("inspectListener() knows datagrams from streams", async () => {
  const datagrams = createSocket("udp4");
  await new Promise<void>((resolve) => datagrams.bind(0, "127.0.0.1", resolve));
  const found = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => inspectListener(Number(name)));
  const { port } = datagrams.address();
  assertEquals(found.filter(({ address }) => address === `127.0.0.1:${port}`).map(({ fault }) => fault), [
    "it is no TCP socket",
  ]);
  await new Promise<void>((resolve) => datagrams.close(() => resolve()));
});

Deno.test("isSameAddress() knows an address in all its spellings", () => {
  for (const [a, b] of [["127.0.0.1:80", "127.0.0.1:80"], ["[::]:80", "[0:0::0]:80"], ["[::ABCD]:1", "[::abcd]:1"]]) {
    assert(isSameAddress(a!, b!), `${a} ${b}`);
  }
  for (
    const [a, b] of [["127.0.0.1:80", "127.0.0.1:81"], ["0.0.0.0:80", "[::]:80"], ["[::]:80", "0.0.0.0:80"], ["", ""]]
  ) {
    assert(!isSameAddress(a!, b!), `${a} ${b}`);
  }
});

Deno.test("adoptListener() makes a listening socket as ours are", async () => {
  const theirs = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${(theirs.addr as Deno.NetAddr).port}`;
  const fd = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name)).find((fd) => {
    const { address: bound, fault } = inspectListener(fd);
    return bound === address && fault === "";
  })!;
  adoptListener(fd, 1);
  assertEquals(acceptConnection(fd), -1, "nobody waits, and it does not block");
  // A queue of n takes n + 1; whoever comes then has no answer to the handshake.
  const clients = [await connect(portOf(address)), await connect(portOf(address))];
  const late = connect(portOf(address));
  const first = await Promise.race([late.then(() => "connected"), new Promise((resolve) => setTimeout(resolve, 300))]);
  assertEquals(first, undefined);
  const accepted = [acceptConnection(fd), acceptConnection(fd)];
  clients.push(await late);
  for (const client of clients) client.close();
  accepted.forEach(closeFd);
  theirs.close();
});
