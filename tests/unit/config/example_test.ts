// The example of the library: what it prints for two files. And the configurations, which must be right.

import { checkState, loadStateFile, toFile } from "../../../src/ts/config/mod.ts";
import { assertEquals } from "../../support/assert.ts";

const EXAMPLE = new URL("../../../examples/diff_two_files.ts", import.meta.url).href;

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-read", "--allow-env", "--no-prompt", EXAMPLE, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("examples/diff_two_files.ts prints the difference and the orders", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [before, after, bad] = [`${folder}/before.yaml`, `${folder}/after.yaml`, `${folder}/bad.yaml`];
    await Deno.writeTextFile(
      before,
      'listeners: {}\nclusters: { app: { backends: ["a:1"] } }\nroutes: [{ host: a.example, cluster: app }]\n',
    );
    await Deno.writeTextFile(
      after,
      'listeners: {}\nclusters: { app: { backends: ["b:1"] } }\nroutes: [{ host: a.example, cluster: app }]\n' +
        "timeouts: { idle: 30s }\n",
    );
    await Deno.writeTextFile(bad, "listeners: []\n");
    assertEquals(await run(before, after), {
      code: 0,
      stdout: `~ settings
    timeouts.idle: "75s" -> "30s"
- backend a:1 of cluster app
+ backend b:1 of cluster app

{"order":"add","object":"backend","cluster":"app","name":"b:1"}
{"order":"remove","object":"backend","cluster":"app","name":"a:1"}
{"order":"update","object":"settings","value":{"timeouts":{"idle":"30s"}}}
`,
      stderr: "",
    });
    assertEquals(await run(before, bad), {
      code: 1,
      stdout: "",
      stderr: `${bad}:1:12: listeners: expected a map of NAME to value, got a list\n`,
    });
    assertEquals((await run(before)).code, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("examples/grpc.yaml is accepted, and says nothing that is the default", async () => {
  const file = new URL("../../../examples/grpc.yaml", import.meta.url).pathname;
  const { state, errors } = await loadStateFile(file);
  assertEquals(errors, undefined);
  const form = toFile(state!) as any;
  const { greeter, billing } = form.clusters;
  assertEquals([greeter.protocol, greeter.tls, billing.protocol, billing.tls], [
    "h2c",
    undefined,
    "h2",
    { server_name: "billing.internal" },
  ]);
  assertEquals(checkState(form, "again").state, state);
});
