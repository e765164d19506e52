// Which OpenSSL this process uses: the host's, or, where it has none, the copy that a single binary may carry
// (scripts/compile.ts). The copy is written to an anonymous file and loaded from there, before the sandbox closes the file
// system; from then on the dynamic linker knows it by the same names as the host's, so whoever opens the libraries later
// need not know where they came from.

import { closeFd, memoryFile } from "./fds.ts";

/** The libraries of a binary that carries them: libcrypto, libssl. Not declared elsewhere. */
declare const KAKEHI_OPENSSL: (() => [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]) | undefined;

const CRYPTO = "libcrypto.so.3";
const SSL = "libssl.so.3";
const VERSION = { OpenSSL_version: { parameters: ["i32"], result: "pointer" } } as const;

export interface OpensslInUse {
  /** E.g. "OpenSSL 3.0.19 27 Jan 2026". */
  version: string;
  from: "host" | "binary";
}

let inUse: OpensslInUse | undefined;

/** undefined: this process has not needed it. */
export function opensslInUse(): OpensslInUse | undefined {
  return inUse;
}

/** Names for the dynamic linker, by which both can be opened. Throws where there is no OpenSSL, and says why. */
export function opensslLibraries(): { ssl: string; crypto: string } {
  inUse ??= load();
  return { ssl: SSL, crypto: CRYPTO };
}

function load(): OpensslInUse {
  try {
    return { version: open(CRYPTO, SSL), from: "host" };
  } catch (error) {
    const reason = `TLS needs OpenSSL 3 (${SSL} and ${CRYPTO}): ${(error as Error).message}`;
    if (typeof KAKEHI_OPENSSL !== "function") throw new Error(reason);
    return { version: loadCarried(KAKEHI_OPENSSL(), reason), from: "binary" };
  }
}

/** Libraries stay open, since nobody closes them. libcrypto comes first: libssl finds it by its name then. */
function open(crypto: string, ssl: string): string {
  const { symbols } = Deno.dlopen(crypto, VERSION);
  Deno.dlopen(ssl, {});
  return new Deno.UnsafePointerView(symbols.OpenSSL_version(0)!).getCString();
}

function loadCarried(libraries: readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>], before: string): string {
  const [crypto, ssl] = libraries.map((content, at) => memoryFile(at === 0 ? CRYPTO : SSL, content));
  try {
    return open(`/proc/self/fd/${crypto}`, `/proc/self/fd/${ssl}`);
  } catch (error) {
    throw new Error(`${before}; and the copy in this binary cannot be loaded: ${(error as Error).message}`);
  } finally {
    closeFd(crypto!);
    closeFd(ssl!);
  }
}
