import type { ActivatedSocket } from "../../../src/ts/control/activation.ts";
import { Listeners } from "../../../src/ts/control/listeners.ts";
import { acceptConnection, inspectListener, openListeners } from "../../../src/ts/sys/listen.ts";
import { closeFd } from "../../../src/ts/sys/fds.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { makeListener } from "../../support/states.ts";

const listener = (address = "127.0.0.1:0", backlog = 64) => makeListener(address, backlog);
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

/** A socket that a service manager has passed. */
function activated(name: string): ActivatedSocket {
  const { fds: [fd], address } = openListeners("127.0.0.1:0", 1, 64);
  return { fd: fd!, name, address, fault: "" };
}

Deno.test("Listeners give a passed socket to every slot, and no seats beside it", () => {
  const web = activated("web");
  const listeners = new Listeners([web]);
  const prepared = listeners.prepare({ web: listener("127.0.0.1:1"), own: listener() }, 3);
  assertEquals(prepared.opened.map(({ name }) => name), ["own"]);
  listeners.commit(prepared);
  listeners.addSeats(5);
  assertEquals(seatsOf(listeners), [["web", 1], ["own", 5]]);
  for (const slots of [1, 2, 5]) {
    for (let slot = 0; slot < slots; slot++) {
      assertEquals(listeners.ofSlot(slot, slots).filter(({ name }) => name === "web"), [{ name: "web", fd: web.fd }]);
    }
  }
  assertEquals(listeners.all()[0]!.address, web.address);
  listeners.close(listeners.all());
  closeFd(web.fd);
});

Deno.test("Listeners keep a passed socket through changes of address and name, removal and return", () => {
  const web = activated("web");
  const listeners = new Listeners([web]);
  const change = (set: Parameters<Listeners["prepare"]>[0]) => {
    const prepared = listeners.prepare(set, 1);
    const left = listeners.leftBy(prepared);
    const removed = listeners.commit(prepared);
    listeners.close(removed);
    return [left, removed.map(({ name }) => name)];
  };
  const fdOf = (name: string) => listeners.all().find((one) => one.name === name)!.seats;
  assertEquals(change({ web: listener("127.0.0.1:1") }), [[], []]);
  assertEquals(change({ web: listener("127.0.0.1:2", 128) }), [[], []], "the workers need not do anything");
  assertEquals(fdOf("web"), [web.fd]);
  assertEquals(change({ front: listener("127.0.0.1:2") }), [["web"], []], "a new name for the same socket");
  assertEquals(fdOf("front"), [web.fd]);
  // The one with its name has no claim on it while another listener is on it; then it has.
  assertEquals(change({ front: listener("127.0.0.1:2"), web: listener() }), [[], []]);
  assert(fdOf("web")[0] !== web.fd);
  assertEquals(change({}), [["front", "web"], ["front", "web"]]);
  assertEquals(inspectListener(web.fd).fault, "", "it stays open");
  change({ back: listener(web.address) });
  assertEquals(fdOf("back"), [web.fd]);
  closeFd(web.fd);
});

Deno.test("Listeners never turn away from a passed socket, nor close it when a preparation is abandoned", async () => {
  const web = activated("web");
  const spare = activated("spare");
  const listeners = new Listeners([web, spare]);
  const prepared = listeners.prepare({ web: listener("127.0.0.1:1") }, 1);
  listeners.abandon(prepared);
  listeners.commit(prepared);
  assertEquals(listeners.closeUnused(), [spare]);
  assertEquals(listeners.closeUnused(), []);
  const removed = listeners.commit(listeners.prepare({}, 1));
  await listeners.retire(removed);
  listeners.close(removed);
  const client = await Deno.connect({ hostname: "127.0.0.1", port: Number(web.address.split(":")[1]) });
  const accepted = acceptConnection(web.fd);
  assert(accepted >= 0);
  client.close();
  [accepted, web.fd].forEach(closeFd);
});

Deno.test("Listeners that another main adopts know their passed sockets", () => {
  const web = activated("web");
  const listeners = new Listeners([web]);
  listeners.commit(listeners.prepare({ web: listener("127.0.0.1:1") }, 1));
  const next = new Listeners();
  next.adopt(JSON.parse(JSON.stringify(listeners.all())), JSON.parse(JSON.stringify(listeners.activated)));
  next.addSeats(3);
  assertEquals(seatsOf(next), [["web", 1]]);
  assertEquals(next.closeUnused(), []);
  next.close(next.commit(next.prepare({}, 1)));
  next.commit(next.prepare({ web: listener("127.0.0.1:3") }, 1));
  assertEquals(next.all()[0]!.seats, [web.fd]);
  closeFd(web.fd);
});
