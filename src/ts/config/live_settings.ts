// The settings that processes which serve take over; for all others new ones take their place.

import type { Settings, State } from "./state.ts";

export interface LiveSettings {
  timeouts: State["timeouts"];
  trusted_proxies: State["trusted_proxies"];
  answers: State["answers"];
  body_bytes: number;
}

/** Those that have something of it: `limits` sizes memory for the rest. */
export const LIVE_SETTINGS: readonly (keyof Settings)[] = ["timeouts", "trusted_proxies", "answers", "limits"];

export function liveSettings({ timeouts, trusted_proxies, answers, limits }: State): LiveSettings {
  return { timeouts, trusted_proxies, answers, body_bytes: limits.body_bytes };
}
