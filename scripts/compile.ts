// Writes the single binary (default dist/kakehi): the bundle of scripts/bundle.ts inside an executable.
//
// `deno compile` where its base executable can be had, else, on x86-64 Linux, the bundle inside Deno's own executable
// (scripts/elf.ts). The result is started once before it takes its place: what cannot say its version is not a binary.
//
// With --with-openssl it carries the OpenSSL of this machine, for hosts that have none; there is room for that only behind
// Deno's own executable.
// Options: --output FILE, --with-openssl.

import { parseArgs } from "node:util";
import { dirname, resolve } from "node:path";
import { blockModule, blockOf, bundle, type Program, projectSources, wholeModule } from "./bundle.ts";
import { blockOffset, embedLaunch, type Launch } from "./elf.ts";

/** Longer than the download of the base executable takes on a slow line. */
const DENO_COMPILE_LIMIT_MS = 300_000;
/** Within this time the server that the base executable comes from must have answered something. */
const SERVER_ANSWER_LIMIT_MS = 5_000;
/** Many times what `version` takes on a busy machine. */
const VERSION_LIMIT_MS = 20_000;

/**
 * What the embedded executable runs. The flags keep it from the folder it is started in and from the network. The folder of
 * Deno's caches is a path that cannot exist, so that nothing is written into anybody's HOME; without the filter on its
 * log it would complain of that on a terminal.
 */
export function launchOf(program: string): Launch {
  const flags = [
    "--allow-all",
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--no-code-cache",
  ];
  return {
    // The first word is fixed: Deno takes other roles when it is started under certain names.
    command: ["kakehi", "run", ...flags, `data:text/javascript;base64,${new TextEncoder().encode(program).toBase64()}`],
    environment: [
      "DENO_DIR=/dev/null/kakehi",
      "DENO_LOG=info,deno::cache=off",
      "DENO_NO_PACKAGE_JSON=1",
      "DENO_NO_UPDATE_CHECK=1",
    ],
  };
}

/** Runs `deno compile`; gives the reason where it did not work. */
async function denoCompile(program: Program, output: string): Promise<string | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "kakehi-compile-" });
  try {
    const source = `${folder}/kakehi.mjs`;
    await Deno.writeTextFile(source, wholeModule(program));
    const rights = ["--allow-all", "--no-prompt"];
    const flags = ["--no-config", "--no-lock", "--no-npm", "--no-check", "--no-code-cache", ...rights];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["compile", ...flags, "--output", output, source],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return await outcome(child);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Waits for `deno compile`, but not on a network that swallows packets: the address it says it loads from must answer. */
async function outcome(child: Deno.ChildProcess): Promise<string | undefined> {
  let stopped = "";
  const stop = (reason: string) => {
    stopped ||= reason;
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has ended by itself meanwhile.
    }
  };
  const stopUnlessAnswered = async (address: string) => {
    if (!await answers(address)) stop(`${new URL(address).host} does not answer`);
  };
  const limit = setTimeout(() => stop(`it took more than ${DENO_COMPILE_LIMIT_MS / 1000} s`), DENO_COMPILE_LIMIT_MS);
  let said = "";
  let probe: Promise<void> | undefined;
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    const address = /Download (https?:\S+)\s/.exec(said)?.[1];
    if (address) probe ??= stopUnlessAnswered(address);
  }
  const { success } = await child.status;
  clearTimeout(limit);
  await probe;
  if (success) return undefined;
  return stopped || said.trim().split("\n").findLast((line) => /error/i.test(line))?.trim() || "it failed";
}

async function answers(address: string): Promise<boolean> {
  try {
    const response = await fetch(address, { method: "HEAD", signal: AbortSignal.timeout(SERVER_ANSWER_LIMIT_MS) });
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}

async function elfCompile(program: Program, output: string): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new Error(
      `no single binary for ${Deno.build.os} on ${Deno.build.arch} without deno compile: its other method is for linux on x86_64`,
    );
  }
  const base = await Deno.readFile(Deno.execPath());
  const launch = launchOf(blockModule(program, blockOffset(base)));
  await Deno.writeFile(output, embedLaunch(base, launch, blockOf(program)));
}

/** Starts the binary once and compares the version it prints. */
async function refusal(binary: string, version: string): Promise<string | undefined> {
  await Deno.chmod(binary, 0o755);
  const { success, stdout, stderr } = await new Deno.Command(binary, {
    args: ["version"],
    stdin: "null",
    signal: AbortSignal.timeout(VERSION_LIMIT_MS),
  }).output();
  const said = new TextDecoder().decode(success ? stdout : stderr).trim();
  return success && said.includes(version) ? undefined : `\`version\` of the binary printed: ${said || "nothing"}`;
}

const LIBRARIES = ["libcrypto.so.3", "libssl.so.3"] as const;

/** The files from which the dynamic linker has just loaded the libraries. */
async function hostOpenssl(): Promise<[Uint8Array, Uint8Array]> {
  const opened = LIBRARIES.map((name) => Deno.dlopen(name, {}));
  try {
    const maps = await Deno.readTextFile("/proc/self/maps");
    // behind the links of their names: libcrypto.so.3 may be libcrypto.so.3.0.7
    const paths = LIBRARIES.map((name) => maps.match(new RegExp(`/\\S*/${name}\\S*$`, "m"))?.[0]);
    if (paths.includes(undefined)) throw new Error(`where ${LIBRARIES.join(" and ")} were loaded from cannot be seen`);
    return [await Deno.readFile(paths[0]!), await Deno.readFile(paths[1]!)];
  } finally {
    opened.forEach((library) => library.close());
  }
}

async function compile(output: string, withOpenssl: boolean): Promise<void> {
  const program: Program = await bundle(await projectSources());
  if (withOpenssl) program.openssl = await hostOpenssl();
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  // Beside the result, so that the last step is a rename: a binary that runs is replaced, not written to.
  await Deno.mkdir(dirname(output), { recursive: true });
  const folder = await Deno.makeTempDir({ dir: dirname(output), prefix: ".compile-" });
  try {
    const draft = `${folder}/kakehi`;
    let method = "deno compile";
    const reason = withOpenssl ? "" : await denoCompile(program, draft) ?? await refusal(draft, version);
    if (reason !== undefined) {
      const why = withOpenssl ? "OpenSSL goes along" : `deno compile is not possible here (${reason})`;
      console.log(`${why}; writing the bundle into Deno's own executable`);
      method = "Deno's executable with the bundle inside";
      await elfCompile(program, draft);
      const failure = await refusal(draft, version);
      if (failure !== undefined) throw new Error(failure);
    }
    await Deno.rename(draft, output);
    const { size } = await Deno.stat(output);
    console.log(
      `${output}: kakehi ${version}, ${size} bytes, ${blockOf(program).length} of them the program (${method})`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        output: { type: "string", default: "dist/kakehi" },
        "with-openssl": { type: "boolean", default: false },
      },
    });
    await compile(resolve(values.output), values["with-openssl"]);
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
