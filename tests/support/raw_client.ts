// A client that sends exactly the bytes it is told and keeps exactly those it gets.

import { connect as connectSocket } from "node:net";
import { Peer } from "./peer.ts";

/** Connects to a port of 127.0.0.1. The connection may be closed in each direction by itself. */
export function connect(port: number): Promise<Peer> {
  const { promise, resolve, reject } = Promise.withResolvers<Peer>();
  const socket = connectSocket({ port, host: "127.0.0.1", allowHalfOpen: true });
  const refused = (error: Error) => reject(new Error(`connect to 127.0.0.1:${port}: ${error.message}`));
  socket.once("error", refused);
  socket.once("connect", () => {
    socket.off("error", refused);
    resolve(new Peer(socket));
  });
  return promise;
}

/** Opens a connection, sends `bytes`, and gives everything that comes until the other end closes. */
export async function exchange(port: number, bytes: Uint8Array | string, waitMs?: number): Promise<Peer> {
  const client = await connect(port);
  await client.write(bytes);
  await client.untilEnd(waitMs);
  client.destroy();
  return client;
}
