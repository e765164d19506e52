// Calls of gRPC by its own library for JavaScript, with messages that are bytes as they are.

import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";

export type Bytes = Uint8Array;
const asBuffer = (bytes: Bytes) => Buffer.from(bytes);
const asBytes = (buffer: Buffer): Bytes => buffer;
export const text = (of: string) => new TextEncoder().encode(of);
export const read = (bytes: Bytes) => new TextDecoder().decode(bytes);

export function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Bytes, Bytes> {
  return {
    path: `/test.Service/${name}`,
    requestStream,
    responseStream,
    requestSerialize: asBuffer,
    requestDeserialize: asBytes,
    responseSerialize: asBuffer,
    responseDeserialize: asBytes,
  };
}

export interface Outcome {
  messages: Bytes[];
  initial: grpc.Metadata | undefined;
  status: grpc.StatusObject;
}

/** Runs a call to its status. `sends`: messages of a stream; `onMessage` is called with each that comes. */
export function outcome(
  begin: (answered: (error: unknown, message?: Bytes) => void) => grpc.ClientDuplexStream<Bytes, Bytes>,
  sends?: Bytes[],
  onMessage?: (message: Bytes, call: grpc.ClientDuplexStream<Bytes, Bytes>) => void,
): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const messages: Bytes[] = [];
  let initial: grpc.Metadata | undefined;
  const call = begin((_error, message) => message && messages.push(message));
  call.on("metadata", (metadata) => initial = metadata);
  call.on("data", (message: Bytes) => {
    messages.push(message);
    onMessage?.(message, call);
  });
  call.on("error", () => {});
  call.on("status", (status) => setTimeout(() => resolve({ messages, initial, status })));
  if (sends) {
    for (const message of sends) call.write(message);
    if (!onMessage) call.end();
  }
  return promise;
}
