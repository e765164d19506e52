// What a worker gives up once everything it needs is open: root, then the way to new privileges, then files (Landlock), then
// every system call that serving does not need (seccomp). A worker that is asked to leave root and cannot must not serve:
// that throws. Landlock and seccomp are left out where the kernel has no such thing, and the list that comes back says what
// holds.
//
// Denied calls fail with an errno instead of killing: threads of V8 and of the C library open files under /sys and ask for
// threads at moments of their own choosing, and live well with a refusal. Memory stays executable because V8 compiles.
// Landlock binds the calling thread (all threads from its ABI 8 on); seccomp binds all threads of the process.

import { type Instruction, JUMP_IF_EQUAL, layProgram, LOAD_WORD, RETURN } from "./bpf.ts";
import { addressOf, closeFd, cString } from "./fds.ts";
import { checked } from "./errno.ts";
import { rareCalls } from "./rare_calls.ts";
import { SYSCALLS } from "./syscalls.ts";

const libc = rareCalls("libc.so.6", {
  getpwnam: { parameters: ["buffer"], result: "pointer" },
  getgrnam: { parameters: ["buffer"], result: "pointer" },
  getpwuid: { parameters: ["u32"], result: "pointer" },
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  setgid: { parameters: ["u32"], result: "i32" },
  setuid: { parameters: ["u32"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  syscall: { parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
});

const PR_SET_NO_NEW_PRIVS = 38;
const SYS_LANDLOCK_CREATE_RULESET = 444n;
const SYS_LANDLOCK_RESTRICT_SELF = 446n;
const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_FILTER_FLAG_TSYNC = 1n;
/** struct passwd: name, password, uid, gid …; struct group: name, password, gid …. */
const PASSWD_UID_AT = 16;
const PASSWD_GID_AT = 20;
const GROUP_GID_AT = 16;

export interface Identity {
  uid: number;
  gid: number;
}

/**
 * Applies all that `mode` and the kernel allow and gives the names of what holds, e.g. ["user nobody", "no_new_privs",
 * "landlock 7", "seccomp"]. `user` ("name", "name:group" or numbers; "" stays) counts only for a worker that is root.
 * Throws when the user does not exist or cannot be taken. No file can be opened afterwards.
 */
export function applySandbox(user: string, mode: "auto" | "off"): string[] {
  const holds: string[] = [];
  if (user !== "" && libc.geteuid() === 0) {
    becomeUser(lookUpUser(user), user);
    holds.push(`user ${user}`);
  }
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) === 0) holds.push("no_new_privs");
  if (mode === "off") return holds;
  const landlock = denyFiles();
  if (landlock > 0) holds.push(`landlock ${landlock}`);
  if (filterSyscalls()) holds.push("seccomp");
  return holds;
}

/** "user[:group]", by name or number → ids. Throws with the name that is unknown. */
export function lookUpUser(user: string): Identity {
  const [name = "", groupName] = user.split(":", 2);
  const entry = /^\d+$/.test(name) ? libc.getpwuid(Number(name)) : libc.getpwnam(cString(name));
  const view = entry === null ? undefined : new Deno.UnsafePointerView(entry);
  const uid = view?.getUint32(PASSWD_UID_AT) ?? (/^\d+$/.test(name) ? Number(name) : undefined);
  if (uid === undefined) throw new Error(`user ${name}: this host has no such user`);
  if (groupName !== undefined) return { uid, gid: lookUpGroup(groupName) };
  return { uid, gid: view?.getUint32(PASSWD_GID_AT) ?? uid };
}

function lookUpGroup(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  const entry = libc.getgrnam(cString(name));
  if (entry === null) throw new Error(`group ${name}: this host has no such group`);
  return new Deno.UnsafePointerView(entry).getUint32(GROUP_GID_AT);
}

/** The C library changes the ids of all threads. The order matters: without root the groups can no longer be changed. */
function becomeUser({ uid, gid }: Identity, name: string): void {
  checked(libc.setgroups(0n, null), "setgroups", `for user ${name}`);
  checked(libc.setgid(gid), "setgid", `for user ${name}`);
  checked(libc.setuid(uid), "setuid", `for user ${name}`);
}

/** Denies every access to files, and binding to TCP ports. Gives the ABI of Landlock; 0 when it does not hold. */
function denyFiles(): number {
  const abi = Number(libc.syscall(SYS_LANDLOCK_CREATE_RULESET, 0n, 0n, 1n));
  if (abi < 1) return 0;
  // The first ABI knows 13 rights on files, the later ones added renaming across directories, truncating, device ioctls.
  const fileRights = [0, 13, 14, 15, 15, 16][Math.min(abi, 5)]!;
  const bindTcp = abi >= 4 ? 1n : 0n;
  const ruleset = new Uint8Array(new BigUint64Array([(1n << BigInt(fileRights)) - 1n, bindTcp]).buffer);
  const size = abi >= 4 ? 16n : 8n;
  const fd = Number(libc.syscall(SYS_LANDLOCK_CREATE_RULESET, addressOf(ruleset), size, 0n));
  if (fd < 0) return 0;
  const allThreads = abi >= 8 ? 8n : 0n;
  const result = libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, BigInt(fd), allThreads, 0n);
  closeFd(fd);
  return result === 0n ? abi : 0;
}

function filterSyscalls(): boolean {
  const table = SYSCALLS[Deno.build.arch];
  const { header } = layProgram(filterProgram(table));
  const call = BigInt(table.seccomp);
  return libc.syscall(call, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, addressOf(header)) === 0n;
}

// The fields of struct seccomp_data, and what a filter answers.
const NUMBER_AT = 0;
const ARCH_AT = 4;
const ARGUMENTS_AT = 16;
const KILL_PROCESS = 0x80000000;
const ALLOW = 0x7fff0000;
const REFUSE = 0x00050000;
const EPERM = 1;
const EAGAIN = 11;
const EACCES = 13;

/** Classic BPF: constant answers by number first (the kernel caches those), then calls judged by an argument, then EPERM. */
export function filterProgram(table: typeof SYSCALLS[keyof typeof SYSCALLS]): Instruction[] {
  const code: Instruction[] = [];
  const load = (at: number) => code.push([LOAD_WORD, 0, 0, at]);
  const answer = (value: number) => code.push([RETURN, 0, 0, value]);
  const answerIf = (value: number, result: number) => (code.push([JUMP_IF_EQUAL, 0, 1, value]), answer(result));

  load(ARCH_AT);
  code.push([JUMP_IF_EQUAL, 1, 0, table.audit]);
  answer(KILL_PROCESS);
  load(NUMBER_AT);
  for (const number of table.allow) answerIf(number, ALLOW);
  for (const number of table.files) answerIf(number, REFUSE | EACCES);
  for (const number of table.threads) answerIf(number, REFUSE | EAGAIN);
  for (const { number, argument, values } of table.byArgument) {
    code.push([JUMP_IF_EQUAL, 0, 2 + 2 * values.length, number]);
    load(ARGUMENTS_AT + 8 * argument);
    for (const value of values) answerIf(value, ALLOW);
    answer(REFUSE | EPERM);
  }
  answer(REFUSE | EPERM);

  return code;
}
