// `deno task bench`: the microbenches, then the comparison with the proxies on this machine. Exit code 0 when every figure
// could be taken, 1 when one could not or a program that is needed is missing, 2 for a wrong command line.

import { comparePeers } from "./peers/compare.ts";
import { type Options, parseOptions, USAGE, UsageError } from "./peers/options.ts";
import { failuresOf, report, toJson } from "./peers/report.ts";
import { ending, Stage } from "./peers/stage.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "number") return options;
  if (Deno.build.os !== "linux") return fail("the bench reads /proc and needs Linux");
  const stage = new Stage();
  try {
    const micro = options.micro ? await runMicrobenches(stage) : 0;
    return micro !== 0 || !options.peers ? micro : await runPeers(stage, options);
  } catch (error) {
    // The handler of the signal cleans up and ends the process.
    return stage.interrupted ? 1 : fail(error instanceof Error ? error.message : String(error));
  } finally {
    await stage.close();
  }
}

function readOptions(args: string[]): Options | number {
  try {
    const options = parseOptions(args);
    if (!options.help) return options;
    console.log(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

function fail(message: string): number {
  console.error(`bench: ${message}`);
  return 1;
}

async function runMicrobenches(stage: Stage): Promise<number> {
  const files = [...Deno.readDirSync(`${ROOT}/benches`)].map((entry) => entry.name).filter((name) =>
    name.endsWith("_bench.ts")
  );
  if (files.length === 0) {
    console.error("skipped the microbenches: there is no benches/*_bench.ts");
    return 0;
  }
  const paths = files.sort().map((name) => `${ROOT}/benches/${name}`);
  const child = stage.spawn("deno bench", stage.dir, Deno.execPath(), ["bench", "-A", ...paths], { inherit: true });
  const status = await child.exited;
  return status.success ? 0 : fail(`the microbenches ended with ${ending(status)}`);
}

async function runPeers(stage: Stage, options: Options): Promise<number> {
  const loadBefore = Deno.loadavg();
  const comparison = await comparePeers(stage, ROOT, options);
  console.log(`\n${report(comparison, options)}`);
  if (options.json !== null) {
    const machine = {
      cores: navigator.hardwareConcurrency,
      kernel: Deno.osRelease(),
      deno: Deno.version.deno,
      loadBefore,
      loadAfter: Deno.loadavg(),
      at: new Date().toISOString(),
    };
    Deno.writeTextFileSync(options.json, toJson(comparison, options, machine) + "\n");
  }
  return failuresOf(comparison).length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
