// Certificates as objects of the state, over the workers of the tests: what a change brings reaches every worker, whatever is
// wrong changes nothing, and no key is anywhere but with main and the workers.

import { checkState } from "../../../src/ts/config/check_state.ts";
import { toFile } from "../../../src/ts/config/file_form.ts";
import type { State } from "../../../src/ts/config/state.ts";
import type { ControlError } from "../../../src/ts/control/errors.ts";
import { keyDigest } from "../../../src/ts/control/key_store.ts";
import { sendSignal, SIGKILL } from "../../../src/ts/sys/process.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { CertificateFolder } from "../../support/certificates.ts";
import { eventually } from "../../support/proxy.ts";
import { requireTools } from "../../support/require_tool.ts";
import { makeState } from "../../support/states.ts";
import { Bench, BY } from "./bench.ts";

const ignore = requireTools("openssl");

interface Served {
  slot: number;
  entries: { name: string; names: string[]; cert: string; key: string; keyType: string }[];
  files: Record<string, string>;
  ticketKeys: string[];
}

const add = (name: string, value: object) => ({ order: "add", object: "certificate", name, value });
const update = (name: string, value: object = {}) => ({ order: "update", object: "certificate", name, value });
const remove = (name: string) => ({ order: "remove", object: "certificate", name });
const text = (path: string) => Deno.readTextFileSync(path);

/** What all workers have, which must be the same. */
async function served(bench: Bench): Promise<Served> {
  await bench.assertAgreed();
  const address = bench.supervisor.listeners[0]!.address;
  const bySlot = new Map<number, Served>();
  await eventually("an answer of every worker", async () => {
    const answer: Served = await (await fetch(`http://${address}/credentials`)).json();
    bySlot.set(answer.slot, answer);
    return bySlot.size;
  }, (count) => count === bench.pids().length);
  const [first, ...others] = [...bySlot.values()];
  for (const { entries, files, ticketKeys } of others) {
    assertEquals(entries, first!.entries);
    assertEquals([files, ticketKeys], [first!.files, first!.ticketKeys]);
  }
  return first!;
}

const named = ({ entries }: Served) => Object.fromEntries(entries.map((entry) => [entry.name, entry]));
const base = () => makeState({ workers: 2 });

Deno.test(
  "certificates come, change and go without another worker, and a new worker has what all have",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    await using bench = new Bench();
    const [one, two] = [
      folder.make("one", { names: ["one.test"] }),
      folder.make("two", { key: "rsa", names: ["two.test"] }),
    ];
    await bench.apply(base());
    const pids = bench.pids();
    await bench.orders(add("one", one), add("two", { cert: text(two.cert), key: text(two.key) }));
    let known = named(await served(bench));
    assertEquals([known["one"]!.cert, known["one"]!.key], [text(one.cert), text(one.key)]);
    assertEquals([known["two"]!.key, known["two"]!.keyType, known["two"]!.names], [text(two.key), "rsa", ["two.test"]]);
    await bench.orders(update("one", { names: ["other.test"] }), remove("two"));
    known = named(await served(bench));
    assertEquals([Object.keys(known), known["one"]!.names], [["one"], ["other.test"]]);
    assertEquals(bench.pids(), pids);
    sendSignal(bench.pids()[0]!, SIGKILL);
    await eventually("a new worker", () => bench.pids(), (now) => now.length === 2 && now[0] !== pids[0]);
    assertEquals(named(await served(bench)), known);
    await bench.orders({ order: "update", object: "settings", value: { limits: { buffers: 65 } } });
    assertEquals(named(await served(bench)), known, "workers that were rolled");
    await bench.transactions.rollback(2, BY);
    assertEquals(named(await served(bench))["two"]!.key, text(two.key), "a key that came as text comes back");
  },
);

