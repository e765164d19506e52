// What happens in the proxy, told to whoever subscribed. Nobody is waited for: a subscriber takes an event at once or is
// dropped, and what nobody listens to costs nothing.

import type { ControlEvent, EventName } from "./protocol.ts";
import type { SupervisorWatcher } from "./supervisor.ts";

export type Subscriber = (event: ControlEvent) => void;

export class Events {
  readonly #closed = Promise.withResolvers<void>();
  readonly #subscribers = new Map<Subscriber, ReadonlySet<EventName>>();

  /** Calls `subscriber` with each event of these names until the function that it gives is called. */
  subscribe(names: Iterable<EventName>, subscriber: Subscriber): () => void {
    this.#subscribers.set(subscriber, new Set(names));
    return () => this.#subscribers.delete(subscriber);
  }

  /** Resolves when there will be no more events. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  close(): void {
    this.#closed.resolve();
  }

  isWanted(name: EventName): boolean {
    for (const names of this.#subscribers.values()) if (names.has(name)) return true;
    return false;
  }

  emit(name: EventName, fields: Record<string, unknown>): void {
    if (!this.isWanted(name)) return;
    const event: ControlEvent = { ...fields, name, at: new Date().toISOString() };
    for (const [subscriber, names] of [...this.#subscribers]) if (names.has(name)) subscriber(event);
  }
}

const BACKEND_EVENTS = {
  backend_up: "backend.up",
  backend_down: "backend.down",
  backend_drained: "backend.drained",
} as const;

/** What a supervisor has to tell, as events. */
export function watcherFor(events: Events): SupervisorWatcher {
  return {
    workerStarted: (slot, pid) => events.emit("worker.started", { slot, pid }),
    workerDied: (slot, pid, by) => events.emit("worker.died", { slot, pid, by }),
    backend: ({ event, ...about }, slot) => events.emit(BACKEND_EVENTS[event], { ...about, worker: slot }),
    listenerAdded: ({ name, address }) => events.emit("listener.added", { listener: name, address }),
    listenerRemoved: ({ name, address }) => events.emit("listener.removed", { listener: name, address }),
  };
}
