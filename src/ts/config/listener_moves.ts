// The listeners' part of a difference. No address may be bound twice at any moment, so a listener that takes an address
// from another comes after that one has left it; where addresses go round in a circle, one listener is taken away first
// and comes back when its new address is free. What need not make room is removed last.

import type { Change } from "./changes.ts";
import { fieldChanges, patchOf } from "./fields.ts";
import { shortForm } from "./file_form.ts";
import type { Fields, NamedOrder } from "./orders.ts";
import { LISTENER } from "./schema.ts";
import type { ListenerState } from "./state.ts";

export interface ListenerMoves {
  /** Additions and changes, and those removals that make room for them. */
  moves: NamedOrder<"listener">[];
  /** All other removals. */
  removals: NamedOrder<"listener">[];
}

/** The orders for all listeners that differ. */
export function listenerMoves(changes: readonly Change[]): ListenerMoves {
  const planner = new Planner();
  const listeners = changes.filter((change) => change.object === "listener");
  for (const { name, before, after } of listeners) planner.know({ name, before, after });
  for (const { name } of listeners) planner.place(name);
  return { moves: planner.moves, removals: planner.removals() };
}

interface Move {
  name: string;
  before: ListenerState | null;
  after: ListenerState | null;
}

class Planner {
  readonly moves: NamedOrder<"listener">[] = [];
  /** What is still as it was. */
  private readonly waiting = new Map<string, Move>();
  /** Who has an address that another may wait for. */
  private readonly owners = new Map<string, string>();

  know(move: Move): void {
    this.waiting.set(move.name, move);
    // Port 0 is another one for each listener.
    if (move.before && !move.before.address.endsWith(":0")) this.owners.set(move.before.address, move.name);
  }

  removals(): NamedOrder<"listener">[] {
    return [...this.waiting.keys()].map((name) => ({ order: "remove", object: "listener", name }));
  }

  /** Gives a listener its new form, after all those that are in its way. */
  place(first: string): void {
    const inTurn = [first];
    while (inTurn.length > 0) {
      const name = inTurn.at(-1)!;
      const move = this.waiting.get(name);
      if (!move?.after) {
        inTurn.pop();
        continue;
      }
      const owner = this.owners.get(move.after.address);
      if (owner === undefined || owner === name) this.emit(name, move.before, move.after);
      else if (this.waiting.get(owner)?.after && !inTurn.includes(owner)) inTurn.push(owner);
      else this.takeAway(owner);
    }
  }

  private emit(name: string, before: ListenerState | null, after: ListenerState): void {
    const value = before ? patchOf(fieldChanges(LISTENER, before, after)) : this.whole(after);
    this.moves.push({ order: before ? "update" : "add", object: "listener", name, value });
    this.waiting.delete(name);
    this.leave(name, before);
  }

  private takeAway(name: string): void {
    const move = this.waiting.get(name)!;
    this.moves.push({ order: "remove", object: "listener", name });
    this.leave(name, move.before);
    if (move.after) this.waiting.set(name, { ...move, before: null });
    else this.waiting.delete(name);
  }

  private leave(name: string, before: ListenerState | null): void {
    if (before && this.owners.get(before.address) === name) this.owners.delete(before.address);
  }

  private whole(listener: ListenerState): Fields {
    return shortForm(LISTENER, listener) as Fields;
  }
}
