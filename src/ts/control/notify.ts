// What a service manager (systemd, Type=notify) is told of main, by datagrams to NOTIFY_SOCKET: ready, reloading, stopping; a
// line that says how the proxy does, at most once a second and only when it has changed; and beats of the watchdog. Silent
// where nobody asks. Main never waits for the service manager: what it has no room for is sent later.
//
// A beat proves that clients are served: main's event loop turns, and at least one worker has just answered main from its own
// loop. Without either there is no beat, so WatchdogSec is how long an outage that main cannot mend may last before all
// is started anew: long against the replacement of a worker, which takes milliseconds, and with time for several tries.

import type { Log } from "../observe/log.ts";
import { monotonicUs } from "../sys/clock.ts";
import { EAGAIN, SystemError } from "../sys/errno.ts";
import { sendDatagram } from "../sys/fds.ts";
import type { Supervisor } from "./supervisor.ts";

const TICK_MS = 1_000;
/** Beats in a watchdog's interval; twice as many as it takes, so that one that is missed or late ends nothing. */
const BEATS = 4;
/** Longer than any interval makes sense, and within what a timer can wait. */
const BEAT_MAX_MS = 3_600_000;
/** What a stop may take beyond the drain time: closing listeners, ending who does not leave, writing the state file. */
const STOP_GRACE_MS = 15_000;
/** What another program may take until it serves in the place of this one, or until its guard has given it up. */
const SUCCESSION_MS = 60_000;
/** If there is still no room after so many messages, what is oldest is of no use any more. */
const UNSENT_MAX = 16;

export type Watched = Pick<Supervisor, "slots" | "draining" | "live" | "revision" | "state" | "stopping">;

export class ServiceManager {
  readonly #socket = Deno.env.get("NOTIFY_SOCKET") ?? "";
  readonly #watchdogUs: number;
  readonly #unsent: string[] = [];
  #isReady = false;
  /** What is said after the rest of the status. */
  #remark = "";
  #status = "";
  #isDeaf = false;
  #tick: ReturnType<typeof setInterval> | undefined;
  #beats: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly log: Log, private readonly watched: Watched) {
    this.#watchdogUs = this.#socket === "" ? 0 : this.#readWatchdogUs();
  }

  get #beatMs(): number {
    return Math.min(this.#watchdogUs / 1000 / BEATS, BEAT_MAX_MS);
  }

  /** It serves, for the first time or after `reloading`; `remark` stays in the status until the next time. */
  ready(remark = ""): void {
    this.#isReady = true;
    this.#remark = remark;
    this.#status = this.#describe();
    const watchdog = this.#watchdogUs === 0 ? "" : `\nWATCHDOG_USEC=${this.#watchdogUs}`;
    this.#say(`READY=1\nMAINPID=${Deno.pid}${watchdog}\nSTATUS=${this.#status}`);
    if (this.#watchdogUs === 0 || this.#beats !== undefined) return;
    this.#beats = setInterval(() => void this.#beat(), this.#beatMs);
    void this.#beat();
  }

  reloading(): void {
    this.#say(`RELOADING=1\nMONOTONIC_USEC=${monotonicUs()}`);
  }

  /**
   * Another program takes the place of this one. Nobody sends beats until that one, or this one again, is ready. Until then
   * the guard counts as main: if the new program ends, the service has not.
   */
  departing(guard: number): void {
    this.reloading();
    const withinUs = Math.max(this.#watchdogUs, SUCCESSION_MS * 1000);
    this.#say(
      `MAINPID=${guard}\nSTATUS=another program takes over${
        this.#watchdogUs === 0 ? "" : `\nWATCHDOG_USEC=${withinUs}`
      }`,
    );
  }

  /** Whatever the unit says of stopping, it may take as long as what is carried may take. */
  stopping(): void {
    const withinMs = (this.watched.state?.timeouts.drain ?? 0) + STOP_GRACE_MS;
    this.#say(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.round(withinMs * 1000)}\nSTATUS=stopping`);
  }

  /** No word from now on. */
  close(): void {
    clearInterval(this.#tick);
    clearInterval(this.#beats);
  }

  #describe(): string {
    const { slots, draining, live, revision, stopping } = this.watched;
    if (stopping) return `stopping; workers that finish what they carry: ${live}`;
    const serving = slots.filter(({ worker }) => worker?.state === "serving").length;
    const old = draining.length === 0 ? "" : `, ${draining.length} draining`;
    return `serving with ${serving} of ${slots.length} workers, revision ${revision}${old}` +
      (this.#remark === "" ? "" : `; ${this.#remark}`);
  }

  #onTick(): void {
    this.#flush();
    if (this.#unsent.length > 0 || !this.#isReady) return;
    const status = this.#describe();
    if (status === this.#status) return;
    this.#status = status;
    this.#say(`STATUS=${status}`);
  }

  async #beat(): Promise<void> {
    if (await this.#isAlive() && this.#unsent.length === 0) this.#say("WATCHDOG=1");
  }

  /** While it stops, its time limits are main's own. */
  async #isAlive(): Promise<boolean> {
    if (this.watched.stopping) return true;
    const answers = this.watched.slots.map(async ({ worker }) => {
      if (worker?.state !== "serving" || !await worker.status(this.#beatMs)) throw new Error("no answer");
    });
    return await Promise.any(answers).then(() => true, () => this.watched.stopping);
  }

  /** 0: no beats are wanted, or not of this process. */
  #readWatchdogUs(): number {
    const usec = Deno.env.get("WATCHDOG_USEC");
    const pid = Deno.env.get("WATCHDOG_PID");
    if (usec === undefined || (pid !== undefined && pid !== String(Deno.pid))) return 0;
    if (/^[1-9]\d{0,14}$/.test(usec)) return Number(usec);
    this.log.warn("WATCHDOG_USEC is no number of microseconds: the watchdog gets no beats", { value: usec });
    return 0;
  }

  #say(message: string): void {
    if (this.#socket === "") return;
    this.#unsent.push(message);
    if (this.#unsent.length > UNSENT_MAX) this.#unsent.shift();
    this.#tick ??= setInterval(() => this.#onTick(), TICK_MS);
    this.#flush();
  }

  #flush(): void {
    for (let message = this.#unsent[0]; message !== undefined; message = this.#unsent[0]) {
      try {
        sendDatagram(this.#socket, message);
        this.#isDeaf = false;
      } catch (error) {
        if (error instanceof SystemError && error.code === EAGAIN) return;
        if (!this.#isDeaf) this.log.warn("the service manager cannot be told", { reason: (error as Error).message });
        this.#isDeaf = true;
      }
      this.#unsent.shift();
    }
  }
}
