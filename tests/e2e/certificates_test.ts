// Certificates from the command line to the handshake, with the program as it is: added, replaced and removed while it
// serves, from paths and from their content, over restarts and with its files watched; and no key where none belongs.

import { runCommand } from "../support/main_process.ts";
import { type Ended } from "../support/main_process.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder, type Pair } from "../support/certificates.ts";
import { eventually } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const ignore = requireTools("openssl");
const MAIN = new URL("../../src/ts/main.ts", import.meta.url).pathname;

class Program implements AsyncDisposable {
  log = "";
  readonly #child: Deno.ChildProcess;
  readonly #collected: Promise<unknown>;

  constructor(readonly folder: string, ...args: string[]) {
    const words = ["run", "-A", "--no-prompt", MAIN, "start", "-c", `${folder}/kakehi.yaml`, ...args];
    this.#child = new Deno.Command(Deno.execPath(), { args: words, stdout: "piped", stderr: "piped" }).spawn();
    this.#collected = Promise.all([this.#child.stdout, this.#child.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.log += text;
    }));
  }

  async serves(): Promise<this> {
    await eventually("it serves", () => this.log, (log) => /INFO {2}serving/.test(log), 10_000);
    return this;
  }

  /** A command of the program, asked of this proxy. */
  async command(...args: string[]): Promise<Ended> {
    const words = ["run", "-A", "--no-prompt", MAIN, ...args, "--socket", `${this.folder}/control.sock`];
    const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: words }).output();
    return { code, signal, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  async done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(...args);
    assertEquals([code, stderr], [0, ""], args.join(" "));
    return stdout;
  }

  get address(): string {
    return /listening {2}listener=tls address=(\S+)/.exec(this.log)![1]!;
  }

  async [Symbol.asyncDispose]() {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#collected;
  }
}

/** The number of the alert. */
const UNRECOGNIZED_NAME = "112";

/** The subject of the certificate that is shown for a name, or what openssl says instead. */
async function shown(address: string, name: string): Promise<string> {
  const args = ["s_client", "-connect", address, "-servername", name];
  const child = new Deno.Command("openssl", { args, stdin: "null", stdout: "piped", stderr: "piped" });
  const { stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return /subject=CN = (\S+)/.exec(text)?.[1] ?? /alert number (\d+)/.exec(text)?.[1] ?? text;
}

function configuration(folder: string, more: string): string {
  return `
control: { socket: ${folder}/control.sock, state_file: ${folder}/state.json, watch: true }
user: ""
workers: 2
listeners: { tls: { address: "127.0.0.1:0", protocol: https } }
${more}
`;
}

/** The lines behind the second one have the public key, which a certificate may have in the same letters. */
function assertNoKey(text: string, { key }: Pair): void {
  const lines = Deno.readTextFileSync(key).split("\n").slice(1, 3);
  for (const line of lines) assert(line.length > 20 && !text.includes(line), "a line of a key");
}

Deno.test(
  "certificates are added, replaced and removed while it serves, and handshakes see it at once",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    const [first, second, third] = ["first", "second", "third"].map((name) => folder.make(name, { names: ["a.test"] }));
    folder.write(
      "kakehi.yaml",
      configuration(folder.path, `certificates: [{ name: a, cert: ${first!.cert}, key: ${first!.key} }]`),
    );
    await using program = await new Program(folder.path).serves();
    const { address } = program;
    assertEquals(await shown(address, "a.test"), "first");
    assertEquals(await shown(address, "b.test"), UNRECOGNIZED_NAME);
    await program.done("certificate", "update", "a", "--cert", second!.cert, "--key", second!.key);
    assertEquals(await shown(address, "a.test"), "second");
    await program.done(
      "certificate",
      "add",
      "b",
      "--cert",
      third!.cert,
      "--key",
      third!.key,
      "--name",
      "b.test",
      "--inline",
    );
    assertEquals(await shown(address, "b.test"), "third");
    const list = await program.done("certificate", "list");
    assertMatch(list, /NAME +CERT/);
    assertMatch(await program.done("certificate", "show", "b"), /fingerprint: /);
    assertMatch(await program.done("metrics"), /kakehi_certificate_days_left\{certificate="b"\} 89/);
    assertMatch(await program.done("status"), /2 certificates; /);
    const refused = await program.command("certificate", "update", "b", "--key", first!.key);
    assertEquals([refused.code, await shown(address, "b.test")], [1, "third"]);
    assertMatch(
      refused.stderr,
      /certificate b: key: .*first\.key: expected the key of the certificate, got another one/,
    );
    const everywhere = [
      list,
      program.log,
      await program.done("state", "save"),
      await program.done("history", "--json"),
    ];
    everywhere.push(
      await program.done("certificate", "show", "b", "--json"),
      Deno.readTextFileSync(`${folder.path}/state.json`),
    );
    for (const pair of [first!, second!, third!]) assertNoKey(everywhere.join("\n"), pair);
    const keys = `${folder.path}/state.json.keys`;
    const { mode, ino } = Deno.statSync(keys);
    assertEquals(mode! & 0o777, 0o600);
    await program.done("cluster", "add", "more", "--backend", "127.0.0.1:9");
    assertEquals(Deno.statSync(keys).ino, ino, "keys that stay are not written again");
    Deno.removeSync(keys);
    await program.done("cluster", "remove", "more");
    assertEquals(Deno.statSync(keys).mode! & 0o777, 0o600, "unless somebody has removed them");
    await program.done("certificate", "remove", "a");
    assertEquals(await shown(address, "a.test"), UNRECOGNIZED_NAME);
    folder.make("third", { names: ["b.test"] });
    await program.done("rollback");
    assertEquals(await shown(address, "a.test"), "second");
    await program.done("upgrade");
    assertEquals([await shown(address, "a.test"), await shown(address, "b.test")], ["second", "third"]);
    await program.done("certificate", "remove", "b");
    await program.done("rollback");
    assertEquals(await shown(address, "b.test"), "third", "the key of an earlier revision has come along");
  },
);

