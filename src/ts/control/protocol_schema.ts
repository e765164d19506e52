// The control protocol as a JSON Schema (draft 2020-12), for clients in other languages: a line of a client is a `request`,
// a line of the proxy an `answer`; what an `ok` holds beside id and status is told for each verb in `answers`.

import { type JsonSchema, jsonSchema } from "../config/json_schema.ts";
import { orderSchema } from "../config/order_schema.ts";
import { LOG_LEVELS } from "../observe/log.ts";
import { ERROR_CODES, EVENT_NAMES, HISTORY_MAX, OBJECT_KINDS, type Verb, VERBS, WORKERS_MAX } from "./protocol.ts";

const text = { type: "string" };
const number = { type: "number" };
const flag = { type: "boolean" };
const count = { type: "integer", minimum: 0 };
const anything = {};
const ref = (name: string) => ({ $ref: `#/$defs/${name}` });
const list = (items: JsonSchema) => ({ type: "array", items });
const choice = (...words: readonly string[]) => ({ enum: [...words] });
const orNull = (schema: JsonSchema) => ({ anyOf: [schema, { type: "null" }] });
const counts = { type: "object", additionalProperties: number };
const pairs = list({ type: "array", items: text, minItems: 2, maxItems: 2 });

/** All keys but those with a question mark at the end must be there. */
function record(keys: Record<string, JsonSchema>, more = false): JsonSchema {
  const entries = Object.entries(keys).map(([name, schema]) => [name.replace("?", ""), schema]);
  const required = Object.keys(keys).filter((name) => !name.endsWith("?"));
  return { type: "object", properties: Object.fromEntries(entries), required, additionalProperties: more };
}

const CHANGE = { "text?": text, "file_name?": text, "state?": ref("state"), "orders?": list(ref("order")) };
const GUARDS = { "if_revision?": count, "why?": text };
const ONE_CHANGE = { oneOf: ["text", "state", "orders"].map((name) => ({ required: [name] })) };

/** What each verb takes beside id and verb. */
const REQUESTS: Record<Verb, { keys: Record<string, JsonSchema>; more?: JsonSchema; about: string }> = {
  apply: { keys: { ...CHANGE, ...GUARDS }, more: ONE_CHANGE, about: "Serve a change, as one transaction." },
  explain: {
    keys: { url: text, "method?": text, "headers?": pairs, "client?": text },
    about: "Which rule would answer a request, and why.",
  },
  get: {
    keys: {
      "object?": choice(...OBJECT_KINDS),
      "name?": text,
      "key?": ref("routeKey"),
      "filter?": record({ "host?": text, "cluster?": text }),
    },
    about: "The state or a part of it.",
  },
  history: {
    keys: { "limit?": { type: "integer", minimum: 1, maximum: HISTORY_MAX } },
    about: "Revisions, the newest first.",
  },
  log: { keys: { level: choice(...LOG_LEVELS) }, about: "Level of the log until it is set again." },
  metrics: { keys: {}, about: "Everything that is counted, for Prometheus." },
  plan: { keys: CHANGE, more: ONE_CHANGE, about: "What a change would do; nothing is done." },
  rollback: { keys: { "revision?": count, ...GUARDS }, about: "Serve the state of an earlier revision again." },
  status: { keys: {}, about: "What runs, and what it counted." },
  stop: { keys: { "now?": flag }, about: "End the proxy." },
  subscribe: {
    keys: { "events?": list(choice(...EVENT_NAMES)) },
    about: "Events as they happen, until the client goes.",
  },
  upgrade: {
    keys: { "binary?": text },
    about: "Go on with another program, or the same file anew, in the place of this one.",
  },
  version: { keys: {}, about: "Versions of the proxy and its runtime." },
  workers: {
    keys: { "set?": { type: "integer", minimum: 1, maximum: WORKERS_MAX }, "restart?": flag },
    about: "The worker processes; how many there are, or new ones in their place.",
  },
};

const EFFECTS = list(choice("live", "rolls workers"));
const DIFFERENCES = list(ref("difference"));

const APPLIED = {
  revision: count,
  hash: text,
  differences: DIFFERENCES,
  effects: EFFECTS,
  took_ms: number,
  paused_us: number,
  "not_durable?": text,
  "read_anew?": list(text),
};

const OPENSSL = orNull(record({ version: text, from: choice("host", "binary") }));
const CERTIFICATE_DETAILS = record({
  names: list(text),
  subject: text,
  issuer: text,
  fingerprint: text,
  not_before: text,
  not_after: text,
  days_left: number,
  key_type: choice("rsa", "ecdsa", "ed25519"),
});

const PROTOCOL = choice("http/1.1", "h2", "h2c");

