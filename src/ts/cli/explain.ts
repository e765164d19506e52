// explain URL [-X METHOD] [-H NAME:VALUE]… [--client ADDRESS]: what the proxy would do with a request, without sending one.

import { type RouteIdentity, routeName } from "../config/route_key.ts";
import type { RouteKey } from "../config/orders.ts";
import { formatDuration } from "../config/units.ts";
import type { ExplainAnswer, ExplainRequest } from "../control/protocol.ts";
import { type Arguments, readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { EXIT_DONE, paint, print, printJson, table, UsageError, visible } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const read = readArguments("explain", COMMANDS.explain, args);
  const answer = await ask<ExplainAnswer>(read.socket, "explain", requestOf(read));
  if (json) printJson(answer);
  else print(explainText(answer));
  return EXIT_DONE;
}

function requestOf({ operands, values, lists }: Arguments): ExplainRequest {
  const { request: method, client } = values;
  const headers = lists["header"]?.map(headerOf);
  return {
    url: operands[0]!,
    ...(method === undefined ? {} : { method }),
    ...(headers === undefined ? {} : { headers }),
    ...(client === undefined ? {} : { client }),
  };
}

function headerOf(text: string): [string, string] {
  const [, name, value] = /^([^:\s]+)\s*:\s*(.*?)\s*$/s.exec(text) ?? [];
  if (name === undefined) throw new UsageError(`-H: expected NAME:VALUE, got ${JSON.stringify(text)}`);
  return [name, value!];
}

export function explainText(answer: ExplainAnswer): string {
  const { listener, route, considered, cluster, backends } = answer;
  const facts: [string, string][] = [["listener", listener ?? "none has this port"]];
  facts.push(["route", route ? name(route.key) : "none: the answer is 404"]);
  if (route) facts.push(["cluster", cluster ? `${cluster.name} (${cluster.balance})` : route.cluster]);
  if (cluster) facts.push(["protocol", protocolText(cluster)]);
  if (answer.refusal !== null) facts.push(["refused", `${answer.refusal}: the request as such`]);
  if (cluster) facts.push(["would ask", answer.would_pick ?? "nobody: the answer is 503"]);
  const width = Math.max(...facts.map(([word]) => word.length));
  const parts = [facts.map(([word, value]) => `${word.padEnd(width)}  ${paint("bold", visible(value))}`).join("\n")];
  if (considered.length > 0) parts.push(consideredText(considered));
  if (backends.length > 0) parts.push(backendTable(backends, answer.would_pick));
  if (route) parts.push(...editsText(answer));
  return parts.join("\n\n");
}

function protocolText({ protocol, tls }: NonNullable<ExplainAnswer["cluster"]>): string {
  const version = protocol === "http/1.1" ? "HTTP/1.1" : "HTTP/2";
  return `${version}${tls ? " over TLS" : ""} (${protocol})`;
}

function consideredText(considered: ExplainAnswer["considered"]): string {
  const lines = considered.map(({ key, reason }) => `  ${name(key)}: ${visible(reason)}`);
  return ["also considered", ...lines].join("\n");
}

function backendTable(backends: ExplainAnswer["backends"], picked: string | null): string {
  const rows = backends.map(({ address, weight, standing, requests, connections }) => {
    return [address, String(weight), standing, String(requests), String(connections), address === picked ? "<-" : ""];
  });
  const faults = backends.flatMap(({ address, fault }) => fault === "" ? [] : [`  ${address}: ${visible(fault)}`]);
  const all = table(["BACKEND", "WEIGHT", "STANDING", "REQUESTS", "CONNECTIONS", ""], rows);
  return faults.length === 0 ? all : [all, "", "not reached", ...faults].join("\n");
}

function editsText({ headers_added, headers_removed, timeouts }: ExplainAnswer): string[] {
  const added = headers_added.map(([name, value]) => `  + ${visible(`${name}: ${value}`)}`);
  const removed = headers_removed.map((name) => `  - ${visible(name)}`);
  const times = Object.entries(timeouts).map(([name, ms]) => `${name} ${formatDuration(ms)}`).join(", ");
  const parts = added.length + removed.length === 0 ? [] : [["headers", ...added, ...removed].join("\n")];
  return times === "" ? parts : [...parts, `timeouts\n  ${times}`];
}

function name(key: RouteKey): string {
  const { host = "", path = "", methods = [], headers = {}, priority = 0 } = key;
  return visible(
    routeName({ host, path, methods: [...methods], headers: { ...headers }, priority } satisfies RouteIdentity),
  );
}
