// Where llhttp comes from: the npm package llhttp-wasm has its WebAssembly inside its JavaScript. The build joins it with
// our codec, and the differential tests compare the codec with it as it is.

let found: Promise<Uint8Array<ArrayBuffer>> | undefined;

/** The bytes of llhttp: the package hands them to WebAssembly.Module when its first parser is made. */
export function llhttpBytes(): Promise<Uint8Array<ArrayBuffer>> {
  return found ??= catchBytes();
}

async function catchBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const { createParser, TYPE } = await import("llhttp-wasm");
  const Module = WebAssembly.Module;
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  WebAssembly.Module = new Proxy(Module, {
    construct(target, [source]) {
      bytes = source;
      return new target(source);
    },
  });
  try {
    createParser(TYPE.REQUEST!);
  } finally {
    WebAssembly.Module = Module;
  }
  if (!bytes) throw new Error("llhttp-wasm did not compile its WebAssembly: has another version been installed?");
  return bytes;
}
