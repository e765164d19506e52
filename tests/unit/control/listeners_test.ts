import { Listeners } from "../../../src/ts/control/listeners.ts";
import { acceptConnection } from "../../../src/ts/sys/listen.ts";
import { closeFd } from "../../../src/ts/sys/fds.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const listener = (address = "127.0.0.1:0", backlog = 64) => ({ address, protocol: "http", backlog }) as const;
const seatsOf = (listeners: Listeners) => listeners.all().map(({ name, seats }) => [name, seats.length]);

Deno.test("Listeners.ofSlot() gives every seat to exactly one slot", () => {
  const listeners = new Listeners();
  listeners.commit(listeners.prepare({ a: listener(), b: listener() }, 3));
  const all = listeners.all().flatMap(({ seats }) => seats).sort();
  for (const slots of [1, 2, 3, 4, 7]) {
    const given = Array.from({ length: slots }, (_, slot) => listeners.ofSlot(slot, slots)).flat();
    assertEquals(given.map(({ fd }) => fd).sort(), all);
  }
  assertEquals(listeners.ofSlot(1, 3).map(({ name }) => name), ["a", "b"]);
  listeners.addSeats(5);
  assertEquals(seatsOf(listeners), [["a", 5], ["b", 5]]);
  listeners.addSeats(2);
  assertEquals(seatsOf(listeners), [["a", 5], ["b", 5]], "seats are never taken away");
  listeners.close(listeners.all());
});

Deno.test("Listeners.prepare() keeps the sockets of what stays, under whatever name", () => {
  const listeners = new Listeners();
  listeners.commit(listeners.prepare({ a: listener() }, 1));
  const { address } = listeners.all()[0]!;
  // Once more with the real port, so that the address says which one is meant.
  const removed = listeners.commit(listeners.prepare({ b: listener("127.0.0.1:0"), a: listener() }, 1));
  assertEquals(removed, []);
  assertEquals(listeners.all().find(({ name }) => name === "a")!.address, address);

  const fixed = new Listeners();
  fixed.commit(fixed.prepare({ old: listener(address.replace(/:.*/, ":0")) }, 1));
  const free = fixed.all()[0]!.address;
  fixed.close(fixed.all());
  const renamed = new Listeners();
  renamed.commit(renamed.prepare({ before: listener(free) }, 2));
  const seats = renamed.all()[0]!.seats;
  assertEquals(renamed.commit(renamed.prepare({ after: listener(free, 128) }, 2)), []);
  assertEquals(renamed.all().map(({ name, seats, backlog }) => [name, seats, backlog]), [["after", seats, 128]]);
  renamed.close(renamed.all());
  listeners.close(listeners.all());
});

Deno.test("Listeners.prepare() names the listener whose address is taken, and leaves nothing open", () => {
  const listeners = new Listeners();
  listeners.commit(listeners.prepare({ a: listener() }, 1));
  const { address } = listeners.all()[0]!;
  const other = new Listeners();
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = open();
  assertThrows(
    () => other.prepare({ fine: listener(), taken: listener(address) }, 2),
    new RegExp(`listener taken: ${address} is already in use by another process`),
  );
  assertEquals(open(), before);
  listeners.close(listeners.all());
});

Deno.test("Listeners.retire() comes back when nobody waits any more", async () => {
  const listeners = new Listeners();
  listeners.commit(listeners.prepare({ a: listener() }, 1));
  const { address, seats } = listeners.all()[0]!;
  const client = await Deno.connect({ hostname: "127.0.0.1", port: Number(address.split(":")[1]) });
  const removed = listeners.commit(listeners.prepare({}, 1));
  let accepted = -1;
  setTimeout(() => accepted = acceptConnection(seats[0]!), 150);
  await listeners.retire(removed);
  assert(accepted >= 0, "it came back before the connection that waited was accepted");
  listeners.close(removed);
  closeFd(accepted);
  client.close();
});
