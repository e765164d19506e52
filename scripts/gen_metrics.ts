// Writes METRICS.md from what the metrics of a proxy say of themselves: every name with its type and meaning, and for those that
// are counted by something the values of the label. With --check it writes nothing and fails if the file is not what it would write.

import type { Known } from "../src/ts/control/credentials.ts";
import { metricsText } from "../src/ts/control/metrics.ts";
import type { ProxyStatus } from "../src/ts/control/protocol.ts";
import { COUNTERS, FIGURES, TLS_FIGURES } from "../src/ts/observe/counters.ts";
import { REFUSALS } from "../src/ts/proxy/answers.ts";
import { writeOrCheck } from "./generated.ts";

const MEANINGS: Readonly<Record<string, string>> = { ...COUNTERS, ...FIGURES, ...TLS_FIGURES };

const HEAD = `<!-- Generated from src/ts/observe/counters.ts by "deno task gen". Do not edit. -->

# Metrics

\`kakehi metrics\` prints them in the text format of Prometheus; the verb \`metrics\` of the [control socket](CONTROL.md) gives
the same text to a collector. \`kakehi status\` has the sums over all workers, with dots in the names (\`h2.streams\`), and
\`kakehi top\` shows the rates of the most important ones. What is of a worker has the labels \`worker\` (its slot) and \`pid\`: a
new process begins at 0 in a series of its own. How many requests and connections each backend of a cluster has is what
\`kakehi explain\` tells.
`;

interface Metric {
  name: string;
  type: string;
  help: string;
}

/** A status in which there is one of everything. */
function statusOfEverything(): ProxyStatus {
  const refused = [...REFUSALS.values()].map(({ name }) => `refused.${name}`);
  const counters = Object.fromEntries([...Object.keys(MEANINGS), ...refused].map((name) => [name, 0]));
  const worker = {
    slot: 0,
    pid: 1,
    state: "serving",
    restarts: 0,
    uptime_ms: 0,
    memory_bytes: 0,
    differs: false,
    counters,
  };
  return { workers: [worker], clusters: { "http/1.1": 0 } } as unknown as ProxyStatus;
}

const CERTIFICATES = new Map([["example", { report: { notAfterMs: 0 } } as unknown as Known]]);

function metricsOf(text: string): Metric[] {
  const found: Metric[] = [];
  for (const [, name = "", help = "", type = ""] of text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)) {
    found.push({ name, type, help });
  }
  return found;
}

function table(rows: readonly string[][]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function metricTable(metrics: readonly Metric[]): string {
  const rows = metrics.map(({ name, type, help }) => [`\`${name}\``, type, help]);
  return table([["name", "type", "meaning"], ["---", "---", "---"], ...rows]);
}

/** What is counted by a reason has a table of the reasons. */
function reasonTables(text: string): string {
  const named: [string, string, (reason: string) => string][] = [
    ["kakehi_h2_abuse_total", "of `listeners.NAME.http2`", (reason) => MEANINGS[`h2.abuse.${reason}`]!],
    ["kakehi_refused_total", "and what clients are told", refusalText],
    ["kakehi_tls_failed_total", "towards clients", (reason) => MEANINGS[`tls.failed.${reason}`]!],
    ["kakehi_upstreams_tls_failed_total", "towards backends", (reason) => MEANINGS[`upstreams.tls_failed.${reason}`]!],
  ];
  return named.map(([metric, where, meaning]) => {
    const reasons = [...text.matchAll(new RegExp(`^${metric}\\{.*reason="([^"]+)"`, "gm"))].map(([, reason]) =>
      reason!
    );
    const rows = reasons.map((reason) => [`\`${reason}\``, meaning(reason)]);
    return `## Reasons of \`${metric}\`, ${where}\n\n${table([["reason", "meaning"], ["---", "---"], ...rows])}`;
  }).join("\n\n");
}

function refusalText(reason: string): string {
  const { status, body } = [...REFUSALS.values()].find(({ name }) => name === reason)!;
  return `${status}: ${body}`;
}

function documentText(): string {
  const text = metricsText(statusOfEverything(), CERTIFICATES);
  return `${HEAD}\n${metricTable(metricsOf(text))}\n\n${reasonTables(text)}\n`;
}

Deno.exit(writeOrCheck("METRICS.md", documentText(), "counters say", Deno.args));
