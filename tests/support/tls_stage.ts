// A proxy that speaks TLS, for tests: listeners `web` and `sec`, certificates of both kinds of key for a.test, one for *.b.test
// and one for x.b.test, and a backend that keeps the heads it was asked with. And the clients that speak to it.

import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { CertificateFolder, type Pair } from "./certificates.ts";
import { Peer } from "./peer.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { say } from "./spoken_program.ts";

export interface TlsStage extends AsyncDisposable {
  proxy: Proxy;
  folder: CertificateFolder;
  authority: Pair;
  /** What the backend was asked: heads of requests. */
  heads: Headers[];
}

export interface TlsStageOptions {
  /** Options of `sec`, which speaks HTTP/1.1 alone; `{folder}` is that of the certificates. */
  tls?: string;
  /** Further lines of YAML: listeners, and anything at the top. */
  listeners?: string;
  top?: string;
  routes?: string;
  workers?: number;
  folder?: CertificateFolder;
  env?: Record<string, string>;
}

/** `folder`: of the caller, who also throws it away; the stage makes its own without. */
export async function serveTls(options: TlsStageOptions = {}): Promise<TlsStage> {
  const folder = options.folder ?? new CertificateFolder();
  const authority = folder.make("ca", { authority: true });
  folder.make("ecdsa", { names: ["a.test", "localhost"], subject: "/CN=a.test", issuer: authority });
  folder.make("rsa", { names: ["a.test", "rsa.test"], subject: "/CN=a.test", issuer: authority, key: "rsa" });
  folder.make("wild", { names: ["*.b.test"], subject: "/CN=*.b.test", issuer: authority });
  folder.make("exact", { names: ["x.b.test"], subject: "/CN=x.b.test", issuer: authority });
  const heads: Headers[] = [];
  const backend = serveBackend(heads);
  const end = async () => {
    await backend.shutdown();
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
  };
  try {
    const proxy = await startProxy(configuration(folder.path, backend.addr.port, options), options.env);
    const stop = async () => {
      await proxy[Symbol.asyncDispose]();
      await end();
    };
    return { proxy, folder, authority, heads, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await end();
    throw error;
  }
}

function configuration(folder: string, port: number, options: TlsStageOptions): string {
  const { tls = "default_certificate: ecdsa", listeners = "", top = "", workers = 1, routes } = options;
  // most tests of TLS speak HTTP/1.1 themselves, and clients such as curl would rather not
  const alpn = tls.includes("alpn:") ? "" : "alpn: [http/1.1], ";
  const certificate = (name: string) =>
    `  - { name: ${name}, cert: ${folder}/${name}.pem, key: ${folder}/${name}.key }`;
  return `workers: ${workers}
${top}
listeners:
  web: { address: "127.0.0.1:0", protocol: http }
  sec: { address: "127.0.0.1:0", protocol: https, tls: { ${alpn}${tls.replaceAll("{folder}", folder)} } }
${listeners}
clusters: { app: { backends: ["127.0.0.1:${port}"] } }
routes:
${routes ?? "  - { cluster: app }"}
certificates:
${["ecdsa", "rsa", "wild", "exact"].map(certificate).join("\n")}
access_log: { path: "{folder}/access.log", format: json }
`;
}

/** Answers `hello`, the number of bytes of a body, or 1 MiB at /large. */
function serveBackend(heads: Headers[]): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    heads.push(request.headers);
    if (new URL(request.url).pathname === "/large") return new Response(new Uint8Array(1 << 20).fill(0x61));
    return new Response(request.body ? String((await request.arrayBuffer()).byteLength) : "hello");
  });
}

/** A request behind whose answer the connection ends. */
export const GET = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

export function sClient(stage: TlsStage, args: string[], input = ""): Promise<string> {
  const to = ["s_client", "-connect", `127.0.0.1:${stage.proxy.port("sec")}`, "-CAfile", stage.authority.cert];
  return say("openssl", [...to, ...args], input);
}

export function curl(stage: TlsStage, host: string, ...args: string[]): Promise<string> {
  const port = stage.proxy.port("sec");
  const where = ["-s", "--cacert", stage.authority.cert, "--resolve", `${host}:${port}:127.0.0.1`];
  return say("curl", [...where, ...args, `https://${host}:${port}/`]);
}

const HANDSHAKE_MS = 10_000;

/** A client of node's, once its handshake is complete; rejects with the reason when that fails. */
export function connectSecurely(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connectTls({ host: "127.0.0.1", port, ...options });
  const late = () => socket.destroy(new Error(`no handshake within ${HANDSHAKE_MS} ms`));
  const timer = setTimeout(late, HANDSHAKE_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.once("error", reject);
  socket.once("secureConnect", () => {
    clearTimeout(timer);
    socket.off("error", reject);
    resolve(socket);
  });
  return promise;
}

export async function connectPeer(port: number, options: ConnectionOptions): Promise<Peer> {
  return new Peer(await connectSecurely(port, options));
}
