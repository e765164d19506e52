// The command line of the bench, and what each option means.

import { parse } from "yaml";
import { isRecord, ONLY_BY_NAME, PROXY_NAMES, type ProxyName } from "./proxies.ts";
import { SCENARIO_NAMES, type ScenarioName } from "./scenarios.ts";

export interface Options {
  help: boolean;
  micro: boolean;
  peers: boolean;
  rounds: number;
  seconds: number;
  warmup: number;
  /** Empty: all. */
  scenarios: ScenarioName[];
  /** Empty: all that are found. */
  proxies: ProxyName[];
  idle: number;
  accessLog: boolean;
  binary: string | null;
  parent: string | null;
  configExtra: Record<string, unknown>;
  json: string | null;
}

export const USAGE = `Usage: deno task bench [OPTION…]

First the microbenches (benches/*_bench.ts), then the comparison with the proxies on this machine.

  --quick              one round of one second
  --rounds N           rounds, each of which visits every proxy (default 5)
  --seconds N          length of a visit (default 3)
  --warmup N           seconds of load before the first round of a scenario, not counted (default 1);
                       0 for a trial of the bench itself
  --scenario NAME      only this one; may be repeated or a list with commas:
                       ${SCENARIO_NAMES.join(", ")}
  --proxy NAME         only this one, likewise (${ONLY_BY_NAME} runs only so):
                       ${PROXY_NAMES.join(", ")}
  --idle N             connections of the scenario idle (default 10000, less where descriptors are short), and of
                       tls-idle (5000 at most)
  --access-log         all proxies write an access log
  --binary FILE        ours is this single binary, not the sources
  --parent DIR         another checkout of ours, compared as "parent"
  --config-extra YAML  settings laid over those of ours, e.g. 'limits: { pipes: 0 }'
  --json FILE          all figures as JSON
  --micro, --peers     only the one half
  --help
`;

/** A wrong command line; the message says which word and what was expected. */
export class UsageError extends Error {}

export function parseOptions(args: string[]): Options {
  const options: Options = {
    help: false,
    micro: true,
    peers: true,
    rounds: 5,
    seconds: 3,
    warmup: 1,
    scenarios: [],
    proxies: [],
    idle: 10_000,
    accessLog: false,
    binary: null,
    parent: null,
    configExtra: {},
    json: null,
  };
  const words = args.flatMap((arg) => arg.startsWith("--") && arg.includes("=") ? splitAtEqual(arg) : [arg]);
  const value = (option: string) => {
    const word = words.shift();
    if (word === undefined) throw new UsageError(`${option} needs a value`);
    return word;
  };
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const option = word;
    switch (option) {
      case "--": // `deno task bench -- --quick` hands it on.
        break;
      case "--help":
        options.help = true;
        break;
      case "--quick":
        [options.rounds, options.seconds] = [1, 1];
        break;
      case "--rounds":
        options.rounds = count(option, value(option), 1, 1_000);
        break;
      case "--seconds":
        options.seconds = count(option, value(option), 1, 600);
        break;
      case "--warmup":
        options.warmup = count(option, value(option), 0, 600);
        break;
      case "--idle":
        options.idle = count(option, value(option), 1, 28_000);
        break;
      case "--scenario":
        options.scenarios.push(...oneOf(option, value(option), SCENARIO_NAMES));
        break;
      case "--proxy":
        options.proxies.push(...oneOf(option, value(option), PROXY_NAMES));
        break;
      case "--access-log":
        options.accessLog = true;
        break;
      case "--binary":
        options.binary = realPath(option, value(option));
        break;
      case "--parent":
        options.parent = realPath(option, value(option));
        break;
      case "--config-extra":
        options.configExtra = settings(option, value(option));
        break;
      case "--json":
        options.json = value(option);
        break;
      case "--micro":
        options.peers = false;
        break;
      case "--peers":
        options.micro = false;
        break;
      default:
        throw new UsageError(`${option} is not an option`);
    }
  }
  return options;
}

function splitAtEqual(arg: string): string[] {
  const at = arg.indexOf("=");
  return [arg.slice(0, at), arg.slice(at + 1)];
}

function count(option: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw new UsageError(`${option} expects a whole number from ${min} to ${max}, not "${text}"`);
}

function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((word) => {
    const found = known.find((name) => name === word);
    if (found === undefined) throw new UsageError(`${option} expects one of ${known.join(", ")}, not "${word}"`);
    return found;
  });
}

function realPath(option: string, path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    throw new UsageError(`${option}: "${path}" does not exist`);
  }
}

function settings(option: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new UsageError(`${option}: ${error instanceof Error ? error.message : error}`);
  }
  if (isRecord(value)) return value;
  throw new UsageError(`${option} expects YAML settings such as 'limits: { pipes: 0 }', not "${text}"`);
}
