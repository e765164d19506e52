// One main after the other, as the one that runs sees it: who asks for an upgrade is answered by this program when it fails
// (upgrade.ts), and by the next one when it serves; and what this program does when it is that next one (arrival.ts).

import type { Log } from "../observe/log.ts";
import { ControlError } from "./errors.ts";
import type { Handover } from "./handover.ts";
import type { Live } from "./live.ts";
import type { ServiceManager } from "./notify.ts";
import type { UpgradeAnswer } from "./protocol.ts";
import type { Upgrade, UpgradeOptions } from "./upgrade.ts";
import { VERSION } from "./version.ts";

export interface SuccessionOptions {
  log: Log;
  manager: ServiceManager;
  live: () => Promise<Live>;
  /** What is handed over, and how; known when main serves. */
  parts: () => Omit<UpgradeOptions, "transactions" | "log" | "onDeparture" | "onReturn">;
}

export class Succession {
  /** How often another program has taken the place of the one that was started. */
  upgrades = 0;
  #upgrade: Upgrade | undefined;
  /** While this program takes over: what whoever asked for it is waiting for. */
  #arriving: PromiseWithResolvers<UpgradeAnswer> | undefined;

  constructor(private readonly options: SuccessionOptions) {}

  /** Goes on as another program; comes back with what that one answers, or by throwing. */
  async upgradeTo(binary: string | undefined, say: (doing: string) => void): Promise<UpgradeAnswer> {
    if (this.#arriving) return await this.#arriving.promise;
    const { live, log, manager, parts } = this.options;
    const { transactions, events } = await live();
    const { Upgrade } = await import("./upgrade.ts");
    this.#upgrade ??= new Upgrade({
      ...parts(),
      transactions,
      log,
      onDeparture: (guard) => manager.departing(guard),
      onReturn: () => manager.ready("the last upgrade failed"),
    });
    events.emit("upgrade.started", binary === undefined ? {} : { binary });
    try {
      return await this.#upgrade.run(binary, say);
    } catch (error) {
      this.#noteFailure((error as Error).message);
      manager.ready("the last upgrade failed");
      throw error;
    }
  }

  /** This program takes over, or goes on as the one that left. Whoever asks for an upgrade now, or has asked, waits for `arrived`. */
  arrive({ upgrades }: Handover): void {
    this.upgrades = upgrades;
    this.#arriving = Promise.withResolvers();
    this.#arriving.promise.catch(() => {}); // Nobody may be waiting for it.
  }

  /** `failure` says why it was the one that left; "" if it took over. */
  arrived(handed: Handover, failure: string): void {
    const { resolve, reject } = this.#arriving!;
    this.#arriving = undefined;
    if (failure !== "") {
      const reason = `the new program could not take over (${failure}); version ${VERSION} serves on`;
      reject(new ControlError("failed", reason));
      return this.#noteFailure(reason);
    }
    this.upgrades++;
    const took_ms = Date.now() - handed.beganAtMs;
    const answer = { from_version: handed.version, version: VERSION, took_ms };
    resolve(answer);
    this.options.log.info("upgraded", { ...answer, pid: Deno.pid });
    void this.options.live().then(({ events }) => events.emit("upgrade.done", answer));
  }

  #noteFailure(reason: string): void {
    this.options.log.error("the upgrade failed", { reason });
    void this.options.live().then(({ events }) => events.emit("upgrade.failed", { reason }));
  }
}
