// Changes of every kind for a proxy that serves meanwhile, as a list that repeats itself with other names: routes, clusters,
// backends, weights, listeners, settings with and without a roll of the workers, the number of workers, whole states, and
// rollbacks. The routes that answer the traffic stay; everything around them moves.

// deno-lint-ignore-file no-explicit-any

import type { Client } from "../unit/control/client.ts";

/** Asks for one change; gives the answer. */
export type Change = (client: Client) => Promise<any>;

const orders = (...list: unknown[]): Change => (client) => client.ask({ verb: "apply", orders: list, why: "bench" });

/** The served state with another answer for 404: loaded as a whole, and as a text. */
function load(number: number, asText: boolean): Change {
  return async (client) => {
    const { state } = await client.ask({ verb: "get" });
    state.answers = { 404: `loaded ${number}` };
    state.routes.push({ host: `loaded${number}.test`, cluster: "app" });
    return await client.ask({ verb: "apply", ...(asText ? { text: JSON.stringify(state) } : { state }) });
  };
}

/** The changes of a round; `b` is a second backend of the cluster `app`. What a round adds, it also removes. */
function round(number: number, b: string): Change[] {
  const cluster = `c${number}`;
  const key = { host: `h${number}.test` };
  const backend = { object: "backend", cluster: "app", name: b };
  return [
    orders({ order: "add", object: "cluster", name: cluster, value: { backends: [b] } }),
    orders({ order: "add", object: "route", key, value: { cluster } }),
    orders({ order: "add", ...backend }),
    orders({ order: "update", ...backend, value: { weight: 1 + number % 5 } }),
    orders({ order: "add", object: "listener", name: `l${number}`, value: { address: "127.0.0.1:0" } }),
    orders({ order: "update", object: "route", key, value: { cluster: "app" } }),
    orders({ order: "update", object: "settings", value: { timeouts: { idle: `${20 + number % 40}s` } } }),
    orders({ order: "update", object: "settings", value: { limits: { body_bytes: 1_000_000 + number } } }),
    orders({ order: "update", object: "cluster", name: cluster, value: { balance: "random" } }),
    orders({ order: "update", ...backend, value: { weight: 0 } }),
    orders({ order: "remove", ...backend }),
    orders(
      { order: "remove", object: "route", key },
      { order: "remove", object: "cluster", name: cluster },
    ),
    orders({ order: "remove", object: "listener", name: `l${number}` }),
    load(number, number % 2 === 0),
    (client) => client.ask({ verb: "rollback" }),
  ];
}

/** `count` changes; every `resizeEvery`-th one sets the number of workers, and now and then one has the workers rolled. */
export function* changes(count: number, b: string, resizeEvery: number): Generator<Change> {
  let pending: Change[] = [];
  for (let number = 0; number < count; number++) {
    if (number % resizeEvery === resizeEvery - 1) {
      const turn = Math.floor(number / resizeEvery);
      const value = turn % 4 === 3 ? { limits: { buffers: 4096 + turn } } : { workers: [1, 4, 2][turn % 4] };
      yield orders({ order: "update", object: "settings", value });
      continue;
    }
    if (pending.length === 0) pending = round(Math.floor(number / 10), b);
    yield pending.shift()!;
  }
}
