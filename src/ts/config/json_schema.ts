// The JSON Schema (draft 2020-12) of the file, derived from the schema, for editors and for other languages. It accepts
// everything that the checker accepts; the checker refuses more, where a value has a form that patterns cannot say or
// depends on other values.

import { STATE } from "./schema.ts";
import type { Key, MapShape, ObjectShape, Shape, TextShape, WordShape } from "./shape.ts";
import { boundsOf } from "./reference.ts";
import { DURATION_PATTERN, SIZE_PATTERN } from "./units.ts";

export type JsonSchema = Record<string, unknown>;

export function jsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of kakehi",
    ...schemaOf(STATE),
  };
}

export function schemaOf(shape: Shape): JsonSchema {
  switch (shape.kind) {
    case "count":
      return { type: "integer", minimum: shape.min, maximum: shape.max };
    case "duration":
      return { type: "string", pattern: DURATION_PATTERN };
    case "size":
      return {
        anyOf: [{ type: "integer", minimum: shape.min, maximum: shape.max }, { type: "string", pattern: SIZE_PATTERN }],
      };
    case "flag":
      return { type: "boolean" };
    case "choice":
      return { type: "string", enum: [...shape.words] };
    case "text":
      return textSchema(shape);
    case "list":
      return { type: ["array", "null"], items: schemaOf(shape.of) };
    case "map":
      return mapSchema(shape);
    case "table":
      return { type: ["array", "null"], items: schemaOf(shape.item) };
    case "object":
      return objectSchema(shape);
    case "word":
      return { anyOf: [...wordSchemas(shape), schemaOf(shape.or)] };
    case "shorthand":
      return { anyOf: [schemaOf(shape.of.keys[shape.key]!.shape), schemaOf(shape.of)] };
    case "patch":
      return patchSchema(shape.of);
  }
}

function wordSchemas({ word, optional }: WordShape): JsonSchema[] {
  const schema = { type: typeof word, const: word };
  return optional ? [schema, { type: "null" }] : [schema];
}

function textSchema({ pattern }: TextShape): JsonSchema {
  return pattern === undefined ? { type: "string" } : { type: "string", pattern };
}

function mapSchema(shape: MapShape): JsonSchema {
  const names = shape.name.pattern === undefined ? {} : { propertyNames: { pattern: shape.name.pattern } };
  return { type: ["object", "null"], ...names, additionalProperties: schemaOf(shape.of) };
}

function objectSchema({ keys }: ObjectShape): JsonSchema {
  const entries = Object.entries(keys);
  const required = entries.filter(([, key]) => !mayBeLeftOut(key));
  const properties = Object.fromEntries(entries.map(([name, key]) => [name, keySchema(key)]));
  // An object all of whose keys may be left out may be left empty, too, which is null in YAML.
  if (required.length === 0) return { type: ["object", "null"], properties, additionalProperties: false };
  return { type: "object", properties, required: required.map(([name]) => name), additionalProperties: false };
}

function mayBeLeftOut(key: Key<unknown>): boolean {
  return key.default !== undefined || key.inherits !== undefined || key.derived !== undefined;
}

/** Any of the keys, each with null for its default; the same for objects and maps in it. */
function patchSchema({ keys }: ObjectShape): JsonSchema {
  const properties = Object.fromEntries(
    Object.entries(keys).map(([name, key]) => [name, { description: describe(key), ...changeSchema(key.shape) }]),
  );
  return { type: "object", properties, additionalProperties: false };
}

function changeSchema(shape: Shape): JsonSchema {
  return { anyOf: [{ type: "null" }, changedSchema(shape)] };
}

function changedSchema(shape: Shape): JsonSchema {
  if (shape.kind === "object") return patchSchema(shape);
  if (shape.kind === "map") return { ...mapSchema(shape), additionalProperties: changeSchema(shape.of) };
  if (shape.kind !== "word") return schemaOf(shape);
  return { anyOf: [...wordSchemas(shape), changedSchema(shape.or)] };
}

function keySchema(key: Key<unknown>): JsonSchema {
  const schema: JsonSchema = { description: describe(key), ...schemaOf(key.shape) };
  if (key.default !== undefined) schema.default = key.default;
  schema.examples = [key.example];
  return schema;
}

/** What the keywords cannot say is said in the description. */
function describe({ about, unit, inherits, derived, ...key }: Key<unknown>): string {
  const sentences = [about];
  if (unit !== undefined) sentences.push(`Unit: ${unit}.`);
  const bounds = boundsOf({ about, ...key });
  if (bounds !== "") sentences.push(`Bounds: ${bounds}.`);
  if (inherits !== undefined) sentences.push(`Default: that of ${inherits}.`);
  if (derived !== undefined) sentences.push(`Default: ${derived}.`);
  return sentences.join(" ");
}
