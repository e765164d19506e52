// Cost of the codec: heads read, heads written, a whole exchange, chunks, and a line of the access log. `deno bench -A
// benches/codec_bench.ts`. Compare the lines of a group, or with the same file on another commit in the same minute; what
// a request costs as a whole is benches/peers' to say.

import { makeWork } from "./codec_work.ts";

for (const { group, name, run } of makeWork()) Deno.bench(name, { group }, () => void run());