Deno.test(
  "whatever is wrong with certificates and TLS options is refused, and nothing has changed",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    await using bench = new Bench();
    const [pair, other] = [folder.make("a"), folder.make("b")];
    const tls = (more: object) => ({ address: "127.0.0.1:0", protocol: "https", tls: more });
    const listener = (more: object) => ({ order: "add", object: "listener", name: "tls", value: tls(more) });
    const cluster = (more: object) => ({
      order: "add",
      object: "cluster",
      name: "c",
      value: { backends: [], tls: more },
    });
    await bench.apply(base());
    await bench.orders(add("a", pair), listener({ default_certificate: "a" }));
    const now =
      async () => [bench.transactions.hash, bench.transactions.servedHash, (await served(bench)).entries, bench.pids()];
    const before = await now();
    const cases: [unknown[], RegExp][] = [
      [
        [add("b", { ...pair, key: other.key })],
        /certificate b: key: .*b\.key: expected the key of the certificate, got another/,
      ],
      [
        [add("b", other), add("c", { cert: "/none.pem" })],
        /certificate c: cert: \/none\.pem: expected a file that can be read/,
      ],
      [
        [add("b", { cert: text(other.cert), key: text(pair.key) })],
        /certificate b: key: the PEM: expected the key of the/,
      ],
      [
        [add("b", { cert: text(other.cert) })],
        /certificate b: value\.key: expected the key of a certificate .*PEM, got none/,
      ],
      [
        [add("b", { cert: text(other.key) })],
        /value\.cert: expected a certificate in PEM, got a private key; .* "key"/,
      ],
      [[add("b", { cert: "x.pem" })], /value\.cert: expected an absolute path/],
      [[update("a", { key: other.key })], /certificate a: key: /],
      [[remove("a")], /certificate a: expected a certificate that nothing names, listener tls does/],
      [[update("z")], /certificate z: name: expected a certificate that is there/],
      [[add("a", pair)], /expected a name that no certificate has, there is one already/],
      [[{ ...listener({ default_certificate: "aa" }), name: "t" }], /there is no "aa"; did you mean "a"\?/],
      [
        [{ ...listener({ ciphers: "NONSENSE" }), name: "t" }],
        /listener t: tls\.ciphers: expected names .* \(no cipher match\)/,
      ],
      [
        [{ ...listener({ groups: "P-257" }), name: "t" }],
        /tls\.groups: expected names that OpenSSL knows, got "P-257"/,
      ],
      [
        [{ ...listener({ client_certificate: "required" }), name: "t" }],
        /client_ca: expected certificates of authorities/,
      ],
      [
        [{ ...listener({ min_version: "1.3", max_version: "1.2" }), name: "t" }],
        /max_version: expected a version from/,
      ],
      [
        [{ ...listener({ client_certificate: "optional", client_ca: pair.key }), name: "t" }],
        /listener t: tls\.client_ca: .*a\.key: expected certificates in PEM, got none/,
      ],
      [[cluster({ ca: "/none.pem" })], /cluster c: tls\.ca: \/none\.pem: expected a file that can be read, got none/],
      [[cluster({ certificate: "q" })], /expected a certificate that is there, there is no "q"/],
      [[cluster({ verify: false, ca: pair.cert })], /tls\.ca: expected nothing with "verify: false"/],
      [
        [{ order: "update", object: "listener", name: "web", value: { tls: { min_version: "1.3" } } }],
        /value\.tls: expected TLS options only with "protocol: https", got them with http/,
      ],
    ];
    for (const [orders, reason] of cases) {
      const error = await assertRejects(() => bench.orders(...orders), reason) as ControlError;
      assertEquals(error.fields.code, "invalid");
      for (const key of [pair.key, other.key]) assertNoKey(JSON.stringify([error.message, error.fields]), text(key));
      assertEquals(await now(), before);
    }
    assertEquals(bench.lines.filter((line) => line.includes("died")), []);
  },
);

/** The lines behind the second one have the public key, which a certificate may have in the same letters. */
function assertNoKey(where: string, key: string): void {
  for (const line of key.split("\n").slice(1, 3)) {
    assert(line.length > 20 && !where.includes(line), `a line of a key in ${where.slice(0, 200)}`);
  }
}

