// Stories of header compression (the public collection hpack-test-case): lists of fields as clients and servers sent
// them, plain and as encoded by other implementations. Three of them lie in tests/fixtures/hpack; the rest is looked for in
// KAKEHI_HPACK_STORIES, or beside the project, and left out where it is not.

import { fileURLToPath } from "node:url";
import type { Field } from "./hpack.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/hpack", import.meta.url));
const COLLECTION = Deno.env.get("KAKEHI_HPACK_STORIES") ??
  fileURLToPath(new URL("../../../shared/data/hpack", import.meta.url));

/** The folder without wire form. */
export const RAW = "raw-data";
export const ENCODERS = ["nghttp2", "nghttp2-change-table-size", "python-hpack"] as const;

export interface StoryCase {
  fields: Field[];
  wire: string;
  /** In force from this case on. */
  tableSize: number | undefined;
}

export interface Story {
  name: string;
  cases: StoryCase[];
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Whether the whole collection is there; says so when it is not. */
export function hasCollection(): boolean {
  const found = isFolder(COLLECTION);
  if (!found) console.warn(`left out: the collection of HPACK stories is not in ${COLLECTION}`);
  return found;
}

/** The stories of one encoder, or RAW: all of the collection, or those few that lie among the fixtures. */
export function loadStories(encoder: string, from: "collection" | "fixtures"): Story[] {
  const folder = `${from === "collection" ? COLLECTION : FIXTURES}/${encoder}`;
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => loadStory(`${folder}/${name}`, `${encoder}/${name}`));
}

interface RawCase {
  headers: Record<string, string>[];
  wire?: string;
  header_table_size?: number;
}

function loadStory(path: string, name: string): Story {
  const { cases } = JSON.parse(Deno.readTextFileSync(path)) as { cases: RawCase[] };
  return {
    name,
    cases: cases.map(({ headers, wire = "", header_table_size: tableSize }) => ({
      fields: headers.flatMap((header) => Object.entries(header).map(([name, value]) => ({ name, value }))),
      wire,
      tableSize,
    })),
  };
}
