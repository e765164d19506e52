// The program: argv → command → exit code. Every command is imported only when it is asked for: starting up is part of what
// this program is judged by, and a worker, which is this same program started again, must load nothing of the command line or
// of the configuration's checker.
//
// Exit codes: 0 done · 1 refused or failed · 2 wrong usage · 3 the proxy cannot be reached

type Run = (args: string[], json: boolean) => Promise<number>;

/** Literal imports, so that a bundle can hold them all and still run the code of only one. */
const COMMANDS: Record<string, () => Promise<{ run: Run }>> = {
  start: () => import("./cli/start.ts"),
  check: () => import("./cli/check.ts"),
  plan: () => import("./cli/plan.ts"),
  apply: () => import("./cli/apply.ts"),
  rollback: () => import("./cli/rollback.ts"),
  history: () => import("./cli/history.ts"),
  explain: () => import("./cli/explain.ts"),
  listener: () => import("./cli/listener.ts"),
  cluster: () => import("./cli/cluster.ts"),
  backend: () => import("./cli/backend.ts"),
  route: () => import("./cli/route.ts"),
  certificate: () => import("./cli/certificate.ts"),
  settings: () => import("./cli/settings.ts"),
  state: () => import("./cli/state.ts"),
  status: () => import("./cli/status.ts"),
  metrics: () => import("./cli/metrics.ts"),
  events: () => import("./cli/events.ts"),
  top: () => import("./cli/top.ts"),
  workers: () => import("./cli/workers.ts"),
  log: () => import("./cli/log.ts"),
  upgrade: () => import("./cli/upgrade.ts"),
  stop: () => import("./cli/stop.ts"),
  schema: () => import("./cli/schema.ts"),
  completions: () => import("./cli/completions.ts"),
  version: () => import("./cli/version.ts"),
  help: () => import("./cli/help.ts"),
};

const SPELLINGS: Record<string, string> = { "--help": "help", "-h": "help", "--version": "version", "-V": "version" };

export async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === "worker") {
    const { runWorker } = await import("./worker/worker.ts");
    runWorker(Number(argv[1]));
    return 0;
  }
  if (["check-upgrade", "guard", "resume"].includes(argv[0] ?? "")) {
    return await (await import("./cli/resume.ts")).run(argv);
  }
  const json = argv.includes("--json");
  const [first = "help", ...args] = argv.filter((arg) => arg !== "--json");
  const isHelp = args.some((arg) => arg === "--help" || arg === "-h");
  const name = SPELLINGS[first] ?? (isHelp ? "help" : first);
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (!load) return (await import("./cli/unknown.ts")).refuseCommand(name, Object.keys(COMMANDS), json);
  try {
    const { run } = await load();
    return await run(isHelp && name !== first ? [first, ...args] : args, json);
  } catch (error) {
    return (await import("./cli/output.ts")).failWith(error as Error, json);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
