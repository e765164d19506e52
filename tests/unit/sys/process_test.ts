import { closeFd, socketPair } from "../../../src/ts/sys/fds.ts";
import { LineSocket } from "../../../src/ts/sys/line_socket.ts";
import { Poller } from "../../../src/ts/sys/poll.ts";
import {
  allowOpenFiles,
  CHILD_FD,
  openPidFd,
  ownMemoryBytes,
  reap,
  sendSignal,
  SIGKILL,
  SIGTERM,
  spawn,
} from "../../../src/ts/sys/process.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const CHILD = new URL("../../support/spawned.ts", import.meta.url).href;

Deno.test("spawn() gives the child its channel, blocked signals, a group of its own, and nothing else", async () => {
  const poller = new Poller();
  const [ours, theirs] = socketPair();
  const channel = new LineSocket(ours, 4096, 4096);
  const command = { path: "/proc/self/exe", args: ["deno", "run", "-A", "--no-prompt", CHILD, "a b", ""] };
  const pid = spawn(command, { ...Deno.env.toObject(), KAKEHI_TEST: "ü=1" }, theirs);
  closeFd(theirs);
  const told = await new Promise<Record<string, unknown>>((resolve) => {
    poller.add(ours, () => void channel.receive((line) => resolve(line as Record<string, unknown>)));
  });
  assertEquals(told["args"], ["a b", ""]);
  assertEquals(told["env"], "ü=1");
  assertEquals(told["group"], pid);
  assertEquals(told["inherited"], [0, 1, 2, CHILD_FD]);
  const blocked = parseInt(String(told["blocked"]), 16);
  for (const signal of [1, 2, 10, 12, 15]) assert(blocked & (1 << (signal - 1)), `signal ${signal} is blocked`);
  assert(ownMemoryBytes(pid) > 1e6);

  assertEquals(reap(pid), undefined);
  sendSignal(pid, SIGTERM);
  const pidFd = openPidFd(pid);
  const ended = new Promise<void>((resolve) => poller.add(pidFd, resolve));
  const early = await Promise.race([
    ended.then(() => "ended"),
    new Promise((resolve) => setTimeout(resolve, 50, "lives")),
  ]);
  assertEquals(early, "lives", "SIGTERM is not for a worker");
  sendSignal(pid, SIGKILL);
  await ended;
  assertEquals(reap(pid), { signal: SIGKILL });
  assertEquals(sendSignal(pid, SIGKILL), false);
  for (const fd of [pidFd, ours]) poller.remove(fd);
  closeFd(pidFd);
  channel.close();
  await poller.close();
});

Deno.test("spawn() says why a program cannot be started", () => {
  const [ours, theirs] = socketPair();
  assertThrows(
    () => spawn({ path: "/nowhere/kakehi", args: ["kakehi"] }, {}, theirs),
    /posix_spawn \/nowhere\/kakehi: ENOENT/,
  );
  closeFd(ours);
  closeFd(theirs);
});

Deno.test("allowOpenFiles() never lowers a limit", () => {
  const now = allowOpenFiles(Deno.pid, 1);
  assert(now > 1);
  assertEquals(allowOpenFiles(Deno.pid, now), now);
});
