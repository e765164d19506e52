// Everything changes under full load, at full length: 1,000 changes of every kind, 10 killed workers and 10 upgrades in 60 s,
// under two wrk's with 64 connections each and 100 WebSockets. Ends with 1 if anything failed that no killed worker carried.
//
//   deno run -A benches/changing.ts [--seconds N] [--changes N] [--kills N] [--upgrades N] [--connections N] [--sockets N]

import { type Changed, type ChangingOptions, runChanging } from "../tests/support/changing.ts";

const FULL: ChangingOptions = {
  seconds: 60,
  changes: 1_000,
  kills: 10,
  upgrades: 10,
  connections: 64,
  sockets: 100,
  resizeEvery: 50,
};

function parse(args: readonly string[]): ChangingOptions {
  const options: Record<string, number> = { ...FULL };
  for (let at = 0; at < args.length; at += 2) {
    const name = args[at]!.replace(/^--/, "");
    const value = Number(args[at + 1]);
    if (!(name in options)) throw new Error(`unknown option ${args[at]}; expected --${Object.keys(FULL).join(", --")}`);
    if (!Number.isInteger(value) || value < 0) throw new Error(`${args[at]}: expected a number, got ${args[at + 1]}`);
    options[name] = value;
  }
  return options as unknown as ChangingOptions;
}

/** What no killed worker explains; empty if all went well. */
export function faultsOf(changed: Changed, options: ChangingOptions): string[] {
  const { refused, failedRequests, otherAnswers, carriedByKilled, sockets, kills, upgrades, zombies } = changed;
  const faults = refused.map((reason) => `change ${reason}`);
  if (failedRequests > carriedByKilled) {
    faults.push(`${failedRequests} requests failed, killed workers carried ${carriedByKilled}`);
  }
  if (otherAnswers > 0) faults.push(`${otherAnswers} answers were not 200`);
  faults.push(...sockets.failures);
  if (sockets.cut > sockets.carriedByKilled) faults.push(`${sockets.cut} WebSockets were cut`);
  if (kills !== options.kills) faults.push(`${kills} kills instead of ${options.kills}`);
  if (upgrades !== options.upgrades) faults.push(`${upgrades} upgrades instead of ${options.upgrades}`);
  if (zombies > 0) faults.push(`${zombies} zombies`);
  for (const who of ["main", "worker"] as const) {
    const [before, after] = [changed.before[who], changed.after[who]];
    if (after.descriptors > before.descriptors) {
      faults.push(`${who}: ${before.descriptors} descriptors before, ${after.descriptors} after`);
    }
    if (after.memoryMb > before.memoryMb * 1.25 + 5) {
      faults.push(`${who}: ${before.memoryMb} MB before, ${after.memoryMb} MB after`);
    }
  }
  return faults;
}

if (import.meta.main) {
  const options = parse(Deno.args);
  const changed = await runChanging(options, console.log);
  console.log(changed);
  const faults = faultsOf(changed, options);
  for (const fault of faults) console.error(fault);
  Deno.exit(faults.length === 0 ? 0 : 1);
}