Deno.test("a default certificate gives way to others, with another kind of key too", { ignore }, async () => {
  await using folder = new CertificateFolder();
  const first = folder.make("first", { names: ["a.test"] });
  const second = folder.make("second", { names: ["a.test"], key: "rsa" });
  const other = folder.make("other", { names: ["b.test"], key: "rsa" });
  const certificates = [["a", first], ["b", other]] as const;
  const list = certificates.map(([name, { cert, key }]) => `{ name: ${name}, cert: ${cert}, key: ${key} }`);
  const text = configuration(folder.path, `certificates: [${list.join(", ")}]`);
  folder.write("kakehi.yaml", text.replace("protocol: https", "protocol: https, tls: { default_certificate: a }"));
  await using program = await new Program(folder.path).serves();
  const { address } = program;
  const all = () => Promise.all(["nobody.test", "a.test", "b.test"].map((name) => shown(address, name)));
  assertEquals(await all(), ["first", "first", "other"]);
  await program.done("certificate", "update", "a", "--cert", second.cert, "--key", second.key);
  assertEquals(await all(), ["second", "second", "other"]);
  await program.done("certificate", "update", "a", "--cert", first.cert, "--key", first.key);
  assertEquals(await all(), ["first", "first", "other"]);
});

Deno.test(
  "a key that came as text is there after a restart, and files that change are read anew",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    const [first, second] = ["first", "second"].map((name) => folder.make(name, { names: [`${name}.test`] }));
    folder.write("kakehi.yaml", configuration(folder.path, ""));
    {
      await using program = await new Program(folder.path).serves();
      await program.done("certificate", "add", "a", "--cert", first!.cert, "--key", first!.key, "--inline");
      await program.done("certificate", "add", "b", "--cert", second!.cert, "--key", second!.key);
    }
    await using program = await new Program(folder.path, "--from-state").serves();
    const { address } = program;
    assertEquals([await shown(address, "first.test"), await shown(address, "second.test")], ["first", "second"]);
    const next = folder.make("next", { names: ["next.test"] });
    await Deno.copyFile(next.cert, second!.cert);
    await eventually("it complains", () => program.log, (log) => /certificates were not read anew/.test(log));
    assertEquals(await shown(address, "second.test"), "second");
    await Deno.copyFile(next.key, second!.key);
    await eventually("it is read", () => shown(address, "next.test"), (name) => name === "next");
    assertMatch(await program.done("history"), /certificates read anew/);
  },
);

Deno.test("check says what is wrong with certificates", { ignore }, async () => {
  await using folder = new CertificateFolder();
  const [first, second] = ["first", "second"].map((name) => folder.make(name));
  const check = async (certificate: string) => {
    const file = folder.write("kakehi.yaml", configuration(folder.path, `certificates: [${certificate}]`));
    return await runCommand(["check", file]);
  };
  const right = await check(`{ cert: ${first!.cert}, key: ${first!.key} }`);
  assertEquals([right.code, right.stderr], [0, ""]);
  assertMatch(right.stdout, /1 certificate/);
  const wrong = await check(`{ cert: ${first!.cert}, key: ${second!.key} }`);
  assertEquals(wrong.code, 1);
  assertMatch(
    wrong.stderr,
    /kakehi\.yaml: certificate \S+first\.pem: key: \S+second\.key: expected the key of the cert/,
  );
  const text = Deno.readTextFileSync(first!.key);
  for (
    const bad of [
      `{ cert: ${first!.cert}, kye: ${JSON.stringify(text)} }`,
      `{ cert: x, key: |\n${text}`,
      `{ cert: x, key: |\n   ${text} }`,
    ]
  ) {
    const { code, stdout, stderr } = await check(bad);
    assertEquals(code, 1);
    assertNoKey(stdout + stderr, first!);
  }
});
