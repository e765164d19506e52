// events [NAME…]: what happens in the proxy, a line each, until it is interrupted or the proxy ends.

import { nearest } from "../config/nearest.ts";
import { type ControlEvent, EVENT_NAMES, type EventName } from "../control/protocol.ts";
import { readArguments, withUsage } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { openConnection } from "./connection.ts";
import { localTime } from "./history.ts";
import { EXIT_DONE, paint, print, printJson, shown, UsageError } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { operands, socket } = readArguments("events", COMMANDS.events, args);
  const events = withUsage("events", COMMANDS.events, () => [...new Set(operands.flatMap(namesFrom))]);
  const unread = Promise.withResolvers<void>();
  const onProgress = (fields: Record<string, unknown>) => {
    const event = fields["event"] as ControlEvent;
    if (!(json ? printJson(event) : print(eventText(event)))) unread.resolve();
  };
  using connection = await openConnection(socket);
  const wanted = events.length === 0 ? {} : { events };
  const ended = connection.request("subscribe", wanted, { onProgress, quietLimitMs: Infinity });
  await Promise.race([ended, unread.promise]);
  ended.catch(() => {});
  return EXIT_DONE;
}

/** `backend` is all events of backends. */
export function namesFrom(text: string): EventName[] {
  const found = EVENT_NAMES.filter((name) => name === text || name.startsWith(`${text.replace(/\.\*?$/, "")}.`));
  if (found.length > 0) return found;
  const near = nearest(text, EVENT_NAMES);
  const advice = near ? `did you mean ${near}?` : `the events are ${EVENT_NAMES.join(", ")}`;
  throw new UsageError(`there is no event ${JSON.stringify(text)}; ${advice}`);
}

/** `2026-01-31 17:05:09 backend.down cluster=app address=10.0.0.1:80`. */
export function eventText({ name, at, ...fields }: ControlEvent): string {
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`);
  return [localTime(at), paint("bold", name), ...pairs].join(" ");
}
