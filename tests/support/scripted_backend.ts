// A backend that does what a test says, right or wrong: it records the exact bytes of each connection, and a script for
// each connection answers, stalls, resets or closes half. Nothing in it follows a protocol by itself.

import { type AddressInfo, createServer } from "node:net";
import { Peer } from "./peer.ts";

export interface ScriptedBackend extends AsyncDisposable {
  port: number;
  /** As it stands in a configuration. */
  address: string;
  /** All connections that were ever accepted, in order. */
  connections: Peer[];
  /** What scripts have thrown. */
  failures: unknown[];
}

export type Script = (peer: Peer, index: number) => void | Promise<void>;

/** Runs `script` for each connection; what scripts throw is kept, since one may only find its connection gone. */
export async function startBackend(script: Script): Promise<ScriptedBackend> {
  const connections: Peer[] = [];
  const failures: unknown[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    const index = connections.push(peer) - 1;
    Promise.resolve().then(() => script(peer, index)).catch((error) => failures.push(error));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve);
  await promise;
  const { port } = server.address() as AddressInfo;
  return {
    port,
    address: `127.0.0.1:${port}`,
    connections,
    failures,
    async [Symbol.asyncDispose]() {
      for (const peer of connections) peer.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function closedPort(): Promise<number> {
  const backend = await startBackend(() => {});
  await backend[Symbol.asyncDispose]();
  return backend.port;
}