Deno.test("a key that came as text is in no answer, event, line of the log, history or plan", { ignore }, async () => {
  await using folder = new CertificateFolder();
  await using bench = new Bench();
  const pair = folder.make("a", { names: ["a.test"] });
  const [cert, key] = [text(pair.cert), text(pair.key)];
  await bench.apply(base());
  const answers: unknown[] = [await bench.transactions.plan({ orders: [add("a", { cert, key })] })];
  assertEquals(bench.transactions.credentials.keys.size, 0, "a plan keeps nothing");
  answers.push(await bench.orders(add("a", { cert, key })));
  const { transactions } = bench;
  const whole = transactions.state;
  answers.push(
    toFile(whole),
    whole,
    transactions.history.reports(),
    transactions.history.entries,
    bench.told,
    bench.lines,
  );
  assertNoKey(JSON.stringify(answers), key);
  assertEquals(whole.certificates["a"]!.key, keyDigest(key));
  assertMatch(JSON.stringify(answers[0]), /sha256:[0-9a-f]{64}/);
  const wrongPlaces = [
    add("b", { cert, key: `${key}${key}` }),
    add("b", { cert, key: key.slice(0, -40) }),
    add("b", { cert, key: [key] }),
    add("b", { cert: key, key }),
    add("b", { cert, key, names: [key] }),
    add("b", { cert, key, ocsp: key }),
    add(key, { cert, key }),
    { order: "add", object: "listener", name: key, value: { address: key } },
    { order: "add", object: key },
    { [key]: key },
  ];
  for (const order of wrongPlaces) {
    const error = await assertRejects(() => bench.orders(order)) as ControlError;
    assertNoKey(JSON.stringify([error.message, error.fields]), key);
  }
  assertNoKey(bench.lines.join("\n"), key);
  const again = checkState(toFile(whole), "saved");
  assertEquals((again.state as State).certificates, whole.certificates);
});

Deno.test("files that have changed under their names are read anew, as a revision of its own", { ignore }, async () => {
  await using folder = new CertificateFolder();
  await using bench = new Bench();
  const pair = folder.make("a", { names: ["first.test"] });
  await bench.apply(base());
  await bench.orders(add("a", pair));
  const readAgain = () => bench.transactions.apply({ orders: [] }, { ...BY, readAgain: true });
  assertEquals((await readAgain()).revision, 2, "nothing has changed");
  assertEquals((await bench.orders(update("a"))).revision, 2);
  folder.make("a", { names: ["second.test"] });
  const answer = await readAgain();
  assertEquals([answer.revision, answer.differences, answer.read_anew], [3, [], ["a"]]);
  assertEquals(bench.transactions.history.reports()[0]!.what, "certificates read anew");
  assertEquals(named(await served(bench))["a"]!.names, ["second.test"]);
  folder.make("a", { names: ["third.test"] });
  assertEquals((await bench.orders(update("a"))).read_anew, ["a"]);
  assertEquals(named(await served(bench))["a"]!.names, ["third.test"]);
  Deno.writeTextFileSync(pair.cert, "gone wrong");
  await assertRejects(readAgain, /certificate a: cert: .*got something else/);
  assertEquals(named(await served(bench))["a"]!.names, ["third.test"]);
});

Deno.test(
  "keys of tickets come with the first https listener, to all workers, and go with the last",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    await using bench = new Bench();
    await bench.apply(base());
    assertEquals((await served(bench)).ticketKeys, []);
    const value = { address: "127.0.0.1:0", protocol: "https", tls: { default_certificate: "a" } };
    await bench.orders(add("a", folder.make("a")), { order: "add", object: "listener", name: "tls", value });
    const has = async (count: number) => {
      await eventually("keys", async () => (await served(bench)).ticketKeys.length, (length) => length === count);
      return (await served(bench)).ticketKeys;
    };
    const [first] = await has(1);
    assertEquals(Uint8Array.fromBase64(first!).length, 80);
    const { tickets } = bench.transactions.credentials;
    tickets.rotate();
    assertEquals((await has(2))[1], first);
    for (let i = 0; i < 5; i++) tickets.rotate();
    assertEquals((await has(3)).includes(first!), false, "as many as tickets can need");
    const pids = bench.pids();
    sendSignal(pids[1]!, SIGKILL);
    await eventually("a new worker", () => bench.pids(), (now) => now.length === 2 && now[1] !== pids[1]);
    assertEquals(await has(3), [...tickets.keys]);
    await bench.orders({ order: "remove", object: "listener", name: "tls" });
    await has(0);
    tickets.close();
  },
);
