// The path of a keep-alive request allocates nothing in JavaScript: a worker under load does not scavenge, and V8 does not
// throw optimised code away again and again. V8 itself is asked, by its traces, which it writes when the process ends.

import { assert, assertEquals } from "../support/assert.ts";
import { CertificateFolder, pemOf } from "../support/certificates.ts";
import { startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

/** The code of the data path is optimised after this. */
const WARM_UP_S = 4;
const MEASURED_S = 5;
/** One allocation of a few bytes per request would make more scavenges than this. */
const SCAVENGES_MAX = 1;
/** The rare paths (a timer, a batch's end) may still teach V8 something. */
const DEOPTIMISATIONS_MAX = 12;

/** A backend for which a request is whatever comes in one read: it must not be slower than what is measured. */
function fastBackend(tls?: { cert: string; key: string }) {
  const answer = new TextEncoder().encode(
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
  );
  const where = { hostname: "127.0.0.1", port: 0 };
  const listener: Deno.Listener<Deno.Conn> = tls ? Deno.listenTls({ ...where, ...tls }) : Deno.listen(where);
  const serve = async (connection: Deno.Conn) => {
    using open = connection;
    const buffer = new Uint8Array(4096);
    while (await open.read(buffer).catch(() => null)) await open.write(answer);
  };
  const accepting = (async () => {
    for await (const connection of listener) serve(connection).catch(() => {});
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async close() {
      listener.close();
      await accepting;
    },
  };
}

async function load(url: string, seconds: number): Promise<number> {
  const args = ["-t1", "-c32", `-d${seconds}`, `${url}/path?query=1`];
  const { stdout } = await new Deno.Command("wrk", { args }).output();
  const text = new TextDecoder().decode(stdout);
  assert(!/Non-2xx|Socket errors/.test(text), text);
  return Number(text.match(/(\d+) requests in/)![1]);
}

/** Milliseconds since the process began. */
function ageMs(pid: number): number {
  const startedTicks = Number(Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ")[19]);
  const uptimeS = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  return uptimeS * 1000 - startedTicks * 10;
}

for (const secure of [false, true]) {
  Deno.test({
    name: `a keep-alive request allocates nothing, with the access log on${
      secure ? ", nor with TLS on both sides" : ""
    }`,
    ignore: requireTools("wrk", "openssl"),
    fn: () => measure(secure),
  });
}

async function measure(secure: boolean): Promise<void> {
  await using files = new CertificateFolder();
  const backend = fastBackend(secure ? pemOf(files.make("backend", { names: ["127.0.0.1"] })) : undefined);
  const tls = secure ? `, tls: { ca: ${files.path}/backend.pem }` : "";
  const listener = secure ? "protocol: https, tls: { default_certificate: backend }" : "protocol: http";
  const certificate = `{ name: backend, cert: ${files.path}/backend.pem, key: ${files.path}/backend.key }`;
  try {
    await using proxy = await startProxy(
      `
listeners: { web: { address: "127.0.0.1:0", ${listener} } }
certificates: [${secure ? certificate : ""}]
clusters: { app: { backends: ["127.0.0.1:${backend.port}"]${tls} } }
routes: [{ host: "127.0.0.1", path: "/path/*", cluster: app }]
access_log: { path: "{folder}/access.log", format: combined }
`,
      { DENO_V8_FLAGS: "--trace-gc,--trace-deopt" },
    );
    const [worker] = await proxy.workers();
    const url = `${secure ? "https" : "http"}://127.0.0.1:${proxy.port("web")}`;
    await load(url, WARM_UP_S);
    const beganMs = ageMs(worker!);
    const requests = await load(url, MEASURED_S);
    const endedMs = ageMs(worker!);
    assertEquals(await proxy.stop(), 0);
    const log = proxy.log();
    const scavenges = [...log.matchAll(new RegExp(`\\[${worker}:[^\\]]*\\]\\s+(\\d+) ms: Scavenge`, "g"))]
      .map(([, ms]) => Number(ms)).filter((ms) => ms > beganMs && ms < endedMs);
    assert(log.includes(`[${worker}:`), "the worker's traces did not arrive");
    assert(requests > 10_000, `only ${requests} requests: too few to tell`);
    assert(scavenges.length <= SCAVENGES_MAX, `${scavenges.length} scavenges in ${requests} requests`);
    const deoptimisations =
      log.match(/bailout \(kind: deopt-eager.*(#?)(dispatch|pump|serve|readHead|takeHead|finish)/g) ?? [];
    assert(deoptimisations.length <= DEOPTIMISATIONS_MAX, deoptimisations.join("\n"));
  } finally {
    await backend.close();
  }
}
