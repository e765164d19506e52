// The backend that all proxies share: nginx with one worker, because it must not be the bottleneck and because its CPU is
// not counted. The small body comes from memory, the large ones from files by sendfile; without tcp_nopush, for the held
// back rest of a 64 KiB answer meets delayed acknowledgements on the loopback, 40 ms in everybody's p99. When nginx is
// missing there is no comparison: a slower backend would hide what is to be seen.

import type { Credentials } from "./proxies.ts";
import type { Child, Stage } from "./stage.ts";
import { freePort } from "./stage.ts";
import { waitUntilServing } from "./serving.ts";

export interface Page {
  path: string;
  body: Uint8Array<ArrayBuffer>;
}

export interface Backend {
  port: number;
  securePort: number;
  /** Speaks HTTP/2 at once, without TLS. */
  http2Port: number;
  child: Child;
  /** About 100 bytes. */
  small: Page;
  /** 64 KiB. */
  medium: Page;
  /** 1 MiB. */
  large: Page;
}

/** Bytes that do not repeat, so that a mixed-up answer cannot pass for the right one. */
function noise(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  return bytes;
}

/** With `credentials` it speaks TLS on a second port. */
export async function startBackend(stage: Stage, nginx: string, credentials: Credentials | null): Promise<Backend> {
  const dir = stage.folder("backend");
  const [port, securePort, http2Port] = [freePort(), freePort(), freePort()];
  const secure = credentials && `
    listen 127.0.0.1:${securePort} ssl backlog=4096;
    ssl_certificate ${credentials.cert};
    ssl_certificate_key ${credentials.key};
    ssl_protocols TLSv1.2 TLSv1.3;`;
  // The name makes the answer this run's own: another server that took the port would be noticed.
  const text = `kakehi bench ${crypto.randomUUID()} `.padEnd(100, ".");
  const small = { path: "/", body: new TextEncoder().encode(text) };
  const medium = { path: "/files/64k", body: noise(64 * 1024) };
  const large = { path: "/files/1m", body: noise(1024 * 1024) };
  Deno.mkdirSync(`${dir}/files`);
  for (const page of [medium, large]) Deno.writeFileSync(`${dir}${page.path}`, page.body, { mode: 0o644 });
  Deno.writeTextFileSync(
    `${dir}/nginx.conf`,
    `
daemon off;
worker_processes 1;
pid ${dir}/pid;
error_log ${dir}/error.log;
events { worker_connections 16384; }
http {
  ${temporaryPaths(dir)}
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  sendfile on;
  open_file_cache max=16 inactive=1h;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port} backlog=4096;${secure ?? ""}
    root ${dir};
    location = / { return 200 "${text}"; }
    location /files/ { }
  }
  server {
    listen 127.0.0.1:${http2Port} http2 backlog=4096;
    root ${dir};
    location = / { return 200 "${text}"; }
    location /files/ { }
  }
}
`,
  );
  const child = stage.spawn("backend", dir, nginx, ["-p", dir, "-e", `${dir}/error.log`, "-c", `${dir}/nginx.conf`]);
  await waitUntilServing(child, { port, authority: null }, small);
  return { port, securePort, http2Port, child, small, medium, large };
}

/** nginx opens all its temporary directories when it starts: they must be ones it may write. */
export function temporaryPaths(dir: string): string {
  return ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${dir}/${kind};`).join(
    " ",
  );
}
