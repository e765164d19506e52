// Programs for an upgrade to try: the real one behind a shell script, another version of it (a copy of the sources with some
// lines changed), and files that are no such thing. All of them lie in the folder that the test gives.

import { fileURLToPath } from "node:url";
import { kakehiWords } from "./proxy.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A shell script that can be executed; `mode` for one that cannot. */
export async function writeScript(folder: string, name: string, text: string, mode = 0o755): Promise<string> {
  const path = `${folder}/${name}`;
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, mode);
  return path;
}

/** The words of a shell command that becomes this program, with the arguments of the script. */
export function becomeKakehi(): string {
  const [program, words] = kakehiWords();
  return `exec ${quoted([program, ...words])} "$@"`;
}

/** The program as it is, under a name of its own; `before` are lines of shell that run first. */
export function wrapped(folder: string, name: string, before = ""): Promise<string> {
  return writeScript(folder, name, `${before}\n${becomeKakehi()}`);
}

export interface Edit {
  /** From the root of the project. */
  file: string;
  /** Must be there exactly once. */
  from: string;
  to: string;
}

/** Another version of the program. Throws when an edit does not fit the sources any more. */
export async function otherVersion(folder: string, name: string, edits: readonly Edit[]): Promise<string> {
  const root = `${folder}/${name}-sources`;
  await Deno.mkdir(`${root}/dist`, { recursive: true });
  for (const file of ["deno.json", "deno.lock", "dist/core.wasm"]) await Deno.copyFile(ROOT + file, `${root}/${file}`);
  for (const part of ["src", "assembly"]) await copyFolder(ROOT + part, `${root}/${part}`);
  for (const { file, from, to } of edits) {
    const text = await Deno.readTextFile(`${root}/${file}`);
    if (text.split(from).length !== 2) throw new Error(`${file}: expected once ${JSON.stringify(from)}`);
    await Deno.writeTextFile(`${root}/${file}`, text.replace(from, () => to));
  }
  const words = [Deno.execPath(), "run", "-A", "--no-prompt", `${root}/src/ts/main.ts`];
  return await writeScript(folder, name, `exec ${quoted(words)} "$@"`);
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
