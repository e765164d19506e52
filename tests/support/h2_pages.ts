// A page that needs a hundred things more (images, scripts, style sheets), as a server has it that knows only HTTP/1.1, and that
// says in its own text by which protocol each of them came: for a browser to load.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const IMAGES = 40;
const SCRIPTS = 30;
const SHEETS = 30;
export const RESOURCES = IMAGES + SCRIPTS + SHEETS;

/** What the page finds out. */
export interface Loaded {
  /** Images with a width, scripts that ran, rules that apply. */
  images: number;
  scripts: number;
  sheets: number;
  /** `nextHopProtocol` of the page and of each resource, and how many had it. */
  protocols: Record<string, number>;
}

const PAGE = `<!doctype html><title>page</title>
${Array.from({ length: SHEETS }, (_, i) => `<link rel="stylesheet" href="/sheet/${i}.css">`).join("\n")}
<script>let ran = 0;</script>
${Array.from({ length: SCRIPTS }, (_, i) => `<script src="/script/${i}.js"></script>`).join("\n")}
${Array.from({ length: SHEETS }, (_, i) => `<i id="s${i}"></i>`).join("\n")}
${Array.from({ length: IMAGES }, (_, i) => `<img src="/image/${i}.svg">`).join("\n")}
<pre id="loaded"></pre>
<script>
onload = () => {
  const protocols = {};
  const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  for (const { nextHopProtocol } of entries) protocols[nextHopProtocol] = (protocols[nextHopProtocol] ?? 0) + 1;
  const images = [...document.images].filter(({ naturalWidth }, i) => naturalWidth === i + 1).length;
  const isStyled = (one, i) => getComputedStyle(one).paddingLeft === i + 1 + "px";
  const sheets = [...document.querySelectorAll("i")].filter(isStyled).length;
  document.getElementById("loaded").textContent = JSON.stringify({ images, scripts: ran, sheets, protocols });
};
</script>
`;

/** What `text` of a page that has loaded says. */
export function readLoaded(text: string): Loaded {
  const found = text.match(/<pre id="loaded">(\{.*?\})<\/pre>/)?.[1];
  if (found === undefined) throw new Error(`the page has not loaded:\n${text.slice(0, 2000)}`);
  return JSON.parse(found.replaceAll("&quot;", '"'));
}

function contentOf(url: string): [type: string, text: string] | undefined {
  const [, kind, number] = url.split(/[/.]/);
  const n = Number(number);
  if (url === "/") return ["text/html; charset=utf-8", PAGE];
  // of all sizes, from less than a frame to many
  const filler = "/*" + "x".repeat(n * n * 100) + "*/";
  if (kind === "sheet") return ["text/css", `#s${n} { padding-left: ${n + 1}px }${filler}`];
  if (kind === "script") return ["text/javascript", `ran++;${filler}`];
  if (kind !== "image") return undefined;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${n + 1}" height="1"><!--${filler}--></svg>`;
  return ["image/svg+xml", svg];
}

export async function servePages(): Promise<{ address: string; server: Server }> {
  const server = createServer((request, response) => {
    const [type, text] = contentOf(request.url!) ?? [];
    response.writeHead(type === undefined ? 404 : 200, { "content-type": type ?? "text/plain" });
    response.end(text);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve);
  await promise;
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
