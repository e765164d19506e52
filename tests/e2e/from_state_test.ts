// `start --from-state`: what was changed since the configuration file was read outlives main.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { MainProcess, runCommand } from "../support/main_process.ts";

const configFor = (control: string) => `
control: { ${control} }
workers: 1
user: ""
sandbox: off
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["127.0.0.1:9"] } }
routes: [ { cluster: app } ]
`;
const CONFIG = configFor(`state_file: "{folder}/state"`);
const args = ["--from-state"];

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(main: MainProcess, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand([...words, "--socket", main.socket]);
  assertEquals([code, stderr], [0, ""], words.join(" "));
  return stdout;
}

async function stop(main: MainProcess): Promise<void> {
  main.signal("SIGTERM");
  assertEquals((await main.ended).code, 0);
}

const refused = (folder: string) =>
  runCommand(["start", "-c", `${folder}/kakehi.yaml`, "--socket", `${folder}/control.sock`, ...args]);

Deno.test("start --from-state begins with the state file, and with the configuration file while there is none", async () => {
  await inFolder(async (folder) => {
    {
      await using main = await MainProcess.start(CONFIG, { args, folder });
      assertMatch(
        main.log,
        /WARN {2}there is no state file yet: starting with the configuration file {2}path=\S+\/state\n/,
      );
      const http2 = ["--protocol", "h2c", "--http2-ping-interval", "3s"];
      await run(main, "cluster", "add", "more", "--backend", "127.0.0.1:10", ...http2);
      await run(main, "route", "add", "--host", "a.test", "--cluster", "more");
      await run(main, "workers", "set", "2");
      await stop(main);
    }
    {
      await using main = await MainProcess.start(CONFIG, { args, folder });
      assertMatch(
        main.log,
        /starting with the state file, not with the configuration file {2}path=\S+ revision=4 saved=/,
      );
      assertEquals((await main.ask()).revision, 4);
      assertMatch(await run(main, "route", "list"), /a\.test.*more/);
      assertMatch(await run(main, "cluster", "show", "more"), /\nprotocol: h2c\nhttp2:\n {2}ping_interval: 3s\n/);
      await main.logged(/slot=1 pid=/);
      // The file is what it was: reading it again comes back to it.
      main.signal("SIGHUP");
      await main.logged(/configuration applied {2}file=\S+ revision=5/);
      assert(!/a\.test/.test(await run(main, "route", "list")));
      await stop(main);
    }
    await using main = await MainProcess.start(CONFIG, { folder });
    assertEquals((await main.ask()).revision, 1, "without the option the file counts");
  });
});

Deno.test("start --from-state refuses a corrupt state file, which stays, and names the one before", async () => {
  await inFolder(async (folder) => {
    {
      await using main = await MainProcess.start(CONFIG, { args, folder });
      for (const workers of ["2", "3"]) await run(main, "workers", "set", workers);
      await stop(main);
    }
    {
      // Each start writes the file anew.
      await using main = await MainProcess.start(CONFIG, { args, folder });
      assertEquals((await main.ask()).revision, 3);
      await run(main, "workers", "set", "1");
      await stop(main);
    }
    const whole = await Deno.readTextFile(`${folder}/state`);
    const corrupt = whole.replace('"workers":3', '"workers":9');
    assert(corrupt !== whole);
    await Deno.writeTextFile(`${folder}/state`, corrupt);
    const { code, stdout, stderr } = await refused(folder);
    assertEquals([code, stdout], [1, ""]);
    const reason =
      /kakehi: state file (\S+)\/state: its content is not what the checksum says; it stays as it is, the one before is \1\/state\.previous\n/;
    assertMatch(stderr, reason);
    assertEquals(await Deno.readTextFile(`${folder}/state`), corrupt);

    await Deno.rename(`${folder}/state.previous`, `${folder}/state`);
    await using main = await MainProcess.start(CONFIG, { args, folder });
    assertEquals((await main.ask()).revision, 3);
  });
});

Deno.test("start --from-state drops a last change that is torn, and says so", async () => {
  await inFolder(async (folder) => {
    {
      await using main = await MainProcess.start(CONFIG, { args, folder });
      for (const workers of ["2", "3"]) await run(main, "workers", "set", workers);
      await stop(main);
    }
    const { size } = await Deno.stat(`${folder}/state`);
    await Deno.truncate(`${folder}/state`, size - 10);
    await using main = await MainProcess.start(CONFIG, { args, folder });
    assertEquals((await main.ask()).revision, 2);
    assertMatch(main.log, /WARN {2}state file \S+\/state: the last change, \d+ bytes from byte \d+ on, is not whole/);
  });
});

Deno.test("start --from-state needs control.state_file, and a configuration file that is right", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/kakehi.yaml`, configFor(""));
    const { code, stderr } = await refused(folder);
    assertEquals(code, 1);
    assertMatch(stderr, /kakehi: control\.state_file: expected the path of a state file to start from, got none\n/);
    await Deno.writeTextFile(`${folder}/kakehi.yaml`, configFor("state_file: relative"));
    assertMatch((await refused(folder)).stderr, /kakehi\.yaml:\d+:\d+: control\.state_file: expected an absolute path/);
    const misspelt = await runCommand(["start", "--from-sate"]);
    assertEquals(misspelt.code, 2);
    assertMatch(misspelt.stderr, /unknown option --from-sate; did you mean --from-state\?/);
  });
});
