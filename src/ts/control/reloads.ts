// Reading the configuration file again, asked for by HUP or by the file itself: one at a time, and another one behind it if
// that was asked for meanwhile, because the file may have changed since it was read. What is wrong with the file is logged,
// and then nothing has changed.

import type { Log } from "../observe/log.ts";
import type { Live } from "./live.ts";
import type { ServiceManager } from "./notify.ts";
import type { Supervisor } from "./supervisor.ts";

export interface ReloadsOptions {
  /** The file; "" if there is none. */
  source: string;
  log: Log;
  manager: ServiceManager;
  supervisor: Supervisor;
  live: () => Promise<Live>;
  isStopping: () => boolean;
  onApplied: () => void;
}

export class Reloads {
  #underWay = false;
  /** Why there is to be another one; "" if there is not. */
  #next = "";

  constructor(private readonly options: ReloadsOptions) {}

  get underWay(): boolean {
    return this.#underWay;
  }

  async ask(why: string): Promise<void> {
    const { source, log, manager, isStopping } = this.options;
    if (source === "") return log.warn("there is no file to read again: this is the demonstration");
    this.#next = why;
    if (this.#underWay) return;
    this.#underWay = true;
    while (this.#next !== "" && !isStopping()) {
      const because = this.#next;
      this.#next = "";
      manager.reloading();
      await this.#once(because);
    }
    this.#underWay = false;
  }

  async #once(why: string): Promise<void> {
    const { source, log, manager, supervisor, live, onApplied } = this.options;
    const before = supervisor.revision;
    try {
      const changed = await (await live()).reload(why);
      const { revision } = supervisor;
      log.info(changed ? "configuration applied" : "the configuration is what is served", { file: source, revision });
      onApplied();
    } catch (error) {
      for (const line of (error as Error).message.split("\n")) log.error(line);
      log.error("the configuration was not applied, nothing has changed", { file: source, revision: before });
      manager.ready("the last reload failed");
    }
  }
}
