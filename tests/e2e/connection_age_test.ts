// timeouts.connection_age: a connection that has become too old takes no further request, and what is under way on it is
// finished; it changes while the proxy serves.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { Http2Client } from "../support/h2_client.ts";
import { startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { Client } from "../unit/control/client.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const END = "\r\nok\r\n0\r\n\r\n";
const GET = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";

Deno.test("a connection that is too old is left, in both versions, and no request is lost", async () => {
  const held: Http2Request[] = [];
  const answer = (one: Http2Request) => one.path === "/held" ? held.push(one) : one.connection.answer(one.id, "ok");
  await using backend = await Http2Backend.start({ onRequest: answer });
  await using proxy = await startProxy(`
workers: 1
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"], protocol: h2c } }
routes: [{ cluster: app }]
`);
  const port = proxy.port("web");
  using control = await Client.connect(proxy.socket);
  const limit = async (connection_age: string) => {
    const order = { order: "update", object: "settings", value: { timeouts: { connection_age } } };
    const { status, effects } = await control.ask({ verb: "apply", orders: [order] });
    assertEquals([status, effects], ["ok", ["live"]]);
  };
  await limit("500ms");

  using old = await connect(port);
  using busy = await Http2Client.connect(port);
  using idle = await Http2Client.connect(port);
  const answered = async () => {
    await old.write(GET);
    const end = await old.until("an answer", () => {
      const at = toText(old.received).indexOf(END);
      return at < 0 ? undefined : at + END.length;
    });
    return toText(old.take(end));
  };
  assert(!/^connection: close/mi.test(await answered()), "it is young");
  await busy.ask(1, "/held");
  await idle.ask(1, "/now");
  await idle.answer(1);
  await pause(550);
  assertMatch(await answered(), /^connection: close\r$/mi);
  assertEquals(await old.untilEnd(), "closed");
  await idle.peer.untilEnd();
  assertEquals(idle.words.filter((word) => word.startsWith("GOAWAY")), [
    "GOAWAY 2147483647 NO_ERROR",
    "GOAWAY 1 NO_ERROR",
  ]);
  await busy.seen("GOAWAY 2147483647 NO_ERROR");
  held[0]!.connection.answer(held[0]!.id, "late");
  assertEquals(toText((await busy.answer(1)).body), "late");
  await busy.peer.untilEnd();

  await limit("0s");
  using young = await Http2Client.connect(port);
  await pause(700);
  await young.ask(1, "/now");
  assertEquals(toText((await young.answer(1)).body), "ok");
  assertEquals(young.words.filter((word) => word.startsWith("GOAWAY")), []);
});
