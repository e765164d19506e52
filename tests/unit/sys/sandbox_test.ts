import type { Instruction } from "../../../src/ts/sys/bpf.ts";
import { filterProgram, lookUpUser } from "../../../src/ts/sys/sandbox.ts";
import { SYSCALLS } from "../../../src/ts/sys/syscalls.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";

const CHILD = new URL("../../support/sandboxed.ts", import.meta.url).href;
const ALLOW = 0x7fff0000;
const errnoOf = (answer: number) => answer >>> 16 === 5 ? answer & 0xffff : undefined;

interface Told {
  holds: string[];
  refusal: string;
  results: Record<string, string>;
}

async function sandboxed(user: string, mode: string): Promise<Told> {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o777);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", CHILD, user, mode, folder],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout, stderr, code, signal } = await child.output();
  await Deno.remove(folder, { recursive: true });
  const error = new TextDecoder().decode(stderr);
  assert(code === 0, `the child ended with ${signal ?? code}: ${error}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("applySandbox() leaves a process that can serve and nothing else", async () => {
  const { holds, refusal, results } = await sandboxed(Deno.uid() === 0 ? "nobody" : "", "auto");
  assertEquals(refusal, "");
  assert(holds.includes("no_new_privs"), holds.join());
  if (Deno.uid() === 0) assertEquals(holds[0], "user nobody");
  assertEquals(results["serve"], "3 bytes");
  assertEquals(results["compile"], "done");
  if (!holds.includes("seccomp")) return;
  assertMatch(results["open"]!, /^errno 13$/);
  for (const name of ["readSync", "readAsync", "write"]) {
    assertMatch(results[name]!, /PermissionDenied|NotCapable/, name);
  }
  assertMatch(results["exec"]!, /PermissionDenied|NotCapable|WouldBlock/);
  assertEquals(results["fork"], "errno 11");
  for (const name of ["kill", "setuid", "prctl", "socketNetlink", "listen", "tiocsti"]) {
    assertEquals(results[name], "errno 1", name);
  }
  for (const name of ["socketInet", "pipe"]) assertEquals(results[name], "done", name);
});

Deno.test("applySandbox() with mode off keeps files, and still leaves root and new privileges", async () => {
  const { holds, results } = await sandboxed(Deno.uid() === 0 ? "nobody" : "", "off");
  assertEquals(holds, Deno.uid() === 0 ? ["user nobody", "no_new_privs"] : ["no_new_privs"]);
  assertEquals([results["open"], results["write"]], ["done", "done"]);
  assertEquals(results["setuid"], Deno.uid() === 0 ? "errno 1" : results["setuid"]!);
});

Deno.test("applySandbox() does not go on as root when the user does not exist", async () => {
  if (Deno.uid() !== 0) return;
  const { refusal } = await sandboxed("no-such-user-here", "auto");
  assertEquals(refusal, "user no-such-user-here: this host has no such user");
});

Deno.test("lookUpUser() takes names and numbers", () => {
  assertEquals(lookUpUser("root"), { uid: 0, gid: 0 });
  assertEquals(lookUpUser("root:12345"), { uid: 0, gid: 12345 });
  assertEquals(lookUpUser("54321"), { uid: 54321, gid: 54321 });
  assertThrows(() => lookUpUser("root:no-such-group-here"), /group no-such-group-here/);
});

/** Runs a seccomp filter as the kernel does. */
function judge(program: readonly Instruction[], arch: number, number: number, args: number[] = []): number {
  const data = new Map([[0, number], [4, arch], ...args.map((value, i) => [16 + 8 * i, value] as const)]);
  let accumulator = 0;
  for (let at = 0;; at++) {
    const [op, yes, no, operand] = program[at]!;
    if (op === 0x20) accumulator = data.get(operand) ?? 0;
    else if (op === 0x15) at += accumulator === operand ? yes : no;
    else return operand;
  }
}

for (const [name, table] of Object.entries(SYSCALLS)) {
  const program = filterProgram(table);
  const answer = (number: number, ...args: number[]) => judge(program, table.audit, number, args);

  Deno.test(`filterProgram() for ${name} judges every call`, () => {
    assert(program.length < 4096, "the kernel takes 4096 instructions");
    for (const number of table.allow) assertEquals(answer(number), ALLOW, `call ${number}`);
    for (const number of table.files) assertEquals(errnoOf(answer(number)), 13, `call ${number}`);
    for (const number of table.threads) assertEquals(errnoOf(answer(number)), 11, `call ${number}`);
    const known = new Set([...table.allow, ...table.files, ...table.threads, ...table.byArgument.map((c) => c.number)]);
    for (let number = 0; number < 600; number++) {
      if (!known.has(number)) assertEquals(errnoOf(answer(number)), 1, `call ${number}`);
    }
    assertEquals(judge(program, table.audit ^ 1, 0), 0x80000000, "another architecture");
    assertEquals(errnoOf(answer(0x40000000)), 1, "the calls of x32");
  });

  Deno.test(`filterProgram() for ${name} looks at arguments`, () => {
    const [socket, ioctl, prctl] = table.byArgument.map((c) => c.number) as [number, number, number];
    for (const family of [1, 2, 10]) assertEquals(answer(socket, family), ALLOW);
    for (const family of [0, 3, 16, 17]) assertEquals(errnoOf(answer(socket, family)), 1);
    assertEquals(answer(ioctl, 9, 0x541b), ALLOW);
    assertEquals(errnoOf(answer(ioctl, 9, 0x5412)), 1);
    assertEquals(answer(prctl, 15), ALLOW);
    assertEquals(errnoOf(answer(prctl, 4)), 1);
  });

  Deno.test(`SYSCALLS of ${name} lists no call twice`, () => {
    const all = [...table.allow, ...table.files, ...table.threads, ...table.byArgument.map((c) => c.number)];
    assertEquals(new Set(all).size, all.length);
  });
}
