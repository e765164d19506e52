// both_versions.cjs as a process of its own: a backend that says in which version of HTTP it was asked.

import { fileURLToPath } from "node:url";
import type { Pair } from "./certificates.ts";

/** What an answer says. */
export interface AskedIn {
  version: "1.1" | "2.0";
  /** false: HTTP/1.1 without ALPN; "h2c": HTTP/2 without TLS. */
  alpn?: string | false;
  /** Numbers of connections, from 1 on. */
  connection: number;
}

export interface BothVersions extends AsyncDisposable {
  plain: number;
  /** 0 without a certificate. */
  secure: number;
}

export async function startBothVersions(certificate?: Pair): Promise<BothVersions> {
  const script = fileURLToPath(new URL("both_versions.cjs", import.meta.url));
  const args = [script, ...certificate ? [certificate.cert, certificate.key] : []];
  const child = new Deno.Command("node", { args, stdin: "piped", stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const [plain = 0, secure = 0] = JSON.parse(new TextDecoder().decode(value)) as number[];
  return {
    plain,
    secure,
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await child.status;
    },
  };
}
