// pairs.cjs as a process, with a proxy between its two ends: listeners without TLS and with, on which clients speak HTTP/1.1 or
// HTTP/2, and a cluster for each way to speak to the backend, chosen by the field x-to.

import { fileURLToPath } from "node:url";
import { CertificateFolder } from "./certificates.ts";
import { type Proxy, startProxy } from "./proxy.ts";

/** What the backend does: in this order, as far as it is told. */
export interface Doing {
  /** Answers without having read the body. */
  early?: boolean;
  afterMs?: number;
  /** How many times 103 comes before. */
  hints?: number;
  status?: number;
  fields?: [string, string][];
  /** Gives back the body that comes. */
  echo?: boolean;
  size?: number;
  /** Says how long its body is. */
  framing?: "length";
  /** What it says instead of the truth. */
  says?: number;
  trailers?: [string, string][];
  /** Where it ends the connection, or of HTTP/2 the stream. */
  cut?: "before" | "head" | "body";
}

export interface Exchange {
  name: string;
  method?: string;
  path: string;
  fields?: [string, string][];
  body?: { size: number; framing: "length" | "stream" };
  trailers?: [string, string][];
  expects?: boolean;
  /** The body does not end. */
  keepsOpen?: boolean;
  /** When the client gives up. */
  resets?: "at once" | "head" | "body";
  todo?: Doing;
  /** When it is given up; ten seconds without. */
  lateMs?: number;
}

export interface Body {
  bytes: number;
  /** MD5. */
  hash: string;
}

/** What one side has seen of a message of the other. */
export interface Seen {
  version: string;
  method: string;
  path: string;
  authority: string;
  fields: [string, string][];
  body?: Body;
  trailers?: [string, string][];
}

export interface Got {
  interim: [number, [string, string][]][];
  status?: number;
  fields?: [string, string][];
  body?: Body;
  trailers?: [string, string][];
  /** The answer did not come whole. */
  isCut?: boolean;
  /** It did not come in ten seconds. */
  isLate?: boolean;
  /** A client that waits to be asked for its body: whether it was. */
  wasAsked?: boolean;
}

export interface Result {
  got: Got;
  /** null: the backend has not been asked. */
  seen: Seen | null;
}

export interface Way {
  /** What the client speaks, and what the backend. */
  client: 1 | 2;
  backend: 1 | 2;
  tls: boolean;
}

export const WAYS: Way[] = [false, true].flatMap((tls) =>
  ([1, 2] as const).flatMap((client) => ([1, 2] as const).map((backend) => ({ client, backend, tls })))
);

export const nameOf = ({ client, backend, tls }: Way) => `HTTP/${client} to HTTP/${backend}${tls ? " by TLS" : ""}`;

export interface Pairs extends AsyncDisposable {
  proxy: Proxy;
  /** `sessions`: connections of a client of HTTP/2. */
  run(way: Way, exchanges: Exchange[], atOnce?: number, sessions?: number): Promise<Result[]>;
  /** MD5 of a body. */
  hash(size: number): Promise<string>;
}

/** `cluster`: further options of each cluster; `top`: further lines. */
export async function startPairs(cluster = "", top = ""): Promise<Pairs> {
  const folder = new CertificateFolder();
  const issuer = folder.make("ca", { authority: true });
  const { cert, key } = folder.make("leaf", { names: ["a.test", "localhost"], issuer });
  const script = fileURLToPath(new URL("pairs.cjs", import.meta.url));
  const command = new Deno.Command("node", { args: [script, cert, key, issuer.cert], stdin: "piped", stdout: "piped" });
  const child = command.spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(byLine()).getReader();
  const writer = child.stdin.getWriter();
  const ask = async (task: object) => {
    await writer.write(new TextEncoder().encode(JSON.stringify(task) + "\n"));
    return JSON.parse((await lines.read()).value!);
  };
  const end = async () => {
    await writer.close();
    await child.status;
    await lines.cancel();
    await folder[Symbol.asyncDispose]();
  };
  try {
    const ports: number[] = JSON.parse((await lines.read()).value!);
    const proxy = await startProxy(configuration(ports, { cert, key, ca: issuer.cert }, cluster, top));
    return {
      proxy,
      run({ client, backend, tls }, exchanges, atOnce = 1, sessions = 1) {
        const url = tls ? `https://127.0.0.1:${proxy.port("sec")}` : `http://127.0.0.1:${proxy.port("web")}`;
        const to: [string, string] = ["x-to", `${tls ? "tls-" : ""}${backend}`];
        const all = exchanges.map((one) => ({ ...one, fields: [...one.fields ?? [], to] }));
        return ask({ version: client, url, exchanges: all, atOnce, sessions });
      },
      hash: (size) => ask({ hash: size }),
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

function configuration(ports: number[], files: { cert: string; key: string; ca: string }, more: string, top: string) {
  const names = ["1", "2", "tls-1", "tls-2"];
  const protocols = ["http/1.1", "h2c", "http/1.1", "h2"];
  const tls = `, tls: { ca: ${files.ca} }`;
  const clusters = names.map((name, at) =>
    `  "${name}": { backends: ["localhost:${ports[at]}"], protocol: ${protocols[at]}${at > 1 ? tls : ""}${more} }`
  );
  const routes = names.map((name) => `  - { headers: { x-to: "${name}" }, cluster: "${name}" }`);
  return `listeners:
  web: { address: "127.0.0.1:0", h2c: true }
  sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: leaf } }
clusters:
${clusters.join("\n")}
routes:
${routes.join("\n")}
certificates: [{ name: leaf, cert: ${files.cert}, key: ${files.key} }]
${top}
`;
}

function byLine(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(text, controller) {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      for (const part of parts) controller.enqueue(part);
    },
  });
}
