// The bound on handshakes in progress: who waits, who gives way.

import { Handshakes, type Handshaking } from "../../../src/ts/net/handshakes.ts";
import { assertEquals } from "../../support/assert.ts";

class Client implements Handshaking {
  handshakeBeganMs = 0;
  handshakeNext: Handshaking | null = null;
  handshakePrevious: Handshaking | null = null;
  out = false;
  constructor(private readonly of: Handshakes) {}
  crowdedOut(): void {
    this.out = true;
    this.of.leave(this);
  }
}

Deno.test("enter() beyond the bound waits, until the oldest has had time enough and gives way", () => {
  const handshakes = new Handshakes(2);
  const [a, b, c, d] = Array.from({ length: 4 }, () => new Client(handshakes)) as [Client, Client, Client, Client];
  assertEquals([handshakes.enter(a, 0), handshakes.enter(b, 500)], [true, true]);
  assertEquals(handshakes.enter(c, 999), false, "the oldest is younger than a second");
  assertEquals(handshakes.enter(c, 1000), true);
  assertEquals([a.out, b.out, handshakes.count], [true, false, 2]);
  assertEquals(handshakes.enter(d, 1400), false);
  handshakes.leave(b);
  assertEquals(handshakes.enter(d, 1400), true, "a place became free");
  assertEquals([c.out, handshakes.count], [false, 2]);
  handshakes.leave(d);
  handshakes.leave(c);
  assertEquals(handshakes.count, 0);
  assertEquals([handshakes.enter(a, 5000), handshakes.count], [true, 1]);
});

Deno.test("leave() takes out the first, the last and one in the middle", () => {
  for (const order of [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]]) {
    const handshakes = new Handshakes(3);
    const clients = Array.from({ length: 3 }, () => new Client(handshakes));
    for (const client of clients) handshakes.enter(client, 0);
    for (const index of order) handshakes.leave(clients[index]!);
    assertEquals(handshakes.count, 0);
    for (const client of clients) assertEquals(handshakes.enter(client, 0), true);
    assertEquals(handshakes.enter(new Client(handshakes), 10), false);
  }
});
