// Bodies of all sizes through the real proxy, in both directions and both framings, every byte compared where it arrives;
// slow readers and writers on either side, during which the worker's memory must not grow with what waits.

import { assert } from "../support/assert.ts";
import { type BodyBackend, download, type Framing, startBodyBackend, upload } from "../support/bodies.ts";
import { memoryOf, type Proxy, startProxy } from "../support/proxy.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SIZES = [0, 1, 4 * KIB, 16 * KIB - 1, 16 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 64 * MIB];
/** What the worker may gain while bodies of any size pass: its buffers and pipes are there already. */
const GROWTH_MAX = 12 * MIB;

const transfers = { download, upload };
const directions = ["download", "upload"] as const;
const framings: Framing[] = ["length", "chunks"];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let backend: BodyBackend;
let proxy: Proxy;
let copying: Proxy;
const configuration = (limits: string) => `
limits: { ${limits} }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
`;

Deno.test.beforeAll(async () => {
  backend = startBodyBackend();
  proxy = await startProxy(configuration("buffers: 256"));
  copying = await startProxy(configuration("buffers: 256, pipes: 0"));
});
Deno.test.afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await copying[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

/** Runs `body` and checks that the worker is no larger in the midst of it, nor behind it. */
async function withinMemory(of: Proxy, body: (look: () => void) => Promise<void>): Promise<void> {
  const [worker = 0] = await of.workers();
  const before = memoryOf(worker).anonymous;
  let most = before;
  const look = () => {
    most = Math.max(most, memoryOf(worker).anonymous);
  };
  await body(look);
  look();
  const growth = most - before;
  assert(
    growth <= GROWTH_MAX,
    `the worker grew by ${(growth / MIB).toFixed(1)} MiB, from ${(before / MIB).toFixed(1)}`,
  );
}

for (const direction of directions) {
  for (const framing of framings) {
    Deno.test(`${direction}s by ${framing} of 0 B to 64 MiB arrive intact`, async () => {
      for (const size of SIZES) await transfers[direction](proxy.port("web"), size, framing);
    });

    Deno.test(`${direction}s by ${framing} without splice arrive intact`, async () => {
      for (const size of SIZES) await transfers[direction](copying.port("web"), size, framing);
    });

    Deno.test(`1 GiB arrives intact by ${framing} (${direction}), in the worker's own memory`, async () => {
      await withinMemory(proxy, async (look) => {
        let next = 0;
        await transfers[direction](proxy.port("web"), GIB, framing, (count) => {
          if (count < next) return;
          look();
          next = count + 64 * MIB;
        });
      });
    });
  }
}

Deno.test("many bodies at once, of different sizes and framings, do not mix", async () => {
  await Promise.all(Array.from({ length: 40 }, (_, index) => {
    const size = (index * 37_813) % (3 * MIB);
    const framing = framings[index % 2]!;
    return index % 3 === 0 ? upload(proxy.port("web"), size, framing) : download(proxy.port("web"), size, framing);
  }));
});

/** Slow in the beginning, when all buffers fill, and then as fast as it goes. */
function slowAtFirst(): () => Promise<void> | void {
  let pauses = 20;
  return () => pauses-- > 0 ? pause(25) : undefined;
}

for (const [kind, of] of [["splicing", () => proxy], ["copying", () => copying]] as const) {
  for (const framing of framings) {
    Deno.test(`slow clients that download by ${framing} do not fill the worker (${kind})`, async () => {
      await withinMemory(of(), async (look) => {
        const port = of().port("web");
        const all = Array.from({ length: 30 }, () => download(port, 16 * MIB, framing, slowAtFirst()));
        await pause(300);
        look();
        await Promise.all(all);
      });
    });

    Deno.test(`slow clients that upload by ${framing} are waited for (${kind})`, async () => {
      await withinMemory(of(), async (look) => {
        const port = of().port("web");
        const all = Array.from({ length: 20 }, () => upload(port, 4 * MIB, framing, slowAtFirst()));
        await pause(300);
        look();
        await Promise.all(all);
      });
    });

    Deno.test(`a slow backend that takes uploads by ${framing} does not fill the worker (${kind})`, async () => {
      backend.pause = () => pause(10);
      try {
        await withinMemory(of(), async (look) => {
          const port = of().port("web");
          const all = Array.from({ length: 10 }, () => upload(port, 8 * MIB, framing));
          await pause(300);
          look();
          delete backend.pause;
          await Promise.all(all);
        });
      } finally {
        delete backend.pause;
      }
    });
  }
}
