import { loadState } from "../../../src/ts/config/parse.ts";
import { hashState } from "../../../src/ts/config/state_hash.ts";
import type { State } from "../../../src/ts/config/state.ts";
import { readStateFile, StateFile, StateFileError } from "../../../src/ts/control/state_file.ts";
import { Log } from "../../../src/ts/observe/log.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";

function stateAt(path: string, routes: number): State {
  const loaded = loadState(
    JSON.stringify({
      control: { state_file: path },
      listeners: { web: { address: "127.0.0.1:80" } },
      clusters: {
        app: { backends: ["10.0.0.1:80"] },
        "other": { backends: ["10.0.0.2:80"], timeouts: { connect: "1s" } },
      },
      routes: Array.from({ length: routes }, (_, i) => ({ host: `h${i}.test`, cluster: i % 2 ? "app" : "other" })),
      answers: { 404: "nothing \u2028 here\n" },
    }),
    "test",
  );
  if (!loaded.state) throw new Error(JSON.stringify(loaded.errors));
  return loaded.state;
}

async function withFolder(body: (path: string, lines: string[]) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const lines: string[] = [];
  try {
    await body(`${folder}/state`, lines);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const save = (file: StateFile, state: State, revision: number) => file.save(state, revision, hashState(state));

Deno.test("a state that was saved is read again, with its number", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    for (const routes of [0, 1, 2_000, 4_500]) {
      const state = stateAt(path, routes);
      assertEquals(await save(file, state, routes), undefined);
      const stored = await readStateFile(path);
      assertEquals([stored!.revision, hashState(stored!.state)], [routes, hashState(state)]);
    }
    assertEquals((await readStateFile(`${path}.previous`))!.revision, 2_000);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    assertEquals([...Deno.readDirSync(path.slice(0, -6))].map(({ name }) => name).sort(), ["state", "state.previous"]);
  });
});

Deno.test("changes that come while a file is written share the next one", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    const saved = [1, 2, 3, 4, 5].map((revision) => save(file, stateAt(path, revision), revision));
    assertEquals(await Promise.all(saved), Array(5).fill(undefined));
    assertEquals((await readStateFile(path))!.revision, 5);
    assertEquals((await readStateFile(`${path}.previous`))!.revision, 1, "two files for five changes");
    await file.idle();
  });
});

Deno.test("a state file that is cut, changed, or none is refused with a reason, and stays", async () => {
  await withFolder(async (path) => {
    assertEquals(await readStateFile(path), undefined);
    await save(new StateFile(new Log(() => {})), stateAt(path, 20), 7);
    const whole = Deno.readFileSync(path);
    const cases: [string, Uint8Array, RegExp][] = [
      ["empty", new Uint8Array(), /cut off/],
      ["noise", crypto.getRandomValues(new Uint8Array(500)), /cut off|no state file|content/],
      ["yaml", new TextEncoder().encode("workers: 1\nlisteners: {}\n"), /no state file/],
    ];
    for (let cut = 1; cut < whole.length; cut += 37) cases.push([`cut at ${cut}`, whole.subarray(0, cut), /./]);
    for (let at = 0; at < whole.length; at += 41) {
      const changed = whole.slice();
      changed[at]! ^= 4;
      cases.push([`changed at ${at}`, changed, /./]);
    }
    for (const [name, bytes, reason] of cases) {
      Deno.writeFileSync(path, bytes);
      const error = await assertRejects(() => readStateFile(path), reason);
      assert(error instanceof StateFileError, `${name}: ${error}`);
      assertMatch(error.message, /^state file \S+: .*it stays as it is, the one before is \S+\.previous$/s, name);
      assertEquals(Deno.readFileSync(path), bytes);
    }
  });
});

Deno.test("a state that cannot be written is said so, and nothing else fails", async () => {
  await withFolder(async (path, lines) => {
    const file = new StateFile(new Log((line) => lines.push(line)));
    assertEquals(await save(file, stateAt("", 1), 1), undefined, "no file is wanted");
    assertMatch((await save(file, stateAt(`${path}/no/such`, 1), 2))!, /state file \S+: .*/);
    assertMatch(lines.join(""), /ERROR the state is not on the disk {2}revision=2/);
    assertEquals(await save(file, stateAt(path, 1), 3), undefined);
  });
});
