// nginx as a backend that speaks TLS, on a port for each of its faces: what it answers says how it was spoken to.

import type { Pair } from "./certificates.ts";

export interface Face {
  certificate: Pair;
  /** Further lines of the server. */
  lines?: string[];
  /** What is spoken besides HTTP/1.1. */
  protocol?: "http2";
}

export interface TlsBackends extends AsyncDisposable {
  /** Of each face. */
  ports: number[];
}

const START_MS = 5_000;

export function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}

/** JSON with what the backend saw; `/large` is `largeBytes` long. */
export async function startTlsBackends(folder: string, faces: readonly Face[], largeBytes = 0): Promise<TlsBackends> {
  const ports = faces.map(freePort);
  const dir = await Deno.makeTempDir({ dir: folder, prefix: "nginx-" });
  await Deno.chmod(dir, 0o755);
  if (largeBytes > 0) {
    const file = await Deno.create(`${dir}/large`);
    await file.truncate(largeBytes);
    file.close();
  }
  const seen = [
    "ssl_protocol",
    "ssl_session_reused",
    "ssl_server_name",
    "ssl_client_s_dn",
    "ssl_alpn_protocol",
    "connection",
  ];
  const text = `{${seen.map((name) => `"${name}":"$${name}"`).join(",")}}`;
  const servers = faces.map(({ certificate: { cert, key }, lines = [], protocol = "" }, at) => `
  server {
    listen 127.0.0.1:${ports[at]} ssl ${protocol};
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ${lines.join("\n    ")}
    root ${dir};
    location /large { }
    location / { return 200 '${text}'; }
  }`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) =>
    `${kind}_temp_path ${dir}/${kind};`
  );
  await Deno.writeTextFile(
    `${dir}/nginx.conf`,
    `daemon off;
worker_processes 1;
pid ${dir}/pid;
error_log ${dir}/error.log;
events { worker_connections 1024; }
http {
  ${temporary.join(" ")}
  access_log off;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:a:1m;
  keepalive_requests 1000000;
  ${servers.join("")}
}
`,
  );
  const args = ["-p", dir, "-e", `${dir}/error.log`, "-c", `${dir}/nginx.conf`];
  const child = new Deno.Command("nginx", { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
  const said = new Response(child.stderr).text();
  const end = async () => {
    child.kill("SIGTERM");
    await child.status;
    await said;
  };
  try {
    for (const port of ports) await untilListening(port);
  } catch (error) {
    await end().catch(() => {});
    throw new Error(`nginx does not start: ${await said}`, { cause: error });
  }
  return { ports, [Symbol.asyncDispose]: end };
}

export async function untilListening(port: number): Promise<void> {
  for (const deadline = Date.now() + START_MS;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
