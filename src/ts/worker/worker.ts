// The worker process: waits for the order to start, and serves until it is told to stop or has drained. One thread; nothing
// waits but the loop.

import { compileCore } from "../../wasm/core.ts";
import { waitReadable } from "../sys/libc.ts";
import { ignoreSignalsOfMain, setProcessName } from "../sys/process.ts";
import { Channel } from "./channel.ts";
import { type StartOrder, Worker } from "./serving.ts";

/** Runs a worker on its end of the channel; returns when it is to exit. */
export function runWorker(channelFd: number): void {
  ignoreSignalsOfMain();
  setProcessName("kakehi-worker");
  const channel = new Channel(channelFd);
  const module = compileCore();
  channel.send({ event: "loaded" });
  const first = firstOrder(channel);
  if (!first) return;
  let worker: Worker;
  try {
    worker = new Worker(channel, module, first.order, first.fds);
  } catch (error) {
    channel.send({ event: "refused", reason: (error as Error).message });
    return;
  }
  worker.run();
}

/** Waits for the order to start; undefined when main ends before or has no use for this process. */
function firstOrder(channel: Channel): { order: StartOrder; fds: number[] } | undefined {
  let start: { order: StartOrder; fds: number[] } | undefined;
  let over = false;
  while (!start && !over) {
    waitReadable(channel.fd);
    const open = channel.receive((order, fds) => {
      if (order.order === "start") start = { order, fds };
      else over = true;
    });
    if (!open) return undefined;
  }
  return start;
}
