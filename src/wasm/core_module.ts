// Where the bytes of the codec come from: inside the single binary they are part of the program's text, otherwise they
// are what scripts/build_wasm.ts wrote.

/** Set by scripts/bundle.ts in the single binary. */
declare const KAKEHI_CORE: (() => Uint8Array<ArrayBuffer>) | undefined;

export function loadCore(): Uint8Array<ArrayBuffer> {
  if (typeof KAKEHI_CORE !== "undefined") return KAKEHI_CORE();
  const path = new URL("../../dist/core.wasm", import.meta.url);
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error("dist/core.wasm is missing: run `deno task build`");
    throw error;
  }
}
