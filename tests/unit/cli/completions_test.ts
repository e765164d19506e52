// The completions as the shells run them, with a kakehi that knows two clusters.

import { allCommands } from "../../../src/ts/cli/commands.ts";
import { commandText } from "../../../src/ts/cli/help.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { requireTools } from "../../support/require_tool.ts";

const MAIN = new URL("../../../src/ts/main.ts", import.meta.url);

async function output(program: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  return new TextDecoder().decode(stdout);
}

function scriptFor(shell: string): Promise<string> {
  return output(Deno.execPath(), ["run", "-A", "--no-prompt", MAIN.href, "completions", shell]);
}

Deno.test({
  name: "completions bash complete commands, options, words and names",
  ignore: requireTools("bash"),
  fn: async () => {
    const lines = [
      "st",
      "cluster ",
      "cluster add app --b",
      "cluster add app --balance ",
      "cluster update app --protocol h2",
      "--json workers r",
      "events backend.d",
      "explain http://a.test -X P",
      "log ",
      "cluster show ",
      "route add --host x --cluster n",
      "--socket /s backend remove app 10.0.0.1:",
      "plan /proc/sel",
      "version nothing",
    ];
    const asked = lines.map((line) => `try '${line}'`).join("\n");
    const text = await output("bash", [
      "-c",
      `kakehi() { case "$*" in
         "cluster list --names") echo app; echo next ;;
         "backend list --names --socket=/s") echo 10.0.0.1:80; echo 10.0.0.1:81; echo b:80 ;;
       esac; }
       ${await scriptFor("bash")}
       COMP_WORDBREAKS=$' \\n:='
       try() { COMP_LINE="kakehi $1"; COMP_POINT=\${#COMP_LINE}; _kakehi 2>/dev/null; echo "\${COMPREPLY[*]}"; }
       ${asked}`,
    ]);
    assertEquals(text.trimEnd().split("\n").map((line) => line.trim()), [
      "start state status stop",
      "list show add update remove",
      "--backend --balance",
      "round_robin random least_requests",
      "h2 h2c",
      "restart",
      "backend.down backend.drained",
      "POST PUT",
      "debug info warn error",
      "app next",
      "next",
      "80 81",
      "/proc/self",
    ]);
  },
});

/** Of these two shells few machines have any: unlike with bash, a machine without them is no failure in CI either. */
function isHere(shell: string): boolean {
  try {
    return new Deno.Command(shell, { args: ["-c", "true"] }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "completions zsh find the same words",
  ignore: !isHere("zsh"),
  fn: async () => {
    const script = await scriptFor("zsh");
    const words = (...given: string[]) => `_kakehi_words ${given.map((word) => `'${word}'`).join(" ")}`;
    const text = await output("zsh", [
      "-fc",
      `compdef() { :; }; kakehi() { echo "$#: $*"; }; ${script}
       ${words("", "cluster")}; ${words("", "cluster", "add", "app", "--balance")}
       ${words("", "--socket", "/s", "cluster", "show")}`,
    ]);
    assertEquals(text.trimEnd().split("\n"), [
      "list show add update remove",
      "round_robin random least_requests",
      "4: cluster list --names --socket=/s",
    ]);
  },
});

Deno.test({
  name: "completions fish complete commands, verbs, options and words",
  ignore: !isHere("fish"),
  fn: async () => {
    const lines = ["st", "cluster a", "cluster add app --b", "cluster add app --balance r", "log ", "events backend.d"];
    const asked = lines.map((line) => `string join -- ' ' (complete -C 'kakehi ${line}' | string split -f1 \\t)`);
    const text = await output("fish", ["-Nc", `${await scriptFor("fish")}\n${asked.join("\n")}`]);
    assertEquals(text.trimEnd().split("\n"), [
      "start state status stop",
      "add",
      "--backend --balance",
      "random round_robin",
      "debug error info warn",
      "backend.down backend.drained",
    ]);
  },
});

Deno.test("completions fish name every command", async () => {
  const script = await scriptFor("fish");
  for (const name of Object.keys(await allCommands())) {
    assertMatch(script, new RegExp(`__kakehi_is 0' -a ${name} -d '`));
  }
  assertMatch(script, /-n '__kakehi_is any cluster add' -l balance -x -a 'round_robin random least_requests' -d /);
});

Deno.test("every command of the program is described, and nothing else is", async () => {
  const table = /const COMMANDS.*?\n\};/s.exec(await Deno.readTextFile(MAIN))![0];
  const known = [...table.matchAll(/^ {2}(\w+): \(\) =>/gm)].map(([, name]) => name!);
  assertEquals(Object.keys(await allCommands()).sort(), known.sort());
});

Deno.test("the help of every command fits the screen and says how it is used", async () => {
  const all = Object.entries(await allCommands()).flatMap(([name, command]) => [
    [name, command] as const,
    ...Object.entries(command.verbs ?? {}).map(([verb, inner]) => [`${name} ${verb}`, inner] as const),
  ]);
  for (const [name, command] of all) {
    const text = commandText(name, command);
    assert(text.startsWith(`Usage: kakehi ${name}`), name);
    assert(command.does.length <= 100, `${name}: ${command.does}`);
  }
});
