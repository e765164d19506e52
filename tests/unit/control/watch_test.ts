import { FileWatch } from "../../../src/ts/control/watch.ts";
import { assertEquals } from "../../support/assert.ts";

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const INTERVAL_MS = 20;

Deno.test("FileWatch tells once of each change, however the file is replaced", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/file`;
  await Deno.writeTextFile(path, "1");
  let changes = 0;
  const watch = new FileWatch(path, Date.now() + 1, () => changes++, INTERVAL_MS);
  const steps: [() => void, number][] = [
    [() => {}, 0],
    [() => Deno.writeTextFileSync(path, "22"), 1],
    [() => {
      Deno.writeTextFileSync(`${path}.new`, "33");
      Deno.renameSync(`${path}.new`, path);
    }, 2],
    [() => Deno.removeSync(path), 2],
    [() => Deno.symlinkSync(`${path}.there`, path), 2],
    [() => Deno.writeTextFileSync(`${path}.there`, "4"), 3],
    [() => {}, 3],
  ];
  for (const [step, expected] of steps) {
    step();
    await delay(5 * INTERVAL_MS);
    assertEquals(changes, expected, step.toString());
  }
  watch.close();
  Deno.writeTextFileSync(path, "5");
  await delay(5 * INTERVAL_MS);
  assertEquals(changes, 3);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("FileWatch waits until a file that is being written rests", async () => {
  const path = await Deno.makeTempFile();
  const seen: string[] = [];
  const watch = new FileWatch(path, Date.now() + 1, () => seen.push(Deno.readTextFileSync(path)), 40);
  for (let i = 0; i < 10; i++) {
    Deno.writeTextFileSync(path, "x".repeat(i + 1));
    await delay(15);
  }
  await delay(200);
  watch.close();
  assertEquals(seen, ["x".repeat(10)]);
  await Deno.remove(path);
});

Deno.test("FileWatch tells of a change between the reading of the file and the beginning of the watch", async () => {
  const path = await Deno.makeTempFile();
  let changes = 0;
  const watch = new FileWatch(path, Date.now() - 10_000, () => changes++, INTERVAL_MS);
  await delay(5 * INTERVAL_MS);
  watch.close();
  assertEquals(changes, 1);
  await Deno.remove(path);
});
