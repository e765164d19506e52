// CONFIGURATION.md, derived from the schema: an entry for each key, in the order of the schema, with its sentences, unit,
// default, bounds, an example, and what to see beside it.

import { STATE } from "./schema.ts";
import type { Key, ObjectShape, Shape } from "./shape.ts";
import { formatDuration, formatSize } from "./units.ts";
import { stringify } from "yaml";

/** A key with its dotted name, e.g. `clusters.NAME.backends[].weight`. */
export interface Entry {
  name: string;
  key: Key<unknown>;
}

/** All keys of the schema, a key before those that are in it. */
export function entries(): Entry[] {
  return entriesOf(STATE, "");
}

function entriesOf(shape: Shape, prefix: string): Entry[] {
  const object = objectIn(shape);
  if (!object) return [];
  const start = `${prefix}${object.suffix}`;
  return Object.entries(object.keys).flatMap(([name, key]) => {
    const full = start === "" ? name : `${start}.${name}`;
    return [{ name: full, key }, ...entriesOf(key.shape, full)];
  });
}

/** The keys that are somewhere below a shape, and what stands between the shape's name and theirs. */
function objectIn(shape: Shape): { keys: ObjectShape["keys"]; suffix: string } | null {
  if (shape.kind === "object") return { keys: shape.keys, suffix: "" };
  if (shape.kind === "table") return { keys: shape.item.keys, suffix: "[]" };
  const inner = shape.kind === "word" ? shape.or : "of" in shape ? shape.of : null;
  const found = inner && objectIn(inner);
  if (!found) return null;
  const step = shape.kind === "map" ? `.${shape.label}` : shape.kind === "list" ? "[]" : "";
  return { keys: found.keys, suffix: step + found.suffix };
}

/** The bounds of a key in words, "" if it has none. */
export function boundsOf(key: Key<unknown>): string {
  if (key.bounds !== undefined) return key.bounds;
  const shape = key.shape.kind === "word" ? key.shape.or : key.shape;
  const word = key.shape.kind === "word" ? `\`${key.shape.word}\`, or ` : "";
  if (key.shape.kind === "word" && key.shape.optional) return `\`${key.shape.word}\`, or a map`;
  switch (shape.kind) {
    case "count":
      return `${word}${shape.min} to ${shape.max}`;
    case "duration":
      return `${formatDuration(shape.min)} to ${formatDuration(shape.max)}`;
    case "size":
      return `${formatSize(shape.min)} to ${formatSize(shape.max)}`;
    case "flag":
      return "`true` or `false`";
    case "choice":
      return shape.words.map((choice) => `\`${choice}\``).join(", ");
    default:
      return "";
  }
}

/** The whole document, around an example of a whole file. */
export function referenceText(exampleFile: string): string {
  const parts = [INTRODUCTION, "```yaml", exampleFile.trimEnd(), "```", "", NOTATION, ...entries().map(entryText)];
  return `${parts.join("\n").trimEnd()}\n`;
}

function entryText({ name, key }: Entry): string {
  const lines = [`### \`${name}\``, "", key.about, ""];
  const unit = unitOf(key);
  if (unit !== "") lines.push(`- Unit: ${unit}`);
  lines.push(`- Default: ${defaultOf(key)}`);
  const bounds = boundsOf(key);
  if (bounds !== "") lines.push(`- Bounds: ${bounds}`);
  lines.push(`- Example: \`${exampleOf(name, key.example)}\``);
  if (key.seeAlso) {
    lines.push(`- See also: ${key.seeAlso.map((other) => `[\`${other}\`](#${anchorOf(other)})`).join(", ")}`);
  }
  return `${lines.join("\n")}\n`;
}

function unitOf({ unit, shape }: Key<unknown>): string {
  if (unit !== undefined) return unit;
  if (shape.kind === "duration") return "a duration";
  return shape.kind === "size" ? "a size" : "";
}

function defaultOf(key: Key<unknown>): string {
  if (key.inherits !== undefined) return `that of [\`${key.inherits}\`](#${anchorOf(key.inherits)})`;
  if (key.derived !== undefined) return key.derived;
  if (key.default === undefined) return "none, it must be there";
  if (key.shape.kind === "object") return "those of its keys";
  return key.shape.kind === "map" ? "empty" : `\`${flow(key.default)}\``;
}

function exampleOf(name: string, example: unknown): string {
  return `${name.slice(name.lastIndexOf(".") + 1)}: ${flow(example)}`;
}

/** A value in one line of YAML. */
function flow(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}

/** The anchor that Markdown renderers give to a heading of this key. */
function anchorOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9_-]/g, "");
}

const INTRODUCTION = `<!-- Generated from src/ts/config/schema.ts by "deno task gen". Do not edit. -->

# Configuration

kakehi reads one YAML file: \`kakehi start -c kakehi.yaml\`. \`kakehi check kakehi.yaml\` says everything that is wrong with
it at once, each with its line and column; \`kakehi schema\` prints a JSON Schema of it, which editors use to complete and
check. Only \`listeners\` must be there; everything else has a default.

Example:
`;

const NOTATION = `## Notation

- A **duration** is a number and a unit: \`500ms\`, \`10s\`, \`5m\`, \`1h\`, \`7d\`. A number without a unit is refused.
- A **size** is a number of bytes, or a number and a unit: \`512\`, \`16KiB\`, \`1MiB\`, \`1GiB\` (powers of 1024), \`10kB\`,
  \`10MB\`, \`1GB\` (powers of 1000).
- **Names** of listeners and clusters are 1 to 63 letters, digits, \`-\`, \`_\` and \`.\`, and begin with a letter or digit.
- **Files** of certificates are given by an absolute path, or by their text in PEM.
- A list or a map without anything in it may be left empty. Anchors, aliases and merge keys (\`<<\`) of YAML can be used.
- In the names below, NAME, HEADER and STATUS stand for a name of your choice, and \`[]\` for an element of a list.

## Keys
`;
