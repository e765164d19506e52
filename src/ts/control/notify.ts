// What a service manager (systemd, Type=notify) wants to know of main: ready, reloading, stopping. Silent where nobody asks.

import type { Log } from "../observe/log.ts";
import { sendDatagram } from "../sys/fds.ts";

export class ServiceManager {
  readonly #socket = Deno.env.get("NOTIFY_SOCKET") ?? "";

  constructor(private readonly log: Log) {}

  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${status}`);
  }

  reloading(): void {
    // CLOCK_MONOTONIC, which /proc/uptime shows, in microseconds.
    const uptime = this.#socket === "" ? 0 : Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${Math.round(uptime * 1e6)}`);
  }

  stopping(): void {
    this.#notify("STOPPING=1");
  }

  #notify(message: string): void {
    if (this.#socket === "") return;
    try {
      sendDatagram(this.#socket, message);
    } catch (error) {
      this.log.warn("the service manager cannot be told", { reason: (error as Error).message });
    }
  }
}