/** What an `ok` for each verb has. */
const ANSWERS: Record<Verb, Record<string, JsonSchema>> = {
  apply: APPLIED,
  explain: {
    listener: orNull(text),
    route: orNull(record({ key: ref("routeKey"), cluster: text })),
    considered: list(record({ key: ref("routeKey"), reason: text })),
    cluster: orNull(record({ name: text, balance: text, protocol: PROTOCOL, tls: flag })),
    backends: list(record({
      address: text,
      weight: number,
      standing: choice("up", "avoided", "draining"),
      fault: text,
      requests: number,
      connections: number,
    })),
    would_pick: orNull(text),
    refusal: orNull(text),
    headers_added: pairs,
    headers_removed: list(text),
    timeouts: counts,
  },
  get: {
    revision: count,
    "state?": ref("state"),
    "value?": anything,
    "values?": anything,
    "details?": { type: "object", additionalProperties: CERTIFICATE_DETAILS },
  },
  history: { revisions: list(ref("revision")) },
  log: { level: text },
  metrics: { text },
  plan: {
    revision: count,
    differences: DIFFERENCES,
    orders: list(ref("order")),
    effects: EFFECTS,
    hash_before: text,
    hash_after: text,
  },
  rollback: APPLIED,
  status: {
    version: text,
    pid: count,
    uptime_ms: number,
    upgrades: count,
    source: text,
    socket: text,
    revision: count,
    hash: text,
    served_hash: text,
    stopping: flag,
    memory_bytes: number,
    openssl: OPENSSL,
    listeners: list(record({ name: text, address: text })),
    clusters: record({ "http/1.1": count, h2: count, h2c: count }),
    certificates: record({
      count,
      expired: count,
      next: orNull(record({ name: text, not_after: text, days_left: number })),
    }),
    workers: list(ref("worker")),
    spare: orNull(record({ pid: count, memory_bytes: number })),
    counters: counts,
  },
  stop: {},
  subscribe: {},
  upgrade: { from_version: text, version: text, took_ms: number },
  version: { version: text, deno: text, v8: text, openssl: OPENSSL, pid: count },
  workers: { workers: list(ref("worker")) },
};

const DEFINITIONS: Record<string, JsonSchema> = {
  id: { type: ["string", "number"] },
  routeKey: record({
    "host?": text,
    "path?": text,
    "methods?": list(text),
    "headers?": { type: "object", additionalProperties: text },
    "priority?": { type: "integer" },
  }),
  difference: record({
    sign: choice("+", "~", "-"),
    object: choice(...OBJECT_KINDS),
    name: text,
    cluster: text,
    fields: list(record({ field: text, before: anything, after: anything })),
  }),
  revision: record({
    revision: count,
    at: { type: "string", format: "date-time" },
    who: record({ uid: count, pid: count, "name?": text }),
    what: text,
    added: count,
    changed: count,
    removed: count,
    why: text,
    hash: text,
    source: choice("start", "file", "orders", "rollback"),
  }),
  worker: record({
    slot: { type: "integer" },
    pid: count,
    state: choice("waiting", "starting", "serving", "draining", "ended"),
    uptime_ms: number,
    restarts: count,
    revision: count,
    hash: orNull(text),
    differs: flag,
    memory_bytes: number,
    sandbox: list(text),
    counters: orNull(counts),
  }),
  event: record({ name: choice(...EVENT_NAMES), at: { type: "string", format: "date-time" } }, true),
  ok: record({ id: ref("id"), status: { const: "ok" } }, true),
  progress: record({ id: ref("id"), status: { const: "progress" }, "event?": ref("event") }, true),
  error: record({
    id: orNull(ref("id")),
    status: { const: "error" },
    code: choice(...ERROR_CODES),
    reason: text,
    "object?": text,
    "revision?": count,
    "errors?": list(record({ object: text, reason: text, "expected?": text }, true)),
  }),
};

/** The whole protocol. */
export function protocolSchema(): JsonSchema {
  const requests = VERBS.map((verb) => {
    const { keys, more, about } = REQUESTS[verb];
    return { description: about, ...record({ id: ref("id"), verb: { const: verb }, ...keys }), ...more };
  });
  const answers = Object.fromEntries(
    VERBS.map((verb) => [verb, record({ id: ref("id"), status: { const: "ok" }, ...ANSWERS[verb] })]),
  );
  const { $schema: _, ...state } = jsonSchema();
  const { $schema: __, ...order } = orderSchema();
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Control protocol of kakehi",
    description: "JSON lines over a unix stream socket: clients send requests, the proxy sends answers.",
    oneOf: [ref("request"), ref("answer")],
    $defs: {
      ...DEFINITIONS,
      state,
      order,
      request: { oneOf: requests },
      answer: { oneOf: [ref("ok"), ref("progress"), ref("error")] },
      answers: { description: "The `ok` of each verb.", properties: answers },
    },
  };
}
