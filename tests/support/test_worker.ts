// A worker for the tests of main: the same channel and the same orders as the real one, but it only answers every request with
// its pid, slot and revision (`GET /credentials`: with what it knows of certificates and keys), and it misbehaves on demand. The body configured for status 500 says how:
//
//   refuse   refuses the snapshot or change     die    exits right after it is ready
//   hang     never becomes ready                slow   drains only at its deadline
//   meet FOLDER   becomes ready when another that was told to start has left its mark in this folder, too
//
// and for a change alone, said by the change itself, with the slot that it is for or none for all (`hang-prepare 0`):
//
//   die-prepare, hang-prepare    when it is to get it ready
//   die-commit, hang-commit      when it is to serve by it           other-hash   says that it serves something else

import { ServedHash } from "../../src/ts/config/served_hash.ts";
import type { CertificateEntry, WorkerChange, WorkerSnapshot } from "../../src/ts/worker/protocol.ts";
import { Channel } from "../../src/ts/worker/channel.ts";
import { closeFd, readWhole, receiveMessage, sendMessage } from "../../src/ts/sys/fds.ts";
import { acceptConnection } from "../../src/ts/sys/listen.ts";
import { Poller } from "../../src/ts/sys/poll.ts";
import { ignoreSignalsOfMain } from "../../src/ts/sys/process.ts";

