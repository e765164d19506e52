// A child of the tests of process.ts: says on its channel (descriptor 3) what it was born with, then waits to be killed.

import { LineSocket } from "../../src/ts/sys/line_socket.ts";

const status = Deno.readTextFileSync("/proc/self/status");
const descriptors = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
const flags = (fd: number) => {
  try {
    return Number("0o" + /flags:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))?.[1]);
  } catch {
    return 0o2000000; // gone since
  }
};

new LineSocket(3, 4096, 1 << 16).send({
  args: Deno.args,
  env: Deno.env.get("KAKEHI_TEST"),
  blocked: field("SigBlk"),
  group: Number(Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!.split(" ")[2]),
  inherited: descriptors.filter((fd) => (flags(fd) & 0o2000000) === 0),
});
setInterval(() => {}, 1000);
