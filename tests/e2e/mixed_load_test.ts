// Many kinds of traffic at once through one worker: wrk on small answers, curl fetching and sending bodies of all sizes,
// against nginx and a node:http server. Every body is compared by its hash.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { assert, assertEquals } from "../support/assert.ts";
import { startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const MIB = 1 << 20;
/** The largest is fetched and sent once in each direction by bodies_test.ts with 1 GiB; here it is the mixture that counts. */
const SIZES = [0, 1, 1000, 16_383, 16_384, 65_535, 65_537, MIB, 24 * MIB];
const LOAD_S = 5;

async function run(program: string, ...args: string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  assert(success, `${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function randomFile(path: string, size: number): string {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, size)));
  Deno.writeFileSync(path, bytes);
  return sha256(bytes);
}

/** nginx in front of a folder; `stop` ends it. */
async function startNginx(folder: string, user: string) {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr as Deno.NetAddr;
  probe.close();
  Deno.writeTextFileSync(
    `${folder}/nginx.conf`,
    `${user}daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; worker_processes 1;
events { worker_connections 512; }
http { access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${folder}/files; } }`,
  );
  const child = new Deno.Command("nginx", { args: ["-c", `${folder}/nginx.conf`], stdout: "null", stderr: "null" })
    .spawn();
  for (let i = 0; i < 100; i++) {
    const open = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    if (open) {
      open.close();
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    port,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

Deno.test({
  name: "wrk, curl and node's server, nginx: all bodies arrive whole, in both directions, under load",
  ignore: requireTools("nginx", "wrk", "curl"),
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "kakehi-mixed-" });
    await Deno.chmod(folder, 0o755);
    await Deno.mkdir(`${folder}/files`);
    const hashes = SIZES.map((size) => randomFile(`${folder}/files/${size}`, size));
    const nginx = await startNginx(folder, Deno.uid() === 0 ? "user root; " : "");
    const node = createServer((request, response) => {
      const hash = createHash("sha256");
      request.on("data", (data) => hash.update(data));
      request.on("end", () => response.end(hash.digest("hex")));
    });
    await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
    try {
      await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters:
  files: { backends: ["127.0.0.1:${nginx.port}"] }
  sums: { backends: ["127.0.0.1:${(node.address() as AddressInfo).port}"] }
routes:
  - { path: /sum, cluster: sums }
  - { cluster: files }
`);
      const url = `http://127.0.0.1:${proxy.port("web")}`;
      const load = run("wrk", "-t1", "-c32", `-d${LOAD_S}`, `${url}/1000`);
      const fetched = SIZES.map(async (size, i) => {
        assertEquals(sha256(await run("curl", "-sS", "--fail", `${url}/${size}`)), hashes[i]!, `GET of ${size} bytes`);
      });
      // curl 7.88 announces chunks for an empty file and then sends none
      const sent = SIZES.flatMap((size, i) =>
        [[], ...(size > 0 ? [["-H", "Transfer-Encoding: chunked"]] : [])].map(async (more) => {
          const answer = await run("curl", "-sS", "--fail", ...more, "-T", `${folder}/files/${size}`, `${url}/sum`);
          assertEquals(new TextDecoder().decode(answer), hashes[i]!, `PUT of ${size} bytes ${more.join(" ")}`);
        })
      );
      await Promise.all([...fetched, ...sent]);
      const text = new TextDecoder().decode(await load);
      assert(!/Socket errors|Non-2xx/.test(text), text);
      const counters = await proxy.counters();
      assertEquals([counters.of("responses.4xx"), counters.of("responses.5xx"), counters.of("buffers.used")], [
        0,
        0,
        0,
      ]);
    } finally {
      await nginx.stop();
      node.closeAllConnections();
      node.close();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
