// Lists of objects as tables. What the proxy leaves out because it is the default is filled in from the schema, and a column
// in which nothing is said is not shown.

import { BACKEND, CLUSTER, LISTENER, ROUTE } from "../config/schema.ts";
import { CERTIFICATE } from "../config/schema_tls.ts";
import { key, object, type ObjectShape, text } from "../config/shape.ts";
import type { Noun } from "./objects.ts";
import { shown, table, visible } from "./output.ts";

type Row = Record<string, unknown>;

const SHAPES: Readonly<Record<Exclude<Noun, "settings">, ObjectShape>> = {
  listener: LISTENER,
  cluster: CLUSTER,
  backend: BACKEND,
  route: ROUTE,
  certificate: { kind: "object", keys: { ...CERTIFICATE.keys, ...object(toldOfCertificates()).keys } },
};

/** What a list of certificates has beside their keys. */
function toldOfCertificates() {
  const told = text("a text", String);
  const about = "Said by the certificate.";
  return { key_type: key(told, { about, example: "ecdsa" }), days_left: key(told, { about, example: 60 }) };
}

/** Columns that are shown although everything in them is the default. */
const ALWAYS = ["name", "address", "balance", "backends", "host", "path", "cluster", "weight"];

export function listText(noun: Noun, values: unknown): string {
  const rows = rowsOf(values);
  if (rows.length === 0) return `there are no ${noun}s`;
  if (noun === "settings") return "";
  const keys = SHAPES[noun].keys;
  const first = noun === "backend" ? ["cluster"] : noun === "route" ? [] : ["name"];
  const columns = [...first, ...Object.keys(keys)].filter((name) =>
    ALWAYS.includes(name) || rows.some((row) => name in row)
  );
  const cell = (row: Row, name: string) => {
    const value = cellText(row[name] ?? keys[name]?.default);
    return value.startsWith("-----BEGIN ") ? "PEM" : value;
  };
  return table(columns.map((name) => name.toUpperCase()), rows.map((row) => columns.map((name) => cell(row, name))));
}

/** What completes a name: names, addresses, or the hosts of routes. */
export function namesOf(noun: Noun, values: unknown): string[] {
  const key = noun === "backend" ? "address" : noun === "route" ? "host" : "name";
  return [...new Set(rowsOf(values).map((row) => String(row[key] ?? "*")))];
}

/** Objects by name, or a list. */
function rowsOf(values: unknown): Row[] {
  if (Array.isArray(values)) return values as Row[];
  return Object.entries((values ?? {}) as Record<string, Row>).map(([name, row]) => ({ name, ...row }));
}

function cellText(value: unknown): string {
  if (value === undefined || value === null || value === "") return "-";
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(elementText).join(", ");
  if (typeof value !== "object") return visible(String(value));
  const entries = Object.entries(value);
  return entries.length === 0 ? "-" : entries.map(([name, inner]) => `${visible(name)}: ${shown(inner)}`).join(", ");
}

/** A backend with a weight as the options of the command line have it. */
function elementText(value: unknown): string {
  if (typeof value !== "object" || value === null) return visible(String(value));
  const { address, weight } = value as Row;
  return address === undefined
    ? shown(value)
    : `${visible(String(address))}${weight === undefined ? "" : `=${weight}`}`;
}
