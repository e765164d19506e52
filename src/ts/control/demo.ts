// What `start` serves without a file: one listener, one cluster, and a backend inside main that describes each request as it
// arrived there, so that a newcomer sees what a proxy does to it.

/** The configuration of the demonstration, in the form of a file, given the address of its backend. */
export function demoConfiguration(backend: string, port = 8080): object {
  return {
    listeners: { demo: { address: `0.0.0.0:${port}`, h2c: true } },
    clusters: { demo: { backends: [backend] } },
    routes: [{ cluster: "demo" }],
  };
}

export interface DemoBackend {
  address: string;
  close(): Promise<void>;
}

/** Starts the backend on the loopback; without a port, on a free one. */
export function startDemoBackend(port = 0): DemoBackend {
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, describe);
  return { address: `127.0.0.1:${server.addr.port}`, close: () => server.shutdown() };
}

async function describe(request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>): Promise<Response> {
  const url = new URL(request.url);
  const headers = [...request.headers].map(([name, value]) => `  ${name}: ${value}\n`).join("");
  const bytes = await bodySize(request);
  const text = `kakehi demonstration: a backend got this request through the proxy.\n\n` +
    `${request.method} ${url.pathname}${url.search}\n${headers}\n` +
    `body: ${bytes} bytes\nconnection from: ${info.remoteAddr.hostname}:${info.remoteAddr.port}\n`;
  return new Response(text, { headers: { "content-type": "text/plain; charset=utf-8" } });
}

/** Counts the body as it streams by, so that a large one costs no memory. */
async function bodySize(request: Request): Promise<number> {
  let bytes = 0;
  if (request.body) { for await (const chunk of request.body) bytes += chunk.length; }
  return bytes;
}

/** What to try, for the terminal. */
export function demoInstructions(address: string): string {
  const url = `http://127.0.0.1:${address.slice(address.lastIndexOf(":") + 1)}`;
  return `
kakehi serves its demonstration on ${url}. Try:

  curl ${url}/hello?name=you
  curl -v -H 'X-Forwarded-For: 1.2.3.4' ${url}/            # not believed: you are no trusted proxy
  curl -v --http2-prior-knowledge ${url}/                  # the same request in HTTP/2
  curl -d 'some text' ${url}/form
  head -c 100M /dev/zero | curl -T - ${url}/upload         # streamed, chunked
  curl -i -H 'Content-Length: 1' -H 'Content-Length: 2' ${url}/   # refused: 400

With a file of your own: start -c FILE.  Stop with Ctrl-C.
`;
}
