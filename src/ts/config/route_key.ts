// What tells routes apart: host, path, methods, headers and priority; where they lead to, and how, is not part of it. As a key for maps, and as a name for people.

import { quote } from "./format_error.ts";
import type { RouteState } from "./state.ts";

/** The parts of a route that say which route it is, in canonical form. */
export type RouteIdentity = Omit<RouteState, "cluster" | "allow_misdirected">;

/** The same text for the same rule, and for no other. */
export function routeKey({ host, path, methods, headers, priority }: RouteIdentity): string {
  if (methods.length === 0 && isEmpty(headers)) return `${priority} ${host} ${path}`;
  return JSON.stringify([priority, host, path, methods, Object.entries(headers)]);
}

/** Host and path, and whatever else the rule asks for: `example.com /api/* GET,HEAD x-beta: 1 priority 5`. */
export function routeName({ host, path, methods, headers, priority }: RouteIdentity): string {
  const parts = [host || "*", path || "/*"];
  if (methods.length > 0) parts.push(methods.join(","));
  for (const [name, value] of Object.entries(headers)) parts.push(`${name}: ${plain(value)}`);
  if (priority !== 0) parts.push(`priority ${priority}`);
  return parts.join(" ");
}

function isEmpty(headers: Record<string, string>): boolean {
  for (const _ in headers) return false;
  return true;
}

/** A text without quotes if it is one word of plain characters. */
function plain(text: string): string {
  return /^[\w.*\/-]+$/.test(text) ? text : quote(text);
}
