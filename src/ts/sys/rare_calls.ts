// Functions of the C library that are called seldom. For each function that `Deno.dlopen` binds, the runtime generates machine
// code: calls are quick then, and binding takes 0.2 ms, of which a start had ten to spare. Called by its address a
// function needs none of that; a call takes 0.6 µs more and allocates. So whatever is on the path of a request is bound by
// `Deno.dlopen` (libc.ts, openssl.ts), and all else here.

/** As `Deno.dlopen(library, calls).symbols`. A function that is optional and missing is null. */
export function rareCalls<const Calls extends Deno.ForeignLibraryInterface>(
  library: string,
  calls: Calls,
): Deno.DynamicLibrary<Calls>["symbols"] {
  const definitions = Object.entries(calls as Record<string, Deno.ForeignFunction>);
  // A variable of a library is given as its address, and a function's name may stand for one.
  const names = definitions.map(([name, { optional = false }]) => [name, { type: "pointer", optional }] as const);
  const addresses = Deno.dlopen(library, Object.fromEntries(names)).symbols;
  const bound = definitions.map(([name, definition]) => {
    const address = addresses[name] ?? null;
    return [name, address && callOf(address, definition)] as const;
  });
  return Object.fromEntries(bound) as Deno.DynamicLibrary<Calls>["symbols"];
}

/** Where a function of the C library is, for who hands it to the kernel. */
export function libcAddressOf(name: string): bigint {
  const { symbols } = Deno.dlopen("libc.so.6", { [name]: { type: "pointer" } });
  return Deno.UnsafePointer.value(symbols[name] as Deno.PointerValue);
}

function callOf(address: Deno.PointerObject<any>, definition: Deno.ForeignFunction): (...args: never[]) => unknown {
  const pointer = new Deno.UnsafeFnPointer(address, definition);
  return (...args) => pointer.call(...args);
}
