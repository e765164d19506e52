// Proves that imports go down only: each folder of src/ts, src/wasm and assembly imports from those that RULES lists for it, no
// folder imports itself through others, and only src/ts/sys opens libraries (`dlopen`). Prints each violation with its
// place and exits 1. Looks at the words of the sources, not at their meaning: see source_words.ts.

import { fileURLToPath } from "node:url";
import { join, normalize } from "node:path";
import { findImports, findWords, type Import } from "./source_words.ts";

export interface Violation {
  file: string;
  line: number;
  reason: string;
}

/** What may be imported besides a file's own folder. */
interface Rule {
  folders: string[];
  /** Single files of other folders. `types`: by `import type` only; `lazy`: by `import()` only. */
  files?: Record<string, "any" | "types" | "lazy">;
}

const ASSEMBLY_BASE = ["assembly/bytes", "assembly/memory", "assembly/abi"];
const WORKER_TYPES = { "src/ts/worker/protocol.ts": "types" } as const;
const WORKER_ENTRY = { "src/ts/worker/worker.ts": "lazy" } as const;

/**
 * The layers. The ABI is one file for both languages; the channel's types belong to both of its ends. Addresses and the
 * access log's lines are texts that the codec writes: one from bytes alone, the other from a message's fields too.
 */
export const RULES: Record<string, Rule> = {
  "src/ts/main": { folders: ts("cli"), files: WORKER_ENTRY },
  "src/ts/cli": { folders: ts("control", "config", "observe", "sys"), files: { ...WORKER_TYPES, ...WORKER_ENTRY } },
  "src/ts/control": { folders: ts("config", "net", "sys", "observe"), files: WORKER_TYPES },
  // the composition root of the data path: it makes what the layers below only use
  "src/ts/worker": {
    folders: [
      ...ts("proxy", "routing", "cluster", "http2", "config", "net", "loop", "sys", "observe"),
      "src/wasm",
      "assembly/abi",
    ],
  },
  "src/ts/proxy": {
    folders: [...ts("routing", "cluster", "http2", "net", "loop", "observe"), "src/wasm", "assembly/abi"],
  },
  "src/ts/cluster": { folders: [...ts("http2", "net", "loop", "observe"), "assembly/abi"] },
  "src/ts/http2": { folders: [...ts("net", "loop", "observe"), "src/wasm", "assembly/abi"] },
  "src/ts/net": { folders: ts("loop", "sys") },
  "src/ts/loop": { folders: ts("sys") },
  "src/ts/routing": { folders: [] },
  "src/ts/config": { folders: [] },
  "src/ts/observe": { folders: [] },
  "src/ts/sys": { folders: [] },
  "src/wasm": { folders: ["assembly/abi"] },
  "assembly/codec": {
    folders: [
      "assembly/http1",
      "assembly/hpack",
      "assembly/http2",
      "assembly/translate",
      "assembly/access_log",
      "assembly/address",
      ...ASSEMBLY_BASE,
    ],
  },
  "assembly/access_log": { folders: ["assembly/http1", ...ASSEMBLY_BASE] },
  "assembly/address": { folders: ASSEMBLY_BASE },
  // it writes fields with the encoder of the connection that http2 owns
  "assembly/translate": { folders: ["assembly/http1", "assembly/http2", "assembly/hpack", ...ASSEMBLY_BASE] },
  "assembly/http2": { folders: ["assembly/hpack", ...ASSEMBLY_BASE] },
  "assembly/http1": { folders: ["assembly/sha1", ...ASSEMBLY_BASE] },
  "assembly/hpack": { folders: ASSEMBLY_BASE, files: { "assembly/http1/fields.ts": "any" } },
  "assembly/sha1": { folders: [] },
  "assembly/bytes": { folders: ["assembly/memory", "assembly/abi"] },
  "assembly/memory": { folders: ["assembly/abi"] },
  "assembly/abi": { folders: [] },
};

const ROOTS = ["src", "assembly"];
const DLOPEN_FOLDER = "src/ts/sys";

function ts(...names: string[]): string[] {
  return names.map((name) => `src/ts/${name}`);
}

