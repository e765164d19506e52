// The program with the worker of the tests in place of the real one.

import { main } from "../../src/ts/main.ts";
import { runTestWorker } from "./test_worker.ts";

if (Deno.args[0] === "worker") await runTestWorker(Number(Deno.args[1]));
Deno.exit(await main(Deno.args));
