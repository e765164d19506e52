// What is changed over the control socket while the chaos runs. None of it may cost a request: the clusters that change have
// backends that all answer alike, whatever is spoken to them; only a killed worker takes with it what it carried.

// deno-lint-ignore-file no-explicit-any

import { Client } from "../../unit/control/client.ts";
import type { Proxy } from "../proxy.ts";
import type { Random } from "../random.ts";
import { clientsHeldBy, type Tunnels } from "../tunnels.ts";
import type { Book } from "./book.ts";
import { pick } from "./plan.ts";
import { pause } from "./wire.ts";

export interface ChangesContext {
  proxy: Proxy;
  book: Book;
  random: Random;
  /** Clusters whose protocol may change, and what it may be. */
  protocols: Record<string, string[]>;
  /** Further backends that answer as those of the cluster do. */
  spares: Record<string, string>;
  /** Ports of the listeners. */
  ports: number[];
  excused: Set<number>;
  tunnels: Tunnels | undefined;
  /** PEM of certificates for a.test. */
  pairs: { cert: string; key: string }[];
  isOver: () => boolean;
  /** How long between two changes, at most. */
  paceMs: number;
}

type Change = () => Promise<any>;

export class Changes {
  readonly #changes: Change[];
  applied = 0;
  kills = 0;
  upgrades = 0;
  #number = 0;
  #added = new Set<string>();
  #client!: Client;

  constructor(private readonly context: ChangesContext) {
    this.#changes = this.#all();
  }

  async run(): Promise<void> {
    const { proxy, random, isOver, paceMs, book } = this.context;
    this.#client = await Client.connect(proxy.socket);
    try {
      while (!isOver()) {
        await pause(random.below(paceMs));
        const change = pick(random, this.#changes);
        const answer = await change();
        if (answer === undefined) continue;
        if (answer.status === "ok") this.applied++;
        else book.fault(`a change was refused: ${JSON.stringify(answer)}`);
      }
    } finally {
      this.#client.close();
    }
  }

  #ask(request: any): Promise<any> {
    this.context.book.note(JSON.stringify(request).slice(0, 200));
    return this.#client.ask(request);
  }

  #apply(...orders: any[]): Promise<any> {
    return this.#ask({ verb: "apply", orders, why: "chaos" });
  }

  #update(object: string, name: string | undefined, value: any): Promise<any> {
    return this.#apply({ order: "update", object, ...name === undefined ? {} : { name }, value });
  }

  #all(): Change[] {
    const { protocols, random } = this.context;
    const clusters = Object.keys(protocols);
    const cluster = () => pick(random, clusters);
    const often = [
      () => this.#protocol(cluster()),
      () => this.#protocol(cluster()),
      () => this.#spare(cluster()),
      () => this.#spare(cluster()),
      () => this.#weight(cluster()),
      () => this.#pool(cluster()),
      () => this.#update("cluster", cluster(), { balance: pick(random, ["round_robin", "random", "least_requests"]) }),
      () => this.#move(),
      () => this.#route(),
      () => this.#listener(),
      () => this.#timeouts(),
      () => this.#certificate(),
    ];
    const seldom = [
      () => this.#kill(),
      () => this.#upgrade(),
      () => this.#ask({ verb: "workers", set: random.between(1, 3) }),
      () => this.#ask({ verb: "workers", restart: true }),
      () => this.#update("settings", undefined, { limits: { body_bytes: 1e9 + this.#number++ } }),
    ];
    return [...often, ...often, ...often, ...seldom];
  }

  #protocol(cluster: string): Promise<any> {
    const { protocols, random } = this.context;
    return this.#update("cluster", cluster, { protocol: pick(random, protocols[cluster]!) });
  }

  #spare(cluster: string): Promise<any> {
    const backend = { object: "backend", cluster, name: this.context.spares[cluster]! };
    const isThere = this.#added.delete(cluster);
    if (!isThere) this.#added.add(cluster);
    return this.#apply({ order: isThere ? "remove" : "add", ...backend });
  }

  async #weight(cluster: string): Promise<any> {
    if (!this.#added.has(cluster)) return undefined;
    const backend = { object: "backend", cluster, name: this.context.spares[cluster]! };
    return await this.#apply({ order: "update", ...backend, value: { weight: this.context.random.below(5) } });
  }

  #pool(cluster: string): Promise<any> {
    const { random } = this.context;
    const pool = { idle: pick(random, [0, 1, 5, 512]), idle_timeout: pick(random, ["50ms", "1s", "60s"]) };
    const http2 = { max_concurrent_streams: pick(random, [1, 3, 20, 100]) };
    return this.#update("cluster", cluster, random.below(2) ? { pool } : { http2 });
  }

  /** A path that now one, now another cluster answers. */
  #move(): Promise<any> {
    const { protocols, random } = this.context;
    const cluster = pick(random, Object.keys(protocols).filter((name) => name.startsWith("calm")));
    return this.#apply({ order: "update", object: "route", key: { path: "/calmmoving/*" }, value: { cluster } });
  }

  #route(): Promise<any> {
    const key = { host: `h${this.#number++ % 7}.test` };
    const isThere = this.#added.delete(key.host);
    if (!isThere) this.#added.add(key.host);
    return this.#apply(
      isThere
        ? { order: "remove", object: "route", key }
        : { order: "add", object: "route", key, value: { cluster: "calm1" } },
    );
  }

  #listener(): Promise<any> {
    const { random } = this.context;
    if (random.below(2)) {
      const http2 = { max_concurrent_streams: random.between(50, 200), stream_window: random.between(65_535, 200_000) };
      return this.#update("listener", pick(random, ["web", "sec"]), { http2 });
    }
    const isThere = this.#added.delete("listener");
    if (!isThere) this.#added.add("listener");
    const name = { object: "listener", name: "more" };
    return this.#apply(
      isThere ? { order: "remove", ...name } : { order: "add", ...name, value: { address: "127.0.0.1:0" } },
    );
  }

  #timeouts(): Promise<any> {
    const { random } = this.context;
    const timeouts = { idle: `${random.between(20, 60)}s`, request_body: `${random.between(8, 20)}s` };
    return this.#update("settings", undefined, { timeouts });
  }

  #certificate(): Promise<any> {
    return this.#update("certificate", "leaf", pick(this.context.random, this.context.pairs));
  }

  async #upgrade(): Promise<any> {
    const answer = await this.#ask({ verb: "upgrade" });
    if (answer.status === "ok") this.upgrades++;
    return answer;
  }

  /** It is stopped first, so that those are known whom it takes with it. */
  async #kill(): Promise<any> {
    const { book, random, ports, excused, tunnels } = this.context;
    const { workers } = await this.#client.ask({ verb: "status" });
    const serving = workers.filter(({ state }: any) => state === "serving");
    if (serving.length === 0) return;
    const { pid } = pick<any>(random, serving);
    Deno.kill(pid, "SIGSTOP");
    await pause(5);
    for (const port of ports) {
      const held = clientsHeldBy(pid, port);
      for (const one of held) excused.add(one);
      tunnels?.excuse(held.filter((one) => tunnels.ports.has(one)));
    }
    book.note(`kill ${pid}`);
    Deno.kill(pid, "SIGKILL");
    this.kills++;
  }
}
