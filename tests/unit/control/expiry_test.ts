// When certificates expire, and how the keys of tickets are changed.

import type { Known } from "../../../src/ts/control/credentials.ts";
import { Events } from "../../../src/ts/control/events.ts";
import { daysLeft, Expiry } from "../../../src/ts/control/expiry.ts";
import type { ControlEvent } from "../../../src/ts/control/protocol.ts";
import { TicketKeys } from "../../../src/ts/control/ticket_keys.ts";
import { Log } from "../../../src/ts/observe/log.ts";
import { checkState } from "../../../src/ts/config/check_state.ts";
import { assertEquals } from "../../support/assert.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function known(notAfterMs: number): Known {
  const report = {
    names: [],
    subject: "",
    issuer: "",
    fingerprint: "",
    notBeforeMs: 0,
    notAfterMs,
    keyType: "rsa",
  } as const;
  const entry = { name: "a", names: [], at: 0, length: 0, keyType: "rsa" } as const;
  return { entry: { ...entry, names: [] }, report: { ...report, names: [] }, digest: "", stamp: "" };
}

Deno.test("daysLeft() is whole days, below 0 when it is over", () => {
  assertEquals([daysLeft(2 * DAY_MS, 0), daysLeft(DAY_MS - 1, 0), daysLeft(0, 0), daysLeft(0, 1)], [2, 0, 0, -1]);
});

Deno.test("Expiry tells once for each number of days that is passed, and anew of a new certificate", () => {
  const events = new Events();
  const told: ControlEvent[] = [];
  events.subscribe(["certificate.expiring"], (event) => told.push(event));
  const lines: string[] = [];
  const certificates = new Map([["a", known(100 * DAY_MS)]]);
  const expiry = new Expiry(() => certificates, events, new Log((line) => lines.push(line)));
  const daysTold = (nowMs: number) => {
    expiry.look(nowMs);
    return told.splice(0).map(({ certificate, days_left }) => [certificate, days_left]);
  };
  assertEquals(daysTold(0), []);
  for (let day = 0; day < 70; day++) assertEquals(daysTold(day * DAY_MS), []);
  assertEquals([daysTold(70 * DAY_MS), daysTold(70 * DAY_MS + 1), daysTold(71 * DAY_MS)], [[["a", 30]], [], []]);
  const later = Array.from({ length: 40 }, (_, at) => daysTold((71 + at) * DAY_MS)).flat();
  assertEquals(later, [["a", 14], ["a", 7], ["a", 3], ["a", 1], ["a", 0]]);
  certificates.set("a", known(112 * DAY_MS));
  assertEquals(daysTold(111 * DAY_MS), [["a", 1]], "another one under the same name");
  certificates.delete("a");
  assertEquals(daysTold(112 * DAY_MS), []);
  assertEquals(lines.length, 7);
  expiry.close();
});

Deno.test("TicketKeys keeps every key that a live ticket may need, and no more", () => {
  const keys = new TicketKeys();
  const state = (...lifetimes: string[]) => {
    const listeners = lifetimes.map((ticket_lifetime, at) => [
      `l${at}`,
      { address: `127.0.0.1:${at + 1}`, protocol: "https", tls: { ticket_lifetime } },
    ]);
    return checkState({ listeners: Object.fromEntries(listeners) }, "f").state!;
  };
  assertEquals([keys.follow(state()), keys.keys.length], [false, 0]);
  assertEquals([keys.follow(state("0s")), keys.keys.length], [false, 0]);
  assertEquals([keys.follow(state("12h", "1h"), 0), keys.keys.length, keys.intervalMs], [true, 1, 6 * HOUR_MS]);
  const issued: { key: string; atMs: number }[] = [];
  for (let atMs = 0; atMs < 100 * HOUR_MS; atMs += 6 * HOUR_MS) {
    if (atMs > 0) keys.rotate(atMs);
    issued.push({ key: keys.keys[0]!, atMs });
    // A ticket may have been given out until the next key came, and lives 12 hours from then.
    const alive = issued.filter((key) => key.atMs + 6 * HOUR_MS + 12 * HOUR_MS > atMs).map(({ key }) => key);
    assertEquals([...keys.keys], alive.reverse());
  }
  const before = [...keys.keys];
  const next = new TicketKeys();
  next.adopt(JSON.parse(JSON.stringify(keys.handOver())));
  next.follow(state("12h"), 96 * HOUR_MS);
  assertEquals([...next.keys], before, "what one main hands over to the next");
  assertEquals([keys.follow(state("7d"), 97 * HOUR_MS), keys.intervalMs], [false, 24 * HOUR_MS]);
  assertEquals([keys.follow(state("10s"), 97 * HOUR_MS), keys.intervalMs], [false, 60_000]);
  assertEquals([keys.follow(state("0s"), 97 * HOUR_MS), keys.keys.length], [true, 0]);
  keys.close();
  next.close();
});