export function runTestWorker(channelFd: number): Promise<never> {
  ignoreSignalsOfMain();
  const poller = new Poller();
  const channel = new Channel(channelFd);
  const listeners: { name: string; fd: number }[] = [];
  const served = new ServedHash();
  let prepared: { change: WorkerChange; listeners: { name: string; fd: number }[]; behaviour: string } | undefined;
  const connections = new Set<number>();
  let snapshot: WorkerSnapshot | undefined;
  let slot = -1;
  let requests = 0;
  let material = -1;
  const certificates = new Map<string, CertificateEntry>();

  function takeMaterial(names: string[], fds: number[]): void {
    const at = names.indexOf("certificates");
    if (at < 0) return;
    if (material >= 0) closeFd(material);
    material = fds[at]!;
  }

  /** What a worker could serve by now, read from where main says. */
  function credentials() {
    const bytes = material < 0 ? new Uint8Array() : readWhole(material);
    const entries = Array.from(certificates.values(), ({ at, length, ...entry }) => {
      return { ...entry, ...JSON.parse(new TextDecoder().decode(bytes.subarray(at, at + length))) };
    });
    const { files, ticketKeys, state: { listeners } } = snapshot!;
    return { entries, files, ticketKeys, listeners };
  }
  let draining = false;

  const behaviour = () => snapshot?.state.answers["500"] ?? "";
  const leaveWhenDone = () => {
    if (draining && connections.size === 0 && behaviour() !== "slow") Deno.exit(0);
  };

  function serve(fd: number): void {
    const buffer = new Uint8Array(4096);
    const count = receiveMessage(fd, buffer, []);
    if (count < 0) return;
    const request = new TextDecoder().decode(buffer.subarray(0, Math.max(0, count)));
    if (request.startsWith("GET /wait")) return;
    if (count > 0) {
      requests++;
      const more = request.startsWith("GET /credentials") ? credentials() : {};
      const body = JSON.stringify({ pid: Deno.pid, slot, revision: snapshot!.revision, ...more });
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
      sendMessage(fd, new TextEncoder().encode(head + body), []);
    }
    poller.remove(fd);
    closeFd(fd);
    connections.delete(fd);
    leaveWhenDone();
  }

  function acceptAll(listener: number): void {
    for (let fd = acceptConnection(listener); fd >= 0; fd = acceptConnection(listener)) {
      const connection = fd;
      connections.add(connection);
      poller.add(connection, () => serve(connection));
    }
  }

  function start(order: { slot: number; fds: string[] }, fds: number[]): void {
    slot = order.slot;
    order.fds.forEach((name, i) => {
      const fd = fds[i]!;
      if (name === "snapshot") snapshot = JSON.parse(new TextDecoder().decode(readWhole(fd)));
      if (name === "snapshot" || name === "access_log") closeFd(fd);
      if (name.startsWith("listener:")) listeners.push({ name: name.slice("listener:".length), fd });
    });
    const { state, routeIds } = snapshot!;
    for (const [name, cluster] of Object.entries(state.clusters)) served.setCluster(name, cluster);
    state.routes.forEach((route, at) => served.setRoute(routeIds[at]!, route));
    takeMaterial(order.fds, fds);
    for (const entry of snapshot!.certificates) {
      served.setCertificate(entry.name, entry);
      certificates.set(entry.name, entry);
    }
    if (behaviour() === "hang") return;
    if (behaviour() === "refuse") {
      channel.send({ event: "refused", reason: "the test says so" });
      Deno.exit(1);
    }
    const [how, folder] = behaviour().split(" ");
    if (how === "meet") meet(folder!);
    else beReady();
  }

  function meet(folder: string): void {
    Deno.writeTextFileSync(`${folder}/${Deno.pid}`, "");
    const look = () => [...Deno.readDirSync(folder)].length > 1 ? beReady() : void setTimeout(look, 5);
    look();
  }

  function beReady(): void {
    for (const { fd } of listeners) poller.add(fd, () => acceptAll(fd));
    channel.send({ event: "ready", pid: Deno.pid, sandbox: ["nothing"] });
    if (behaviour() === "die") setTimeout(() => Deno.exit(7), 20);
  }

  function leave(fd: number): void {
    acceptAll(fd);
    poller.remove(fd);
    closeFd(fd);
  }

  function prepare({ revision, fds: names }: { revision: number; fds: string[] }, fds: number[]): void {
    abort();
    const change: WorkerChange = JSON.parse(new TextDecoder().decode(readWhole(fds[0]!)));
    closeFd(fds[0]!);
    takeMaterial(names, fds);
    const joining = names.flatMap((name, i) =>
      name.startsWith("listener:") ? { name: name.slice("listener:".length), fd: fds[i]! } : []
    );
    const [how = "", only] = (change.settings?.answers["500"] ?? "").split(" ");
    const behaviour = only === undefined || Number(only) === slot ? how : "";
    if (behaviour === "die-prepare") Deno.exit(9);
    if (behaviour === "hang-prepare") return;
    if (behaviour === "refuse") {
      joining.forEach(({ fd }) => closeFd(fd));
      channel.send({ event: "change_refused", revision, object: "the test", reason: "says so" });
      return;
    }
    prepared = { change, listeners: joining, behaviour };
    channel.send({ event: "prepared", revision });
  }

  function abort(): void {
    prepared?.listeners.forEach(({ fd }) => closeFd(fd));
    prepared = undefined;
  }

  function commit(revision: number): void {
    if (prepared?.change.revision !== revision) throw new Error(`revision ${revision} was not prepared`);
    const { change, listeners: joining, behaviour } = prepared;
    prepared = undefined;
    if (behaviour === "die-commit") Deno.exit(9);
    if (behaviour === "hang-commit") return;
    for (const name of change.listenersRemoved) {
      for (const listener of listeners.filter((open) => open.name === name)) {
        leave(listener.fd);
        listeners.splice(listeners.indexOf(listener), 1);
      }
    }
    for (const listener of joining) {
      listeners.push(listener);
      poller.add(listener.fd, () => acceptAll(listener.fd));
    }
    for (const [name, cluster] of Object.entries(change.clusters)) served.setCluster(name, cluster);
    for (const { id, route } of change.routes) served.setRoute(id, route);
    for (const { name, entry } of change.certificates) {
      served.setCertificate(name, entry);
      if (entry) certificates.set(name, entry);
      else certificates.delete(name);
    }
    Object.assign(snapshot!.files, change.files);
    snapshot!.revision = revision;
    if (change.settings) snapshot!.state.answers = change.settings.answers;
    const hash = behaviour === "other-hash" ? "another" : served.toString();
    channel.send({ event: "committed", revision, hash, pausedUs: 1 });
  }

  function drain(deadlineMs: number): void {
    draining = true;
    for (const { fd } of listeners.splice(0)) leave(fd);
    setTimeout(() => Deno.exit(0), deadlineMs);
    leaveWhenDone();
  }

  channel.send({ event: "loaded" });
  poller.add(channel.fd, () => {
    const open = channel.receive((order, fds) => {
      if (order.order === "start") start(order, fds);
      if (order.order === "prepare") prepare(order, fds);
      if (order.order === "commit") commit(order.revision);
      if (order.order === "abort") abort();
      if (order.order === "ticket_keys") snapshot!.ticketKeys = order.keys;
      if (order.order === "explain") {
        const nothing = { winner: -1, considered: [], cluster: null, backends: [], wouldPick: null, rewritten: null };
        channel.send({ event: "explained", id: order.id, explained: nothing });
      }
      if (order.order === "access_log") fds.forEach(closeFd);
      if (order.order === "drain") drain(order.deadlineMs);
      if (order.order === "stop") Deno.exit(0);
      if (order.order === "status") {
        const counters = { requests, "connections.active": connections.size };
        channel.send({
          event: "status",
          id: order.id,
          status: { revision: snapshot!.revision, hash: served.toString(), draining, counters },
        });
      }
    });
    if (!open) Deno.exit(0);
  });
  channel.send({ event: "loaded" });
  return new Promise(() => {});
}
