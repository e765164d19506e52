// A child of the tests of sandbox.ts: applies the sandbox (arguments: user, mode, a folder that
// anybody may write to) and prints what holds and what can still be
// done, as JSON. Descriptors and libraries are opened before, as a worker does.

import { applySandbox } from "../../src/ts/sys/sandbox.ts";
import { errno } from "../../src/ts/sys/errno.ts";

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  fork: { parameters: [], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  setuid: { parameters: ["u32"], result: "i32" },
});

const [user = "", mode = "auto", folder = ""] = Deno.args;
const reached = Deno.listen({ hostname: "127.0.0.1", port: 0 });
let holds: string[] = [];
let refusal = "";
try {
  holds = applySandbox(user, mode as "auto" | "off");
} catch (error) {
  refusal = (error as Error).message;
}

const call = (result: number) => result >= 0 ? "done" : `errno ${errno()}`;
const attempt = (action: () => unknown) => {
  try {
    action();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
};

const results: Record<string, string> = {
  open: call(libc.open(new TextEncoder().encode("/etc/passwd\0"), 0)),
  readSync: attempt(() => Deno.readTextFileSync("/etc/hostname")),
  readAsync: await Deno.readTextFile("/etc/hostname").then(() => "done", (error) => (error as Error).name),
  write: attempt(() => Deno.writeTextFileSync(`${folder}/written`, "x")),
  exec: attempt(() => new Deno.Command("/bin/true").outputSync()),
  fork: mode === "off" ? "not tried" : call(libc.fork()),
  kill: call(libc.kill(Deno.pid, 0)),
  setuid: call(libc.setuid(0)),
  prctl: call(libc.prctl(4, 1n, 0n, 0n, 0n)),
  socketInet: call(libc.socket(2, 1, 0)),
  socketNetlink: call(libc.socket(16, 3, 0)),
  listen: call(libc.listen(libc.socket(2, 1, 0), 1)),
  pipe: call(libc.pipe2(new Uint8Array(8), 0)),
  tiocsti: call(libc.ioctl(0, 0x5412n, new Uint8Array(1))),
};

// What serving needs goes on: sockets, compiled code, garbage collection, WebAssembly.
const client = await Deno.connect({ hostname: "127.0.0.1", port: reached.addr.port });
const served = await reached.accept();
await client.write(new Uint8Array([1, 2, 3]));
results["serve"] = `${await served.read(new Uint8Array(8))} bytes`;
let sum = 0;
for (let k = 0; k < 20; k++) {
  const hot = new Function("a", "b", `let r=0; for (let i=0; i<50000; i++) r = (r + i*a ^ b) | 0; return r + ${k}`);
  sum += hot(k, k + 1);
}
const junk: unknown[] = [];
for (let i = 0; i < 500_000; i++) junk[i & 0xffff] = { sum, list: [i] };
new WebAssembly.Memory({ initial: 16 }).grow(256);
results["compile"] = Number.isFinite(sum) ? "done" : "failed";

console.log(JSON.stringify({ holds, refusal, results }));
Deno.exit(0);
