// What the names of backends lead to, for the state that is served. A transaction asks for what it needs and is told in a
// draft; from `commit` on that is what holds.

import type { ClusterState, State } from "../config/state.ts";
import { ControlError } from "./errors.ts";
import { namesOf, resolveBackends, type Resolved } from "./resolve.ts";

export class BackendAddresses {
  #known: Resolved;

  constructor(known: Readonly<Resolved>, private readonly warn: (text: string) => void) {
    this.#known = { ...known };
  }

  /** Of all names in some clusters, asked for now. Throws a ControlError that names those that lead nowhere. */
  async draft(clusters: Iterable<ClusterState>): Promise<Resolved> {
    try {
      return await resolveBackends(clusters, this.#known, this.warn);
    } catch (error) {
      throw new ControlError("invalid", (error as Error).message);
    }
  }

  /** Whether a name in a cluster leads elsewhere than before. */
  hasMoved(cluster: ClusterState, draft: Resolved): boolean {
    return namesOf([cluster]).values().some((name) => draft[name]?.join() !== this.#known[name]?.join());
  }

  commit(draft: Resolved): void {
    Object.assign(this.#known, draft);
  }

  /** Of the names that the served state has; what is not in it any more is forgotten here. */
  of({ clusters }: State): Resolved {
    const names = namesOf(Object.values(clusters));
    return this.#known = Object.fromEntries(Object.entries(this.#known).filter(([name]) => names.has(name)));
  }
}
