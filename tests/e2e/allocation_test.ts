// The path of a request allocates nothing in JavaScript, whichever versions of HTTP are spoken: a worker under load does not
// scavenge, and V8 does not throw optimised code away again and again. V8 itself is asked, by its traces, which it writes when
// the process ends. One worker carries all four pairs, so that each function has seen every class that it will ever see.

import { assert, assertEquals } from "../support/assert.ts";
import { CertificateFolder, pemOf } from "../support/certificates.ts";
import { startFastBackend } from "../support/fast_backend.ts";
import { startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

/** The code of the data path is optimised after this. */
const WARM_UP_S = 2;
const MEASURED_S = 4;
/** A scavenge each time that so much has been allocated. */
const NEW_SPACE_MB = 1;
/** One small object per request would make more than this. */
const SCAVENGES_MAX = 1;
const REQUESTS_MIN = 10_000;
/** The rare paths (a timer, a batch's end) may still teach V8 something, and so may a pair that comes later. */
const DEOPTIMISATIONS_MAX = 24;

const VERSIONS = ["1.1", "2"] as const;
const PAIRS = VERSIONS.flatMap((client) => VERSIONS.map((backend) => ({ client, backend })));
/** By the client's version: as many requests at once. */
const CONCURRENCY = { "1.1": ["--h1", "-c32"], "2": ["-c4", "-m8"] };

/** How many were answered. */
async function load(url: string, client: typeof VERSIONS[number], seconds: number): Promise<number> {
  const args = [`-D${seconds}`, ...CONCURRENCY[client], url];
  const { stdout } = await new Deno.Command("h2load", { args, stderr: "null" }).output();
  const text = new TextDecoder().decode(stdout);
  const [, done, succeeded] = text.match(/(\d+) done, (\d+) succeeded/) ?? [];
  assert(done !== undefined && done === succeeded, text);
  return Number(succeeded);
}

/** Milliseconds since the process began. */
function ageMs(pid: number): number {
  const startedTicks = Number(Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ")[19]);
  const uptimeS = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  return uptimeS * 1000 - startedTicks * 10;
}

for (const secure of [false, true]) {
  Deno.test({
    name: `a request allocates nothing in any pair, with the access log on${
      secure ? ", nor with TLS on both sides" : ""
    }`,
    ignore: requireTools("h2load", "openssl"),
    fn: () => measure(secure),
  });
}

async function measure(secure: boolean): Promise<void> {
  await using files = new CertificateFolder();
  const tls = secure ? pemOf(files.make("backend", { names: ["127.0.0.1"] })) : undefined;
  await using backend1 = startFastBackend("1.1", tls);
  await using backend2 = startFastBackend("2", tls);
  const certificate = `{ name: backend, cert: ${files.path}/backend.pem, key: ${files.path}/backend.key }`;
  const ca = secure ? `, tls: { ca: ${files.path}/backend.pem }` : "";
  await using proxy = await startProxy(
    `
listeners: { web: { address: "127.0.0.1:0", ${
      secure ? "protocol: https, tls: { default_certificate: backend }" : "protocol: http, h2c: true"
    } } }
certificates: [${secure ? certificate : ""}]
clusters:
  to1.1: { backends: ["127.0.0.1:${backend1.port}"]${ca} }
  to2: { backends: ["127.0.0.1:${backend2.port}"], protocol: ${secure ? "h2" : "h2c"}${ca} }
routes:
  - { host: "127.0.0.1", path: "/1.1/*", cluster: to1.1 }
  - { host: "127.0.0.1", path: "/2/*", cluster: to2 }
access_log: { path: "{folder}/access.log", format: combined }
`,
    { DENO_V8_FLAGS: `--trace-gc,--trace-deopt,--max-semi-space-size=${NEW_SPACE_MB}` },
  );
  const [worker] = await proxy.workers();
  const origin = `${secure ? "https" : "http"}://127.0.0.1:${proxy.port("web")}`;
  const visits = [];
  for (const { client, backend } of PAIRS) {
    const url = `${origin}/${backend}/path?query=1`;
    await load(url, client, WARM_UP_S);
    const beganMs = ageMs(worker!);
    const requests = await load(url, client, MEASURED_S);
    visits.push({ name: `HTTP/${client} to HTTP/${backend}`, requests, beganMs, endedMs: ageMs(worker!) });
  }
  assertEquals(await proxy.stop(), 0);
  const log = proxy.log();
  assert(log.includes(`[${worker}:`), "the worker's traces did not arrive");
  const scavenges = [...log.matchAll(new RegExp(`\\[${worker}:[^\\]]*\\]\\s+(\\d+) ms: Scavenge`, "g"))]
    .map(([, ms]) => Number(ms));
  for (const { name, requests, beganMs, endedMs } of visits) {
    const during = scavenges.filter((ms) => ms > beganMs && ms < endedMs).length;
    assert(requests > REQUESTS_MIN, `${name}: only ${requests} requests: too few to tell`);
    assert(during <= SCAVENGES_MAX, `${name}: ${during} scavenges in ${requests} requests`);
  }
  const deoptimisations =
    log.match(/bailout \(kind: deopt-eager.*(#?)(dispatch|pump|serve|readHead|takeHead|finish)/g) ?? [];
  assert(deoptimisations.length <= DEOPTIMISATIONS_MAX, deoptimisations.join("\n"));
}
