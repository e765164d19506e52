import { loadState } from "../../../src/ts/config/parse.ts";
import { hashState } from "../../../src/ts/config/state_hash.ts";
import type { State } from "../../../src/ts/config/state.ts";
import { checksum } from "../../../src/ts/control/state_journal.ts";
import { VERSION } from "../../../src/ts/control/version.ts";
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

Deno.test("changes that come while one is written share the next write", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    const saved = [1, 2, 3, 4, 5].map((revision) => save(file, stateAt(path, revision), revision));
    assertEquals(await Promise.all(saved), Array(5).fill(undefined));
    assertEquals((await readStateFile(path))!.revision, 5);
    assertEquals(changesIn(path), 1, "the whole and one line for five changes");
    await file.idle();
  });
});

Deno.test("a state that was prepared is saved as a whole; one that was not, or was forgotten, as it is", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    await save(file, stateAt(path, 3_000), 1);
    const prepare = (state: State, revision: number) => file.prepare({ state, revision, hash: hashState(state) });
    const states = [4_000, 3_999, 3_998, 3_997].map((routes) => stateAt(path, routes));
    const lines: number[] = [];
    const saved = async (at: number, revision: number) => {
      assertEquals(await save(file, states[at]!, revision), undefined);
      const stored = await readStateFile(path);
      assertEquals([stored!.revision, stored!.state.routes.length], [revision, 4_000 - at]);
      lines.push(changesIn(path));
    };
    prepare(states[0]!, 2);
    await saved(0, 2);
    prepare(states[0]!, 3);
    await saved(1, 3); // another than was prepared
    prepare(states[2]!, 4);
    file.forget();
    await saved(2, 4);
    prepare(states[3]!, 4);
    await saved(3, 5); // prepared for another revision
    assertEquals(lines, [0, 1, 2, 3]);
  });
});

/** Lines behind the checksum of the whole state. */
function changesIn(path: string): number {
  return Deno.readTextFileSync(path).split("\n").filter((line) => line.startsWith('{"sha256"')).length - 1;
}

/** A file with a state of 3 routes as revision 3, and three changes, up to revision 6; and where its lines begin. */
async function fileWithChanges(path: string): Promise<{ bytes: Uint8Array<ArrayBuffer>; lines: number[] }> {
  const file = new StateFile(new Log(() => {}));
  for (const routes of [3, 4, 5, 6]) assertEquals(await save(file, stateAt(path, routes), routes), undefined);
  const bytes = Deno.readFileSync(path);
  const lines: number[] = [0];
  bytes.forEach((byte, at) => byte === 10 && lines.push(at + 1));
  return { bytes, lines: lines.slice(-4) };
}

Deno.test("a change is one line at the end of the file, until they are as long as the state", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    await save(file, stateAt(path, 2_000), 1);
    const [{ ino, size }, wholes] = [Deno.statSync(path), new Set<number | null>()];
    for (let revision = 2; revision < 12; revision++) await save(file, stateAt(path, 1_998 + revision), revision);
    const after = Deno.statSync(path);
    assertEquals(after.ino, ino, "it was not written anew");
    assert(after.size - size < 10 * 500, `ten changes took ${after.size - size} bytes`);
    assertEquals(changesIn(path), 10);
    for (let revision = 12; revision < 30; revision++) {
      await save(file, stateAt(path, revision % 2 ? 2_000 : 3_000), revision);
      wholes.add(Deno.statSync(path).ino);
      assert(Deno.statSync(path).size < 4 * size, "changes do not pile up");
      const stored = await readStateFile(path);
      assertEquals([stored!.revision, stored!.state.routes.length], [revision, revision % 2 ? 2_000 : 3_000]);
    }
    assert(wholes.size > 2 && wholes.size < 18, `${wholes.size} files for 18 changes`);
    assert((await readStateFile(`${path}.previous`))!.revision < 29);
  });
});

Deno.test("a last change that is torn is dropped with a warning that names it, at every byte", async () => {
  await withFolder(async (path) => {
    const { bytes, lines } = await fileWithChanges(path);
    const last = lines[2]!;
    for (let cut = last + 1; cut < bytes.length; cut += 13) {
      const torn = bytes.slice(0, cut);
      const zeroed = bytes.slice();
      zeroed.fill(0, cut);
      for (const content of [torn, zeroed]) {
        Deno.writeFileSync(path, content);
        const stored = await readStateFile(path);
        assertEquals([stored!.revision, stored!.state.routes.length], [5, 5]);
        const what = `the last change, \\d+ bytes from byte ${last} on, is not whole and is dropped: .* revision 5`;
        assertMatch(stored!.warning, new RegExp(`^state file \\S+: ${what}$`));
      }
    }
    Deno.writeFileSync(path, bytes.subarray(0, last));
    assertEquals((await readStateFile(path))!.warning, "", "nothing says that there was another");
  });
});

