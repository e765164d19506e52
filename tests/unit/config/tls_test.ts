// Certificates and TLS options in the configuration: what a file may say, what follows from the protocol of a listener, and
// what does not fit together.

import { applyOrders, checkState, diff, formatErrors, formatOrderError, toFile } from "../../../src/ts/config/mod.ts";
import { type Order, redirectPort, type State } from "../../../src/ts/config/mod.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

function stateOf(form: Record<string, unknown>): State {
  const { state, errors } = checkState({ listeners: {}, ...form }, "f");
  assert(state, errors && formatErrors(errors));
  return state;
}

function errorsOf(form: Record<string, unknown>): string {
  const { errors } = checkState({ listeners: {}, ...form }, "f");
  return formatErrors(errors ?? []);
}

function refusals(state: State, ...orders: unknown[]): string[] {
  return (applyOrders(state, orders).errors ?? []).map(formatOrderError);
}

Deno.test("certificates are a list in the file and have names in the state", () => {
  const state = stateOf({
    certificates: [
      { cert: "/etc/a.pem" },
      {
        name: "b",
        cert: `  text before\r\n${PEM.replaceAll("\n", "\r\n")}`,
        key: "/b.key",
        names: ["B.test.", "*.a.test"],
      },
    ],
  });
  assertEquals(state.certificates, {
    "/etc/a.pem": { cert: "/etc/a.pem", key: "", names: [], ocsp: "" },
    b: { cert: PEM, key: "/b.key", names: ["*.a.test", "b.test"], ocsp: "" },
  });
  assertEquals(toFile(state).certificates, [
    { cert: "/etc/a.pem" },
    { name: "b", cert: PEM, key: "/b.key", names: ["*.a.test", "b.test"] },
  ]);
});

Deno.test("a listener has TLS options exactly if it speaks https, whichever way it came to", () => {
  const listener = { address: "127.0.0.1:443", protocol: "https" };
  const state = stateOf({ listeners: { a: listener, b: { address: "127.0.0.1:80" } } });
  assertEquals(state.listeners["a"]!.tls!.alpn, ["h2", "http/1.1"]);
  assertEquals(state.listeners["b"]!.tls, null);
  assertEquals(toFile(state).listeners, { a: listener, b: { address: "127.0.0.1:80" } }, "what goes without saying");
  const update = (name: string, value: Record<string, unknown>): Order => {
    return { order: "update", object: "listener", name, value };
  };
  const swapped = applyOrders(state, [update("b", { protocol: "https" }), update("a", { protocol: "http" })]).state!;
  assertEquals([swapped.listeners["a"]!.tls, swapped.listeners["b"]!.tls], [null, state.listeners["a"]!.tls]);
  const back = applyOrders(swapped, diff(swapped, state)).state!;
  assertEquals(back.listeners, state.listeners);
  assertEquals(refusals(state, update("b", { tls: {} })), [
    'listener b: value.tls: expected TLS options only with "protocol: https", got them with http',
  ]);
  assertEquals(diff(state, applyOrders(state, [update("a", { tls: { hsts: "max-age=1" } })]).state!), [
    update("a", { tls: { hsts: "max-age=1" } }),
  ]);
});

Deno.test("redirectPort() is what is said, or the port that https listeners have", () => {
  const port = (redirect_https: unknown, ...https: number[]) => {
    const others = https.map((port, at) => [`s${at}`, { address: `127.0.0.1:${port}`, protocol: "https" }]);
    const { listeners } = stateOf({
      listeners: { a: { address: "127.0.0.1:80", redirect_https }, ...Object.fromEntries(others) },
    });
    return redirectPort(listeners["a"]!, Object.values(listeners));
  };
  assertEquals([port(false, 443), port(8443, 443), port(true, 8443)], [0, 8443, 8443]);
  assertEquals([port(true), port(true, 1443, 2443), port(true, 0)], [443, 443, 443]);
});

