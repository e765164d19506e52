import { errno } from "../../../src/ts/sys/errno.ts";
import { libcAddressOf, rareCalls } from "../../../src/ts/sys/rare_calls.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";

Deno.test("rareCalls() binds functions as dlopen does: arguments, results, error numbers, what is missing", async () => {
  const libc = rareCalls("libc.so.6", {
    getpid: { parameters: [], result: "i32" },
    strlen: { parameters: ["buffer"], result: "usize" },
    close: { parameters: ["i32"], result: "i32" },
    usleep: { parameters: ["u32"], result: "i32", nonblocking: true },
    no_such_function: { parameters: [], result: "void", optional: true },
  });
  assertEquals(libc.getpid(), Deno.pid);
  assertEquals(libc.strlen(new TextEncoder().encode("kakehi\0")), 6n);
  assertEquals([libc.close(-1), errno()], [-1, 9]);
  assertEquals(await libc.usleep(1_000), 0);
  assertEquals(libc.no_such_function, null);
  await assertRejects(async () => {
    await Promise.resolve();
    rareCalls("libc.so.6", { no_such_function: { parameters: [], result: "void" } });
  }, /no_such_function/);
});

Deno.test("libcAddressOf() gives the address that the linker knows", () => {
  const { symbols } = Deno.dlopen("libc.so.6", { dlsym: { parameters: ["usize", "buffer"], result: "pointer" } });
  const known = symbols.dlsym(0n, new TextEncoder().encode("sigignore\0"));
  assert(known !== null);
  assertEquals(libcAddressOf("sigignore"), Deno.UnsafePointer.value(known));
});