Deno.test("a change that is wrong before the last one, or missing, is refused with the reason", async () => {
  await withFolder(async (path) => {
    const { bytes, lines: [first, second, third] } = await fileWithChanges(path);
    const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
    const [whole, one, two, three] = [
      bytes.subarray(0, first),
      bytes.subarray(first, second),
      bytes.subarray(second, third),
      bytes.subarray(third),
    ];
    const cases: [string, Uint8Array, RegExp][] = [
      ["missing", joined(whole, two, three), /change 1 follows revision 4, expected 3: one is missing before it/],
      ["twice", joined(whole, one, one, two), /change 2 follows revision 3, expected 4/],
      ["another whole", joined((await wholeOf(`${path}-2`, path)).subarray(), one, two), /leads to another state/],
    ];
    for (let at = first!; at < third!; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      cases.push([`changed at ${at}`, changed, /change [12] \(from byte \d+ on\) is not what its checksum says/]);
    }
    for (const [name, content, reason] of cases) {
      Deno.writeFileSync(path, content);
      const error = await assertRejects(() => readStateFile(path), reason);
      assert(error instanceof StateFileError, `${name}: ${error}`);
      assertEquals(Deno.readFileSync(path), content);
    }
  });
});

/** The bytes of a file for a state of 2 routes that says that it is revision 3, of a state that is kept in `path`. */
async function wholeOf(path: string, inState: string): Promise<Uint8Array> {
  const state = stateAt(inState, 2);
  await save(new StateFile(new Log(() => {})), { ...state, control: { ...state.control, state_file: path } }, 3);
  return Deno.readFileSync(path);
}

Deno.test("a file of another version is read whatever it calls its states, and one of ours is not", async () => {
  await withFolder(async (path) => {
    const { bytes } = await fileWithChanges(path);
    const expected = await readStateFile(path);
    const otherHash = (line: string) => line.replace(/"hash":"[0-9a-f]{32}"/, `"hash":"${"0".repeat(32)}"`);
    const [head, ...lines] = new TextDecoder().decode(bytes).trimEnd().split("\n");
    const wholeEnd = lines.findIndex((line) => line.startsWith('{"sha256"'));
    for (
      const [version, reason] of [["0.0.9", undefined], [VERSION, /state is not the one that its hash says/]] as const
    ) {
      const whole = [otherHash(head!.replace(`"${VERSION}"`, `"${version}"`)), ...lines.slice(0, wholeEnd), ""].join(
        "\n",
      );
      const changes = await Promise.all(lines.slice(wholeEnd + 1).map((line) => signed(otherHash(line))));
      const sha256 = await checksum(new TextEncoder().encode(whole));
      Deno.writeTextFileSync(path, [`${whole}{"sha256":"${sha256}"}`, ...changes, ""].join("\n"));
      if (reason) await assertRejects(() => readStateFile(path), reason);
      else assertEquals(await readStateFile(path), expected);
    }
  });
});

/** The line of a change with a checksum that fits. */
async function signed(line: string): Promise<string> {
  const entry = line.slice(line.indexOf('"entry":') + '"entry":'.length, -1);
  return `{"sha256":"${await checksum(new TextEncoder().encode(entry))}","entry":${entry}}`;
}

Deno.test("a file that somebody replaced, removed or lengthened is written whole again", async () => {
  await withFolder(async (path) => {
    const file = new StateFile(new Log(() => {}));
    const harms = [
      () => Deno.removeSync(path),
      () => Deno.writeTextFileSync(path, "more", { append: true }),
      () => Deno.renameSync(path, `${path}.moved`),
      () => Deno.truncateSync(path, 100),
    ];
    await save(file, stateAt(path, 1), 1);
    for (const [i, harm] of harms.entries()) {
      harm();
      assertEquals(await save(file, stateAt(path, i + 2), i + 2), undefined);
      const stored = await readStateFile(path);
      assertEquals([stored!.revision, stored!.warning, changesIn(path)], [i + 2, "", 0]);
    }
  });
});

Deno.test("a state file that is cut, changed, or none is refused with a reason, and stays", async () => {
  await withFolder(async (path) => {
    assertEquals(await readStateFile(path), undefined);
    for (const revision of [6, 7]) await save(new StateFile(new Log(() => {})), stateAt(path, 20), revision);
    const whole = Deno.readFileSync(path);
    const cases: [string, Uint8Array, RegExp][] = [
      ["empty", new Uint8Array(), /cut off/],
      ["noise", crypto.getRandomValues(new Uint8Array(500)), /cut off|no state file|content/],
      ["yaml", new TextEncoder().encode("workers: 1\nlisteners: {}\n"), /cut off/],
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