Deno.test("what does not fit together is refused, in a file and by orders", () => {
  const https = (more: object) => ({ listeners: { a: { address: "127.0.0.1:443", protocol: "https", ...more } } });
  const cases: [Record<string, unknown>, RegExp][] = [
    [https({ tls: { default_certificate: "x" } }), /default_certificate: expected the name of a certificate/],
    [https({ tls: "off" }), /tls: expected TLS options with "protocol: https", got off/],
    [https({ redirect_https: true }), /redirect_https: expected false with "protocol: https", got true/],
    [https({ h2c: true }), /h2c: expected false with "protocol: https", got true; with TLS, "tls.alpn" says/],
    [https({ tls: { alpn: ["h3"] } }), /alpn\[0\]: expected "h2" or "http\/1\.1", got "h3"/],
    [https({ http2: { max_concurrent_streams: 0 } }), /max_concurrent_streams: expected a whole number from 1 to 1024/],
    [https({ http2: { stream_window: 65534 } }), /stream_window: expected a size from 65535 to 16MiB/],
    [https({ http2: { abuse: { resets: -1 } } }), /abuse\.resets: expected a whole number from 0 to 1000000/],
    [https({ tls: { min_version: "1.3", max_version: "1.2" } }), /max_version: expected a version from min_version on/],
    [https({ tls: { client_certificate: "required" } }), /client_ca: expected certificates of authorities/],
    [https({ tls: { client_ca: "/ca.pem" } }), /client_ca: expected nothing with "client_certificate: off"/],
    [https({ tls: { ciphers: "A B" } }), /ciphers: expected names with ":" between them/],
    [https({ tls: { hsts: "a\r\nb: c" } }), /hsts: expected a value of at most 256 printable/],
    [{ listeners: { a: { address: "1.1.1.1:80", tls: {} } } }, /tls: expected TLS options only with "protocol: https"/],
    [
      { listeners: { a: { address: "1.1.1.1:80", redirect_https: "yes" } } },
      /expected false or true or a whole number/,
    ],
    [{ clusters: { c: { tls: { certificate: "x" } } } }, /tls\.certificate: expected the name of a certificate/],
    [
      { clusters: { c: { backends: [], tls: { verify: false, ca: "/x" } } } },
      /ca: expected nothing with "verify: false"/,
    ],
    [{ certificates: [{ cert: PEM, key: "/k" }] }, /certificates\[0\]\.name: expected a name, got nothing/],
    [{ certificates: [{ name: "a", cert: PEM }] }, /certificates\[0\]\.key: expected the key of a certificate/],
    [{ certificates: [{ cert: "/a" }, { name: "/a", cert: "/b" }] }, /name: expected each name once, got "\/a" again/],
    [{ certificates: [{ cert: "a.pem" }] }, /cert: expected an absolute path/],
    [{ certificates: [{ cert: "/a", names: ["*"] }] }, /names\[0\]: expected a host such as/],
    [{ certificates: { a: {} } }, /certificates: expected a list, got a map/],
  ];
  for (const [form, reason] of cases) assertMatch(errorsOf(form), reason, JSON.stringify(form));
});

Deno.test("a certificate goes after all that name it, and comes before", () => {
  const tls = (name: string) => ({ address: "127.0.0.1:443", protocol: "https", tls: { default_certificate: name } });
  const a = stateOf({ certificates: [{ name: "old", cert: "/a" }], listeners: { s: tls("old") } });
  const b = stateOf({ certificates: [{ name: "new", cert: "/a" }], listeners: { s: tls("new") } });
  const orders = diff(a, b);
  assertEquals(orders.map(({ order, object }) => `${order} ${object}`), [
    "add certificate",
    "update listener",
    "remove certificate",
  ]);
  assertEquals(refusals(a, { order: "remove", object: "certificate", name: "old" }), [
    "certificate old: expected a certificate that nothing names, listener s does",
  ]);
});
