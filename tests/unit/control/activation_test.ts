import { activatedFor, type ActivatedSocket, takeActivated } from "../../../src/ts/control/activation.ts";
import { closeFd } from "../../../src/ts/sys/fds.ts";
import { openListeners } from "../../../src/ts/sys/listen.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const socket = (fd: number, name: string, address: string, fault = ""): ActivatedSocket => ({
  fd,
  name,
  address,
  fault,
});

/** With these variables. */
function taken(variables: Record<string, string>): ActivatedSocket[] {
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  try {
    return takeActivated();
  } finally {
    for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) {
      assertEquals(Deno.env.has(name), false, name);
    }
  }
}

Deno.test("takeActivated() takes nothing that is meant for another process", () => {
  assertEquals(taken({}), []);
  assertEquals(taken({ LISTEN_FDS: "1" }), []);
  assertEquals(taken({ LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "web" }), []);
  assertEquals(taken({ LISTEN_PID: String(Deno.pid), LISTEN_FDS: "0" }), []);
});

Deno.test("takeActivated() refuses variables that make no sense, and descriptors that are the runtime's own", () => {
  const LISTEN_PID = String(Deno.pid);
  for (const LISTEN_FDS of ["", "-1", "one", "1 ", "1000000"]) {
    assertThrows(
      () => taken({ LISTEN_PID, LISTEN_FDS }),
      /^Error: LISTEN_FDS: expected a number of descriptors, got "/,
    );
  }
  for (const LISTEN_FDNAMES of ["", "a:b:c"]) {
    assertThrows(
      () => taken({ LISTEN_PID, LISTEN_FDS: "2", LISTEN_FDNAMES }),
      /^Error: LISTEN_FDNAMES: expected 2 names with ":" between them, got "/,
    );
  }
  const { fds } = openListeners("127.0.0.1:0", 1, 1);
  assertThrows(
    () => taken({ LISTEN_PID, LISTEN_FDS: String(fds[0]! + 1) }),
    /^Error: LISTEN_FDS: descriptor \d+ \("unknown"\) was not passed to this process/,
  );
  fds.forEach(closeFd);
});

Deno.test("activatedFor() finds the socket with the listener's name, then the one with its address", () => {
  const v4 = socket(3, "web", "0.0.0.0:80");
  const v6 = socket(4, "web", "[::]:80");
  const other = socket(5, "kakehi.socket", "127.0.0.1:8080");
  const udp = socket(6, "kakehi.socket", "127.0.0.1:53", "it is no TCP socket");
  const all = [v4, v6, other, udp];
  const cases: [string, string, ActivatedSocket | undefined, string[]][] = [
    ["web", "0.0.0.0:80", v4, []],
    ["web", "[0::0]:80", v6, []],
    ["web", "127.0.0.1:8080", v4, []], // its name decides, and the family
    ["web", "[::1]:443", v6, []],
    ["any", "127.0.0.1:8080", other, []],
    ["any", "[::]:80", v6, []],
    ["any", "[::]:80", undefined, ["web"]], // it is meant for another listener
    ["any", "127.0.0.1:80", undefined, []],
    ["any", "127.0.0.1:53", undefined, []],
    ["any", "127.0.0.1:0", undefined, []],
  ];
  for (const [name, address, expected, others] of cases) {
    assertEquals(activatedFor(all, name, address, new Set([name, ...others])), expected, `${name} ${address}`);
  }
  assertEquals(activatedFor([], "web", "0.0.0.0:80", new Set(["web"])), undefined);
});

Deno.test("activatedFor() refuses what has the name and cannot be listened on, and what could be either", () => {
  const find = (...sockets: ActivatedSocket[]) => () => activatedFor(sockets, "web", "0.0.0.0:80", new Set(["web"]));
  const unfit = [
    socket(3, "web", "", "it is no socket"),
    socket(3, "web", "[::]:80"),
    socket(3, "web", "0.0.0.0:80", "x"),
  ];
  for (const one of unfit) {
    const error = assertThrows(
      find(one),
      /listener web: descriptor 3 .*expected a listening IPv4 TCP socket, as for 0\.0\.0\.0:80/,
    );
    assert(error.name === "ChangeRefused");
  }
  assertThrows(
    find(socket(3, "web", "0.0.0.0:1"), socket(4, "web", "0.0.0.0:2")),
    /which of descriptor 3 .* and descriptor 4/,
  );
  const fine = socket(5, "web", "0.0.0.0:2");
  assertEquals(find(unfit[0]!, fine)(), fine, "one that is no socket is in nobody's way");
});
