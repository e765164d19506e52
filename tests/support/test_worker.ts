// A worker for the tests of main: the same channel and the same orders as the real one, but it only answers every request with
// its pid, slot and revision, and it misbehaves on demand. The body configured for status 500 says how:
//
//   refuse   refuses the snapshot          die    exits right after it is ready
//   hang     never becomes ready           slow   drains only at its deadline

import type { WorkerSnapshot } from "../../src/ts/worker/protocol.ts";
import { Channel } from "../../src/ts/worker/channel.ts";
import { closeFd, readWhole, receiveMessage, sendMessage } from "../../src/ts/sys/fds.ts";
import { acceptConnection } from "../../src/ts/sys/listen.ts";
import { Poller } from "../../src/ts/sys/poll.ts";
import { ignoreSignalsOfMain } from "../../src/ts/sys/process.ts";

export function runTestWorker(channelFd: number): Promise<never> {
  ignoreSignalsOfMain();
  const poller = new Poller();
  const channel = new Channel(channelFd);
  const listeners: number[] = [];
  const connections = new Set<number>();
  let snapshot: WorkerSnapshot | undefined;
  let slot = -1;
  let requests = 0;
  let draining = false;

  const behaviour = () => snapshot?.state.answers["500"] ?? "";
  const leaveWhenDone = () => {
    if (draining && connections.size === 0 && behaviour() !== "slow") Deno.exit(0);
  };

  function serve(fd: number): void {
    const buffer = new Uint8Array(4096);
    const count = receiveMessage(fd, buffer, []);
    if (count < 0) return;
    if (count > 0 && new TextDecoder().decode(buffer.subarray(0, count)).startsWith("GET /wait")) return;
    if (count > 0) {
      requests++;
      const body = JSON.stringify({ pid: Deno.pid, slot, revision: snapshot!.revision });
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
      else listeners.push(fd);
    });
    if (behaviour() === "hang") return;
    if (behaviour() === "refuse") {
      channel.send({ event: "refused", reason: "the test says so" });
      Deno.exit(1);
    }
    for (const fd of listeners) poller.add(fd, () => acceptAll(fd));
    channel.send({ event: "ready", pid: Deno.pid, sandbox: ["nothing"] });
    if (behaviour() === "die") setTimeout(() => Deno.exit(7), 20);
  }

  function drain(deadlineMs: number): void {
    draining = true;
    for (const fd of listeners.splice(0)) {
      acceptAll(fd);
      poller.remove(fd);
      closeFd(fd);
    }
    setTimeout(() => Deno.exit(0), deadlineMs);
    leaveWhenDone();
  }

  poller.add(channel.fd, () => {
    const open = channel.receive((order, fds) => {
      if (order.order === "start") start(order, fds);
      if (order.order === "access_log") fds.forEach(closeFd);
      if (order.order === "drain") drain(order.deadlineMs);
      if (order.order === "stop") Deno.exit(0);
      if (order.order === "status") {
        const counters = { requests, "connections.active": connections.size };
        channel.send({
          event: "status",
          id: order.id,
          status: { revision: snapshot!.revision, draining, counters },
        });
      }
    });
    if (!open) Deno.exit(0);
  });
  channel.send({ event: "loaded" });
  return new Promise(() => {});
}
