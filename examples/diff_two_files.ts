// What would change if one configuration took the place of another, and the orders that change it. It uses the
// configuration library alone: no proxy has to run, and nothing is sent. (The YAML parser asks for variables of the
// environment that steer its debugging; that is all the permission for them is for.)
//
//   deno run --allow-read --allow-env examples/diff_two_files.ts before.yaml after.yaml
//
// Prints the difference for people (`+` new, `~` changed, `-` gone), then an empty line, then the orders, one JSON object
// a line: in this form, and in this order, a running proxy takes them. Exits with 1 if one of the files cannot be used,
// with 2 for wrong usage.

import {
  applyOrders,
  describeDifference,
  diff,
  type Difference,
  formatErrors,
  formatOrderError,
  hashState,
  loadStateFile,
  type State,
} from "../src/ts/config/mod.ts";

async function load(file: string): Promise<State | null> {
  const { state, errors } = await loadStateFile(file);
  if (state) return state;
  // Everything that is wrong with the file, each with its line and column.
  console.error(formatErrors(errors));
  return null;
}

/** A line for the object, and one for each field that differs. */
function lines({ sign, object, name, cluster, fields }: Difference): string[] {
  const title = [sign, object, name, cluster && `of cluster ${cluster}`].filter((word) => word !== "").join(" ");
  return [title, ...fields.map(({ field, before, after }) => `    ${field}: ${shown(before)} -> ${shown(after)}`)];
}

function shown(value: unknown): string {
  return value === null ? "nothing" : JSON.stringify(value);
}

async function main(args: string[]): Promise<number> {
  if (args.length !== 2) {
    console.error("usage: diff_two_files.ts BEFORE.yaml AFTER.yaml");
    return 2;
  }
  const [before, after] = await Promise.all(args.map(load));
  if (!before || !after) return 1;

  for (const difference of describeDifference(before, after)) console.log(lines(difference).join("\n"));
  console.log();

  const orders = diff(before, after);
  for (const order of orders) console.log(JSON.stringify(order));

  // Orders can be tried without a proxy, too: the result is a state, or everything that is wrong with them.
  const { state, errors } = applyOrders(before, orders);
  if (errors) console.error(errors.map(formatOrderError).join("\n"));
  return state && hashState(state) === hashState(after) ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
