// The commands for the objects of the state: `listener|cluster|backend|route|certificate list|show|add|update|remove`,
// and `settings show|update`. Each is an order to the proxy, or a question about one object; their options are those of the
// schema. What is special to one kind of object is in this file's table; what they do is in noun.ts.

import { BACKEND_VALUE, ROUTE_KEY, ROUTE_VALUE } from "../config/order_shapes.ts";
import { CLUSTER, LISTENER, ROUTE, SETTINGS } from "../config/schema.ts";
import { CERTIFICATE } from "../config/schema_tls.ts";
import { CHANGE_OPTIONS, type Command, type Operand, type Option } from "./command.ts";
import { declared, type ShapeOption, shapeOptions } from "./shape_options.ts";

export const NOUNS = ["listener", "cluster", "backend", "route", "certificate", "settings"] as const;
export type Noun = typeof NOUNS[number];

export interface ObjectOptions {
  /** What names the object; empty if operands do. */
  key: readonly ShapeOption[];
  /** Fields of a new object, beside its key. */
  add: readonly ShapeOption[];
  /** Fields that can change. */
  update: readonly ShapeOption[];
}

const NO_KEY: readonly ShapeOption[] = [];

export const OBJECT_OPTIONS: Readonly<Record<Noun, ObjectOptions>> = {
  listener: same(shapeOptions(LISTENER)),
  cluster: same(shapeOptions(CLUSTER)),
  backend: same(shapeOptions(BACKEND_VALUE)),
  route: { key: shapeOptions(ROUTE_KEY), add: shapeOptions(ROUTE_VALUE), update: shapeOptions(ROUTE_VALUE) },
  certificate: same(shapeOptions(CERTIFICATE)),
  settings: same(shapeOptions(SETTINGS)),
};

function same(options: readonly ShapeOption[]): ObjectOptions {
  return { key: NO_KEY, add: options, update: options };
}

const NAMES: Readonly<Record<Noun, readonly Operand[]>> = {
  listener: [{ name: "NAME", words: "listener" }],
  cluster: [{ name: "NAME", words: "cluster" }],
  backend: [{ name: "CLUSTER", words: "cluster" }, { name: "ADDRESS", words: "backend" }],
  route: [],
  certificate: [{ name: "NAME", words: "certificate" }],
  settings: [],
};

const ABOUT: Readonly<Record<Noun, string>> = {
  listener: "the sockets that clients connect to",
  cluster: "groups of backends that serve the same",
  backend: "the servers of a cluster",
  route: "rules from requests to clusters",
  certificate: "certificates with their keys",
  settings: "everything that has no name of its own: limits, timeouts, logs, workers",
};

const NAMES_ALONE: Option = { about: "the names alone, a line each" };
const PLAN: Option = { about: "show what would change, and change nothing" };
const DEFAULT: Option = {
  value: "OPTION",
  repeated: true,
  about: "bring back the default of an option (may be repeated)",
};
const WAIT: Option = { about: "wait until the last request that it carries has ended" };

const INLINE: Option = { about: "send the content of the files of --cert and --key, not their paths" };

const LIST_OPTIONS: Readonly<Partial<Record<Noun, Record<string, Option>>>> = {
  route: {
    host: { value: "HOST", about: "only those of this host" },
    cluster: { value: "NAME", about: "only those that lead to this cluster", words: "cluster" },
  },
  certificate: { host: { value: "HOST", about: "only those with this name in `names`" } },
};

const ADD_EXAMPLES: Readonly<Partial<Record<Noun, string[]>>> = {
  listener: ["listener add web --address 0.0.0.0:80"],
  cluster: [
    "cluster add app --balance least_requests --backend 10.0.0.1:80 --backend 10.0.0.2:80=2",
    "cluster add grpc --protocol h2c --backend 10.0.0.3:50051",
  ],
  backend: ["backend add app 10.0.0.3:80 --weight 2"],
  route: ["route add --host example.com --path '/api/*' --cluster app"],
  certificate: ["certificate add example --cert /etc/kakehi/example.pem --key /etc/kakehi/example.key"],
};

const UPDATE_EXAMPLES: Readonly<Partial<Record<Noun, string[]>>> = {
  listener: ["listener update web --address 0.0.0.0:8080"],
  cluster: ["cluster update app --timeouts-response 5m --default balance"],
  backend: ["backend update app 10.0.0.3:80 --weight 0"],
  route: ["route update --host example.com --path '/api/*' --cluster next"],
  certificate: ["certificate update example", "certificate update example --ocsp /etc/kakehi/example.ocsp"],
  settings: ["settings update --timeouts-idle 30s --limits-body-bytes 100MiB", "settings update --access-log off"],
};

const NOTES: Readonly<Partial<Record<Noun, string>>> = {
  listener: "A listener that is removed finishes the connections it has.",
  cluster: "In `update`, a list takes the place of the one that is there: `backend add` adds one server.",
  backend: "A backend that is removed finishes the requests it has; --wait says when the last one is done.",
  route: "What names a route is all that it asks for: host, path, methods, headers and priority.",
  certificate:
    "The proxy reads the files by itself; `update` without options reads them again. --inline sends what is in them.",
  settings:
    "Sizes and counts of memory are taken over by new workers, which take the place of the old ones without loss.",
};

/** The commands of a kind of object. */
export function objectCommand(noun: Noun): Command {
  const { key, add, update } = OBJECT_OPTIONS[noun];
  const operands = NAMES[noun];
  const keys = declared(key);
  const changing = { plan: PLAN, ...CHANGE_OPTIONS };
  const inline = noun === "certificate" ? { inline: INLINE } : {};
  const [article, thing] = noun === "settings" ? ["the", noun] : ["a", noun];
  const show: Command = { does: `show ${article} ${thing} as the file has it`, operands, options: keys, remote: true };
  const updateIt: Command = {
    does: `change ${article} ${thing}; what is not named stays as it is`,
    operands,
    options: { ...keys, ...declared(update, false), default: DEFAULT, ...inline, ...changing },
    remote: true,
    examples: UPDATE_EXAMPLES[noun] ?? [],
  };
  if (noun === "settings") return family(noun, { show, update: updateIt });
  const newOperands = operands.map((operand, at) => at === operands.length - 1 ? { name: operand.name } : operand);
  return family(noun, {
    list: {
      does: `show all ${thing}s`,
      operands: noun === "backend" ? [{ name: "CLUSTER", optional: true, words: "cluster" }] : [],
      options: { ...LIST_OPTIONS[noun], names: NAMES_ALONE },
      remote: true,
    },
    show,
    add: {
      does: `add a ${thing}`,
      operands: newOperands,
      options: { ...keys, ...declared(add), ...inline, ...changing },
      remote: true,
      examples: ADD_EXAMPLES[noun] ?? [],
    },
    update: updateIt,
    remove: {
      does: `remove a ${thing}`,
      operands,
      options: { ...keys, ...(noun === "backend" ? { wait: WAIT } : {}), ...changing },
      remote: true,
    },
  });
}

function family(noun: Noun, verbs: Record<string, Command>): Command {
  return {
    does: `${Object.keys(verbs).join(", ")}: ${ABOUT[noun]}`,
    verbs,
    ...(NOTES[noun] ? { more: NOTES[noun] } : {}),
  };
}

/** A route is its own key: what a flat value of a new one has. */
export const ROUTE_FIELDS = shapeOptions(ROUTE);