/** The folder a file counts to: src/ts/x, src/wasm, assembly/x. A file directly in src/ts or assembly counts as itself. */
export function folderOf(file: string): string {
  const depth = file.startsWith("src/ts/") ? 3 : 2;
  return file.split("/").slice(0, depth).join("/").replace(/\.ts$/, "");
}

interface Edge {
  from: string;
  to: string;
  file: string;
  line: number;
}

/** Checks sources given as path (relative to the project, with `/`) → text. */
export function checkImports(sources: Map<string, string>): Violation[] {
  const violations: Violation[] = [];
  const edges: Edge[] = [];
  for (const [file, text] of sources) {
    const folder = folderOf(file);
    if (!RULES[folder]) violations.push({ file, line: 1, reason: `${folder} has no rule in scripts/check_imports.ts` });
    if (folder !== DLOPEN_FOLDER) {
      for (const line of findWords(text, "dlopen")) {
        violations.push({ file, line, reason: `only ${DLOPEN_FOLDER} opens libraries (dlopen)` });
      }
    }
    for (const found of findImports(text)) {
      if (!found.specifier.startsWith(".")) continue; // npm: and node: are what deno.json and the lock file allow.
      const target = resolveImport(file, found.specifier);
      if (!sources.has(target)) {
        violations.push({ file, line: found.line, reason: `${target} is no source file of src or assembly` });
        continue;
      }
      const reason = refusal(folder, target, found);
      if (reason) violations.push({ file, line: found.line, reason });
      const to = folderOf(target);
      if (to !== folder && !found.typesOnly) edges.push({ from: folder, to, file, line: found.line });
    }
  }
  return [...violations, ...findCycles(edges)];
}

/** AssemblyScript writes imports without the extension. */
function resolveImport(file: string, specifier: string): string {
  const path = normalize(join(file, "..", specifier));
  return file.startsWith("assembly/") && !path.endsWith(".ts") ? `${path}.ts` : path;
}

function refusal(folder: string, target: string, found: Import): string | undefined {
  const targetFolder = folderOf(target);
  const rule = RULES[folder];
  if (!rule || targetFolder === folder || rule.folders.includes(targetFolder)) return undefined;
  switch (rule.files?.[target]) {
    case "any":
      return undefined;
    case "types":
      return found.typesOnly ? undefined : `${folder} may import ${target} by \`import type\` only`;
    case "lazy":
      return found.lazy ? undefined : `${folder} may import ${target} by \`import()\` only`;
  }
  const files = Object.keys(rule.files ?? {});
  const allowed = [...rule.folders, ...files].join(", ") || "nothing";
  return `${folder} must not import ${targetFolder} (${target}); it may import ${allowed}`;
}

/** One violation for each cycle between folders that a depth-first walk meets, at the import that closes it. */
function findCycles(edges: Edge[]): Violation[] {
  const violations: Violation[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (folder: string) => {
    path.push(folder);
    const seen = new Set<string>();
    for (const { to, file, line } of edges.filter((edge) => edge.from === folder)) {
      if (seen.has(to)) continue;
      seen.add(to);
      const start = path.indexOf(to);
      if (start >= 0) violations.push({ file, line, reason: `a cycle: ${[...path.slice(start), to].join(" → ")}` });
      else if (!done.has(to)) visit(to);
    }
    path.pop();
    done.add(folder);
  };
  for (const { from } of edges) if (!done.has(from)) visit(from);
  return violations;
}

function* filesUnder(root: string, folder: string): Generator<string> {
  const entries = [...Deno.readDirSync(`${root}${folder}`)].sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, isDirectory } of entries) {
    if (isDirectory) yield* filesUnder(root, `${folder}/${name}`);
    else if (name.endsWith(".ts")) yield `${folder}/${name}`;
  }
}

if (import.meta.main) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const sources = new Map<string, string>();
  for (const folder of ROOTS) {
    for (const file of filesUnder(root, folder)) sources.set(file, Deno.readTextFileSync(root + file));
  }
  const violations = checkImports(sources);
  for (const { file, line, reason } of violations) console.error(`${file}:${line}: ${reason}`);
  if (violations.length) {
    console.error(`check_imports: ${violations.length} violations`);
    Deno.exit(1);
  }
  console.log(`check_imports: ${sources.size} files, imports go down only`);
}
