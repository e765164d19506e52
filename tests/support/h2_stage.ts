// A proxy in front of scripted backends of HTTP/2, for tests in which the backends are what matters: the client is fetch, which
// speaks HTTP/1.1.

import { Http2Backend, type Http2BackendOptions, type Http2Request } from "./h2_backend.ts";
import { eventually, type Proxy, startProxy } from "./proxy.ts";

/** Answers a request with its path. */
export const answers = ({ connection, id, path }: Http2Request) => connection.answer(id, path);

export interface Http2Stage extends AsyncDisposable {
  proxy: Proxy;
  backends: Http2Backend[];
  backend: Http2Backend;
  /** Status and body; 0 when the answer was cut. */
  ask(path: string, init?: RequestInit): Promise<[number, string]>;
}

/** `cluster`: further options of it; `top`: lines instead of the timeouts. */
export async function serveHttp2(options: Http2BackendOptions[], cluster = "", top = ""): Promise<Http2Stage> {
  const backends = await Promise.all(options.map((one) => Http2Backend.start(one)));
  const end = () => Promise.all(backends.map((one) => one[Symbol.asyncDispose]()));
  const addresses = backends.map(({ address }) => `"${address}"`).join(", ");
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: [${addresses}], protocol: h2c${cluster && ", "}${cluster} } }
routes: [{ cluster: app }]
${top || "timeouts: { response: 3s }"}
`).catch(async (error) => {
      await end();
      throw error;
    });
  return {
    proxy,
    backends,
    backend: backends[0]!,
    async ask(path, init) {
      try {
        const response = await fetch(`http://127.0.0.1:${proxy.port("web")}${path}`, init);
        return [response.status, await response.text()];
      } catch (error) {
        return [0, String(error)];
      }
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await end();
    },
  };
}

/** Nothing is under way, and nothing is held. */
export async function atRest({ proxy }: Http2Stage): Promise<void> {
  const names = ["h2.streams.active", "streams.active", "buffers.used"];
  await eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}
