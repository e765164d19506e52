// One file of the bundle, turned from an ES module into a function: V8 compiles a function from a string that Deno never sees,
// while of every module that it loads Deno makes a syntax tree first, which costs more than everything else at start.
//
// The bundler writes imports as statements of their own, one `export{…}` at the end, and leaves nothing else of modules but
// `import("./…")` and `import.meta`; that, and nothing more general, is what this reads. What a chunk exports is handed on as it
// is when its code has run: an exported variable must not be assigned later.

/** A chunk as the bundler wrote it. */
export interface Chunk {
  name: string;
  text: string;
}

/**
 * Packages whose code runs when an object that they export is first asked for something, each bundled as one chunk named
 * `NAME.js`; the sources import them as any other. Those who never need one do not pay for it.
 */
export const LAZY_PACKAGES = ["re2js"];

interface Parts {
  imports: { clause: string; specifier: string }[];
  body: string;
  /** Exported name → name in the chunk. */
  exports: Map<string, string>;
  /** Comments that must not be lost. */
  notices: string;
}

/** What a chunk's function is given: parameters in this order. */
export const PARAMETERS = [
  "kakehiLoad",
  "kakehiImport",
  "kakehiLater",
  "kakehiBuiltin",
  "KAKEHI_CORE",
  "KAKEHI_OPENSSL",
];

/** The number of a chunk, by its name; throws where there is none. */
type NumberOf = (name: string) => number;

const IMPORT = /(^|[;}\n])\s*import\s*(?:([\w$*{},\s]+?)\s*from\s*)?"([^"]+)";/g;
const DYNAMIC_IMPORT = /\bimport\("([^"]*)"\)/g;
const EXPORT_AND_NOTICES = /export\s*\{([^{}]*)\};?\s*((?:\/\*![^]*?\*\/\s*)*)$/;

/** The text of a function whose result is an object with the chunk's exports. */
export function chunkFunction(chunk: Chunk, numberOf: NumberOf): string {
  const { imports, body, exports, notices } = split(chunk);
  const result = [...exports].map(([outside, inside]) => `${outside}:${inside}`).join(",");
  const code = `${imports.map((found) => importCall(found, numberOf)).join("")}${redirect(body, numberOf)}`;
  return `(function(${PARAMETERS}){"use strict";${code.replaceAll(/\bimport\.meta\b/g, "{}")}
return{${result}}})${notices}
//# sourceURL=kakehi/${shownName(chunk, numberOf)}`;
}

/** The entry chunk as module code that runs where the parameters are in scope. What it exports is nobody's. */
export function entryCode(chunk: Chunk, numberOf: NumberOf): string {
  const { imports, body } = split(chunk);
  return imports.map((found) => importCall(found, numberOf)).join("") + redirect(body, numberOf);
}

/** For traces: without the bundler's hash, which depends on the folder that the sources lie in. */
function shownName(chunk: Chunk, numberOf: NumberOf): string {
  const name = chunk.name.replace(/(-[A-Z0-9]{8})?\.js$/, "");
  return name === "chunk" ? `chunk${numberOf(chunk.name)}.js` : `${name}.js`;
}

/** Names of the chunks that must run before this one. */
export function importedChunks(chunk: Chunk): string[] {
  return split(chunk).imports.map(({ specifier }) => specifier).filter(isChunk).map(chunkName);
}

/** Names of all chunks that this one may load, in the order of the text. */
export function reachedChunks(chunk: Chunk): string[] {
  const { body } = split(chunk);
  const dynamic = [...body.matchAll(DYNAMIC_IMPORT)].map((found) => found[1]!).filter(isChunk).map(chunkName);
  return [...importedChunks(chunk), ...dynamic];
}

function split({ name, text }: Chunk): Parts {
  const exported = EXPORT_AND_NOTICES.exec(text);
  const imports: Parts["imports"] = [];
  let body = text.slice(0, exported?.index);
  // Again, because two statements in a row share the character between them.
  for (let found = -1; found !== imports.length;) {
    found = imports.length;
    body = body.replaceAll(IMPORT, (_, before: string, clause: string | undefined, specifier: string) => {
      imports.push({ clause: clause ?? "", specifier });
      return before;
    });
  }
  const left = /(?:^|[;}\n])\s*(?:export\b|import\b(?!\s*[(.])).{0,40}/.exec(body);
  if (left) throw new Error(`chunk ${name} of the bundle has an import or export that is not understood: ${left[0]}`);
  const pairs = (exported?.[1] ?? "").split(",").filter((pair) => pair.trim() !== "").map(renaming);
  const exports = new Map(pairs.map(([inside, outside]) => [outside, inside]));
  return { imports, body, exports, notices: exported?.[2]?.trim() ?? "" };
}

/** "a as b" → ["a", "b"]; "a" → ["a", "a"]. */
function renaming(pair: string): [string, string] {
  const [from = "", to = from] = pair.trim().split(/\s+as\s+/);
  return [from, to];
}

function importCall({ clause, specifier }: Parts["imports"][number], numberOf: NumberOf): string {
  if (clause === "") return `${moduleOf(specifier, numberOf)};`;
  const all = /^\*\s*as\s+([\w$]+)$/.exec(clause);
  if (all) return `const ${all[1]}=${moduleOf(specifier, numberOf)};`;
  const names = /^\{([^{}]*)\}$/.exec(clause)?.[1] ?? `default as ${clause}`;
  const pairs = names.split(",").map(renaming);
  if (LAZY_PACKAGES.includes(specifier)) {
    const number = numberOf(`${specifier}.js`);
    return pairs.map(([outside, inside]) => `const ${inside}=kakehiLater(${number},"${outside}");`).join("");
  }
  return `const{${pairs.map(([outside, inside]) => `${outside}:${inside}`)}}=${moduleOf(specifier, numberOf)};`;
}

function moduleOf(specifier: string, numberOf: NumberOf): string {
  if (isChunk(specifier)) return `kakehiLoad(${numberOf(chunkName(specifier))})`;
  return specifier.startsWith("node:") ? `kakehiBuiltin(${JSON.stringify(specifier)})` : fail(specifier);
}

function redirect(body: string, numberOf: NumberOf): string {
  return body.replaceAll(DYNAMIC_IMPORT, (call, specifier: string) => {
    if (isChunk(specifier)) return `kakehiImport(${numberOf(chunkName(specifier))})`;
    return specifier.startsWith("node:") ? call : fail(specifier);
  });
}

function fail(specifier: string): never {
  throw new Error(`the bundle imports ${specifier}, which is in none of its chunks`);
}

function isChunk(specifier: string): boolean {
  return specifier.startsWith("./");
}

function chunkName(specifier: string): string {
  return specifier.slice("./".length);
}
