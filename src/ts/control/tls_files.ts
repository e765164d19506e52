// What the TLS options of listeners and clusters name beside certificates: bundles of authorities and revocation lists,
// which workers cannot read themselves, and lists of ciphers and groups, which only OpenSSL can judge. All of it is read and
// checked here before a worker hears of it.

import { isPem } from "../config/pem.ts";
import type { ClusterState, ListenerState } from "../config/state.ts";
import { checkBundle, checkNameLists } from "../sys/x509.ts";
import type { SystemAuthorities } from "../worker/protocol.ts";
import { reasonOf } from "./material.ts";
import { pemBlocks } from "./pem_file.ts";
import { systemAuthorities } from "./system_authorities.ts";

/** What is wrong with the TLS options of an object. */
export class TlsOptionError extends Error {
  override name = "TlsOptionError";

  constructor(
    readonly object: string,
    readonly key: string,
    readonly place: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(`${object}: ${key}: ${place && `${place}: `}expected ${expected}, got ${got}`);
  }
}

const SYSTEM_AUTHORITIES: SystemAuthorities = "system";
const FILE_BYTES_MAX = 4 * 1024 * 1024;

interface Reference {
  key: string;
  path: string;
  crl: boolean;
}

/** Checks the options of a listener; gives the content of its files by path. Throws a TlsOptionError. */
export function readListenerFiles(name: string, { tls }: ListenerState): [path: string, text: string][] {
  if (!tls) return [];
  const object = `listener ${name}`;
  const problem = checkNameLists(tls);
  if (problem) {
    const { key, reason } = problem;
    throw new TlsOptionError(
      object,
      `tls.${key}`,
      "",
      "names that OpenSSL knows",
      `${JSON.stringify(tls[key])} (${reason})`,
    );
  }
  return readAll(object, [
    { key: "tls.client_ca", path: tls.client_ca, crl: false },
    { key: "tls.client_crl", path: tls.client_crl, crl: true },
  ]);
}

/** The same for a cluster; what the system trusts goes by SYSTEM_AUTHORITIES. */
export function readClusterFiles(name: string, { tls }: ClusterState): [path: string, text: string][] {
  if (!tls) return [];
  const object = `cluster ${name}`;
  if (tls.ca !== "" || !tls.verify) return readAll(object, [{ key: "tls.ca", path: tls.ca, crl: false }]);
  try {
    return [[SYSTEM_AUTHORITIES, systemAuthorities()]];
  } catch (error) {
    throw new TlsOptionError(object, "tls.ca", "", "certificates that the system trusts", (error as Error).message);
  }
}

/** The paths that the options of a listener or a cluster name. */
export function pathsOf({ tls }: ListenerState | ClusterState): string[] {
  if (!tls) return [];
  const values = "ca" in tls ? [tls.ca] : [tls.client_ca, tls.client_crl];
  return values.filter((value) => value !== "" && !isPem(value));
}

/** What stands for these files among those that workers are given. */
export function fileKeysOf(object: ListenerState | ClusterState): string[] {
  const { tls } = object;
  const trustsSystem = tls !== null && "ca" in tls && tls.ca === "" && tls.verify;
  return trustsSystem ? [SYSTEM_AUTHORITIES] : pathsOf(object);
}

function readAll(object: string, references: readonly Reference[]): [string, string][] {
  return references.filter(({ path }) => path !== "").flatMap((reference) => {
    const text = isPem(reference.path) ? reference.path : readText(object, reference);
    checkText(object, reference, text);
    return isPem(reference.path) ? [] : [[reference.path, text] as [string, string]];
  });
}

function readText(object: string, { key, path }: Reference): string {
  try {
    if (Deno.statSync(path).size <= FILE_BYTES_MAX) return Deno.readTextFileSync(path);
  } catch (error) {
    throw new TlsOptionError(object, key, path, "a file that can be read", reasonOf(error));
  }
  throw new TlsOptionError(object, key, path, `a file of at most ${FILE_BYTES_MAX >> 20} MiB`, "a longer one");
}

function checkText(object: string, { key, path, crl }: Reference, text: string): void {
  const place = isPem(path) ? "" : path;
  const expected = crl ? "revocation lists in PEM" : "certificates in PEM";
  const blocks = pemBlocks(text).filter(({ label }) => label === (crl ? "X509 CRL" : "CERTIFICATE"));
  if (blocks.length === 0) throw new TlsOptionError(object, key, place, expected, "none");
  const problem = checkBundle(blocks.map(({ der }) => der), crl);
  if (!problem) return;
  throw new TlsOptionError(
    object,
    key,
    place,
    expected,
    `block ${problem.index + 1}, which is none (${problem.reason})`,
  );
}
