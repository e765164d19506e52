// The fields of a request, read one by one: each is there in the form that the verb expects or not at all, and what the
// verb does not know is refused, because it may be a misspelled guard such as `if_revision`.

import { secretWord } from "../config/format_error.ts";
import { nearest } from "../config/nearest.ts";
import { ControlError } from "./errors.ts";
import type { ControlRequest } from "./protocol.ts";

export class Fields {
  readonly #known = new Set(["id", "verb"]);

  constructor(private readonly request: ControlRequest) {}

  text(name: string): string | undefined {
    return this.#read(name, "a text", (value) => typeof value === "string") as string | undefined;
  }

  flag(name: string): boolean {
    return (this.#read(name, "true or false", (value) => typeof value === "boolean") ?? false) as boolean;
  }

  count(name: string, min: number, max: number): number | undefined {
    const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
    return this.#read(name, `a whole number from ${min} to ${max}`, isCount) as number | undefined;
  }

  oneOf<W extends string>(name: string, words: readonly W[]): W | undefined {
    return this.#read(name, `one of ${words.join(", ")}`, (value) => words.includes(value as W)) as W | undefined;
  }

  list(name: string): unknown[] | undefined {
    return this.#read(name, "a list", Array.isArray) as unknown[] | undefined;
  }

  record(name: string): Record<string, unknown> | undefined {
    const isRecord = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
    return this.#read(name, "an object", isRecord) as Record<string, unknown> | undefined;
  }

  /** Whatever it is; undefined if it is not there. */
  any(name: string): unknown {
    return this.#read(name, "", () => true);
  }

  /** Call it when all fields that the verb knows were read. */
  refuseOthers(): void {
    for (const name of Object.keys(this.request)) {
      if (this.#known.has(name)) continue;
      const similar = nearest(name.slice(0, 64), this.#known);
      const hint = similar === undefined ? "" : `; did you mean "${similar}"?`;
      const known = [...this.#known].filter((known) => known !== "id" && known !== "verb").join(", ") || "none";
      const reason = `${this.request.verb} knows no field ${shown(name)} (its fields: ${known})${hint}`;
      throw new ControlError("bad_request", reason);
    }
  }

  #read(name: string, expected: string, test: (value: unknown) => boolean): unknown {
    this.#known.add(name);
    if (!Object.hasOwn(this.request, name)) return undefined;
    const value = this.request[name];
    if (test(value)) return value;
    throw new ControlError("bad_request", `${name}: expected ${expected}, got ${shown(value)}`);
  }
}

function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const secret = typeof value === "string" ? secretWord(value) : "";
  if (secret !== "") return secret;
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
