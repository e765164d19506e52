// Clients of HTTP/2 that are not ours, over TLS with ALPN, and what they make of a backend that speaks HTTP/1.1: a browser with a
// page of a hundred resources, curl, nghttp, h2load, and node with bodies and trailers both ways.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { bodyBytes } from "../support/bodies.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { readLoaded, RESOURCES, servePages } from "../support/h2_pages.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const KIB = 1024;
const noTools = requireTools("openssl", "curl", "nghttp", "h2load", "node");
const noBrowser = requireTools("openssl", "chromium");

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  url: string;
  authority: string;
  /** Lines of the access log, which is written each second. */
  logged(): Promise<{ target: string; protocol: string; status: number }[]>;
}

async function serve(backend: string, server: Server): Promise<Stage> {
  const folder = new CertificateFolder();
  const authority = folder.make("ca", { authority: true });
  folder.make("one", { names: ["localhost", "127.0.0.1"], issuer: authority });
  const proxy = await startProxy(`
listeners: { sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: one } } }
clusters: { app: { backends: ["${backend}"] } }
routes: [{ cluster: app }]
certificates: [{ name: one, cert: ${folder.path}/one.pem, key: ${folder.path}/one.key }]
access_log: { path: "{folder}/access.log", format: json }
`);
  return {
    proxy,
    url: `https://localhost:${proxy.port("sec")}`,
    authority: authority.cert,
    async logged() {
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      const lines = Deno.readTextFileSync(`${proxy.folder}/access.log`).trim().split("\n");
      return lines.map((line) => JSON.parse(line));
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, code } = await new Deno.Command(program, { args, stdin: "null" }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${text.decode(stderr)}${text.decode(stdout)}`);
  return text.decode(stdout);
}

Deno.test({
  name: "a browser loads a page with a hundred resources, all of them over HTTP/2",
  ignore: noBrowser,
  async fn() {
    const { address, server } = await servePages();
    await using stage = await serve(address, server);
    const profile = await Deno.makeTempDir({ prefix: "kakehi-browser-" });
    try {
      const options = ["--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--dump-dom"];
      const text = await run("chromium", ...options, `--user-data-dir=${profile}`, `${stage.url}/`);
      const { images, scripts, sheets, protocols } = readLoaded(text);
      assertEquals([images, scripts, sheets], [40, 30, 30]);
      assertEquals(protocols, { h2: RESOURCES + 1 });
    } finally {
      // processes of the browser may still be writing into it
      await Deno.remove(profile, { recursive: true }).catch(() => {});
    }
    const logged = await stage.logged();
    assertEquals(logged.filter(({ status }) => status === 200).length, RESOURCES + 1);
    assertEquals([...new Set(logged.map(({ protocol }) => protocol))], ["HTTP/2.0"]);
    const counters = await stage.proxy.counters();
    assertEquals([counters.of("h2.streams.malformed"), counters.all("h2.abuse.")], [0, {}]);
    assert(counters.of("h2.connections") <= 3, `${counters.of("h2.connections")} connections`);
  },
});

/** `/echo` gives back body and trailers, `/size/N` a body, anything else its path. */
async function startBackend(): Promise<Server> {
  const server = createServer((request, response) => {
    const size = Number(request.url!.match(/^\/size\/(\d+)$/)?.[1] ?? -1);
    if (size >= 0) response.end(bodyBytes(0, size));
    else if (request.url === "/echo") {
      response.setHeader("trailer", "x-got");
      request.on("data", (part) => response.write(part));
      request.on("end", () => {
        response.addTrailers({ "x-got": request.trailers["x-sent"] ?? "nothing" });
        response.end();
      });
    } else response.end(request.url);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve);
  await promise;
  return server;
}

Deno.test({
  name: "curl, nghttp and h2load over TLS",
  ignore: noTools,
  async fn() {
    const server = await startBackend();
    await using stage = await serve(`127.0.0.1:${(server.address() as AddressInfo).port}`, server);
    const { url } = stage;
    const curl = (...args: string[]) => run("curl", "-sSf", "--cacert", stage.authority, ...args);
    assertEquals(await curl("--http2", "-w", " %{http_version}", `${url}/a`), "/a 2");
    assertEquals(await curl("--http2", "--parallel", ...[1, 2, 3].map((n) => `${url}/p${n}`)).then((s) => s.length), 9);
    const big = await Deno.makeTempFile({ prefix: "kakehi-h2-" });
    try {
      await Deno.writeFile(big, bodyBytes(0, 900_000));
      const upload = `curl -sSf --http2 --cacert ${stage.authority} -T ${big} ${url}/echo | md5sum`;
      const [posted] = (await run("sh", "-c", upload)).split(" ");
      assertEquals(posted, (await run("md5sum", big)).split(" ")[0]);
      const options = ["-nv", "--no-verify-peer", "--no-content-length", `--data=${big}`, "--trailer=x-sent: yes"];
      const verbose = await run("nghttp", ...options, `${url}/echo`);
      assertMatch(verbose, /The negotiated protocol: h2/);
      assertMatch(verbose, /x-got: yes/);
    } finally {
      await Deno.remove(big);
    }
    const load = async (...args: string[]) => {
      return (await run("h2load", ...args)).match(/(\d+) succeeded, (\d+) failed/)?.[0];
    };
    assertEquals(await load("-n4000", "-c8", "-m32", `${url}/a`), "4000 succeeded, 0 failed");
    assertEquals(await load("-n200", "-c4", "-m16", `${url}/size/1000000`), "200 succeeded, 0 failed");
    assertEquals((await stage.proxy.counters()).all("h2.abuse."), {});
  },
});

Deno.test({
  name: "node: bodies and trailers both ways, pushed on hundreds of streams at once",
  ignore: noTools,
  async fn() {
    const server = await startBackend();
    await using stage = await serve(`127.0.0.1:${(server.address() as AddressInfo).port}`, server);
    const script = fileURLToPath(new URL("../support/http2_bodies.cjs", import.meta.url));
    const report = JSON.parse(await run("node", script, stage.url, stage.authority, "4", "100", String(64 * KIB)));
    assertEquals(report, { answered: 400, bytes: 400 * 64 * KIB, failures: [] });
  },
});
