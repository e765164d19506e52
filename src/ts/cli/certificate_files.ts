// Files that options name: the proxy reads them by itself, and not in the folder of whoever typed the command, so paths are
// made absolute; with --inline it is given what is in them instead.

import type { Arguments } from "./command.ts";
import { reasonOf } from "./change.ts";
import { isKeyDigest, isPem } from "../config/pem.ts";

/** Options that name a file of TLS, by noun. */
const FILE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  listener: ["tls-client-ca", "tls-client-crl"],
  cluster: ["tls-ca"],
  certificate: ["cert", "key", "ocsp"],
};

/** What `--inline` sends. */
const INLINE = ["cert", "key"];

/** The same arguments with absolute paths, or with the content of files. Throws when a file cannot be read. */
export async function withFiles(noun: string, read: Arguments): Promise<Arguments> {
  const values = { ...read.values };
  for (const name of FILE_OPTIONS[noun] ?? []) {
    const path = values[name];
    if (path === undefined || path === "" || isPem(path) || isKeyDigest(path)) continue;
    values[name] = read.flags.has("inline") && INLINE.includes(name) ? await content(name, path) : absolute(path);
  }
  return { ...read, values };
}

async function content(option: string, path: string): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(`--${option}: ${path}: cannot be read: ${reasonOf(error)}`);
  }
  if (isPem(text)) return text;
  throw new Error(`--${option}: ${path}: expected PEM, which alone can be sent with --inline`);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path.replace(/^(?:\.\/)+/, "")}`;
}
