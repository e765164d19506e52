// A hop between a client and the proxy that does to the bytes what networks and worse do: hands them on one by one, cuts the
// stream off with a FIN or a reset, or holds what comes. So records of TLS arrive as no library would send them.

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface RelayOptions {
  /** Each byte by itself. */
  bytewise?: boolean;
  /** From so many bytes of a direction on, nothing more is handed on; `cut` says how that end is told. */
  clientBytesMax?: number;
  serverBytesMax?: number;
  cut?: "fin" | "reset" | "silence";
}

export interface Relay extends AsyncDisposable {
  port: number;
}

/** To a port of 127.0.0.1. */
export async function startRelay(to: number, options: RelayOptions = {}): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const proxy = connect({ host: "127.0.0.1", port: to, allowHalfOpen: true });
    for (const socket of [client, proxy]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    hand(client, proxy, options, options.clientBytesMax);
    hand(proxy, client, options, options.serverBytesMax);
  });
  const listening = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1" }, listening.resolve);
  await listening.promise;
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

function hand(from: Socket, to: Socket, { bytewise = false, cut = "fin" }: RelayOptions, max = Infinity): void {
  let left = max;
  let written = Promise.resolve();
  const end = () => {
    if (cut === "reset") to.resetAndDestroy();
    else if (cut === "fin") to.end();
  };
  from.on("data", (piece: Uint8Array) => {
    const bytes = Uint8Array.from(piece).subarray(0, left);
    if (left === 0) return;
    left -= bytes.length;
    const over = left === 0;
    written = written.then(async () => {
      if (bytewise) { for (const byte of bytes) await write(to, Uint8Array.of(byte)); }
      else await write(to, bytes);
      if (over) end();
    });
  });
  from.on("end", () => void written.then(() => left > 0 && to.end()));
  from.on("close", () => void written.then(() => to.destroy()));
}

function write(to: Socket, bytes: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (to.destroyed || !to.writable) resolve();
  else {
    to.once("close", resolve);
    to.write(bytes, () => {
      to.off("close", resolve);
      resolve();
    });
  }
  return promise;
}
