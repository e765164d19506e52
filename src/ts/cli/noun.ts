// What the commands for objects do: `list` and `show` ask the proxy, `add`, `update` and `remove` are one order each.

import type { Fields, Order, RouteKey, Verb } from "../config/orders.ts";
import type { GetAnswer, GetRequest } from "../control/protocol.ts";
import { carryOut, changeOptions, showPlan } from "./change.ts";
import { withFiles } from "./certificate_files.ts";
import { type Arguments, type Command, readArguments, readVerb, withUsage } from "./command.ts";
import { ask, openConnection } from "./connection.ts";
import { listenForDrained } from "./drained.ts";
import { listText, namesOf } from "./lists.ts";
import { type Noun, OBJECT_OPTIONS, objectCommand, ROUTE_FIELDS } from "./objects.ts";
import { EXIT_DONE, print, printJson, UsageError } from "./output.ts";
import { fieldsFrom, putDefaults, type ShapeOption } from "./shape_options.ts";

export async function runObject(noun: Noun, args: string[], json: boolean): Promise<number> {
  const family = objectCommand(noun);
  const { verb, rest } = readVerb(noun, family, args);
  const name = `${noun} ${verb}`;
  const command = family.verbs![verb]!;
  const read = await withFiles(noun, readArguments(name, command, rest));
  if (verb === "list") return await list(noun, read, json);
  if (verb === "show") return await show(noun, name, command, read, json);
  const order = withUsage(name, command, () => orderFrom(noun, verb as Verb, read));
  return await change(order, read, json);
}

async function list(noun: Noun, { socket, operands, values, flags }: Arguments, json: boolean): Promise<number> {
  const { host } = values;
  const cluster = values["cluster"] ?? operands[0];
  const filter = { ...(host === undefined ? {} : { host }), ...(cluster === undefined ? {} : { cluster }) };
  const request: GetRequest = { object: noun, ...(Object.keys(filter).length === 0 ? {} : { filter }) };
  const answer = await ask<GetAnswer>(socket, "get", request);
  if (flags.has("names")) {
    const names = namesOf(noun, answer.values);
    if (json) printJson(names);
    else if (names.length > 0) print(names.join("\n"));
  } else if (json) printJson(answer);
  else print(listText(noun, noun === "certificate" ? certificateRows(answer) : answer.values));
  return EXIT_DONE;
}

/** With what the certificates say of themselves. */
function certificateRows({ values, details = {} }: GetAnswer): Record<string, unknown>[] {
  return (values as Record<string, unknown>[]).map((row) => {
    const known = details[String(row.name)];
    if (!known) return row;
    return { ...row, names: known.names, key_type: known.key_type, days_left: known.days_left };
  });
}

async function show(noun: Noun, name: string, command: Command, read: Arguments, json: boolean): Promise<number> {
  const request = withUsage(name, command, () => whichOne(noun, read));
  const answer = await ask<GetAnswer>(read.socket, "get", request);
  if (json) printJson(answer);
  else {
    const { yamlText } = await import("./yaml.ts");
    const details = Object.values(answer.details ?? {});
    print([yamlText(answer.value ?? answer.values), ...details.map((known) => yamlText({ serves: known }))].join("\n"));
  }
  return EXIT_DONE;
}

function whichOne(noun: Noun, read: Arguments): GetRequest {
  const [first, second] = read.operands;
  switch (noun) {
    case "listener":
    case "cluster":
    case "certificate":
      return { object: noun, name: first! };
    case "backend":
      return { object: noun, filter: { cluster: first! }, name: second! };
    case "route":
      return { object: noun, key: routeKeyFrom(read) };
    case "settings":
      return { object: noun };
  }
}

/** The order that the arguments of `add`, `update` or `remove` say. Throws a UsageError. */
export function orderFrom(noun: Noun, verb: Verb, read: Arguments): Order {
  const [first, second] = read.operands;
  const value = verb === "remove" ? {} : { value: verb === "add" ? added(noun, read) : updated(noun, read) };
  switch (noun) {
    case "listener":
      return { order: verb, object: noun, name: first!, ...value };
    case "cluster":
      return { order: verb, object: noun, name: first!, ...value };
    case "certificate":
      return { order: verb, object: noun, name: first!, ...value };
    case "backend":
      return { order: verb, object: noun, cluster: first!, name: second!, ...value };
    case "route":
      return verb === "add"
        ? { order: verb, object: noun, ...value }
        : { order: verb, object: noun, key: routeKeyFrom(read), ...value };
    case "settings":
      return { order: "update", object: noun, value: value.value ?? {} };
  }
}

function added(noun: Noun, read: Arguments): Fields {
  const options = noun === "route" ? ROUTE_FIELDS : OBJECT_OPTIONS[noun].add;
  const missing = options.find((option) => isRequired(option) && read.values[option.name] === undefined);
  if (missing) throw new UsageError(`--${missing.name} is missing`);
  // A list that must be there may be empty all the same.
  const empty = options.filter(({ key, form, path }) =>
    form === "list" && path.length === 1 && key.default === undefined
  );
  return { ...Object.fromEntries(empty.map(({ path }) => [path[0]!, []])), ...fieldsFrom(options, read) };
}

function isRequired({ key, form }: ShapeOption): boolean {
  return form === "one" && key.default === undefined && key.inherits === undefined && key.derived === undefined;
}

function updated(noun: Noun, read: Arguments): Fields {
  const { update } = OBJECT_OPTIONS[noun];
  const value = putDefaults(fieldsFrom(update, read), update, read.lists["default"] ?? []);
  if (Object.keys(value).length > 0 || noun === "certificate") return value;
  throw new UsageError(
    `nothing to change is given; expected ${update.map(({ name }) => `--${name}`).join(", ")} or --default`,
  );
}

function routeKeyFrom(read: Arguments): RouteKey {
  const key = fieldsFrom(OBJECT_OPTIONS.route.key, read);
  if (Object.keys(key).length > 0) return key;
  // A route for all requests is named, too, or a forgotten option would be taken for it.
  const names = OBJECT_OPTIONS.route.key.map(({ name }) => `--${name}`).join(", ");
  throw new UsageError(`which route is not said; expected ${names} (--host '*' is any)`);
}

async function change(order: Order, read: Arguments, json: boolean): Promise<number> {
  const orders = { orders: [order] };
  if (read.flags.has("plan")) return await showPlan(read.socket, orders, json);
  const apply = { ...orders, ...changeOptions(read) };
  using connection = await openConnection(read.socket);
  const untilDrained = read.flags.has("wait") && order.object === "backend"
    ? await listenForDrained(connection, order.cluster, order.name)
    : undefined;
  await carryOut(connection, { apply }, json);
  await untilDrained?.(json);
  return EXIT_DONE;
}
