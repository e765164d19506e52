// The status as text for Prometheus (exposition format 0.0.4). Names of workers' counters become names of metrics:
// `connections.accepted` → `kakehi_connections_accepted_total`, `refused.no_route` → `kakehi_refused_total{reason="no_route"}`.
// Each worker has series of its own, by slot and process: a new process starts from 0 in a series of its own, too.

import { COUNTERS, FIGURES, TLS_FIGURES } from "../observe/counters.ts";
import type { Known } from "./credentials.ts";
import { daysLeft } from "./expiry.ts";
import type { ProxyStatus, WorkerReport } from "./protocol.ts";

const MEANINGS: Readonly<Record<string, string>> = { ...COUNTERS, ...FIGURES, ...TLS_FIGURES };
/** What goes down as well as up ends like this. */
const GAUGE = /\.(active|used|count|idle)$/;
/** Counters of one thing by something: the rest of the name is the value of a label. */
const LABELLED = [
  {
    prefix: "refused.",
    metric: "kakehi_refused_total",
    label: "reason",
    help: "Requests and connections that were refused.",
  },
  {
    prefix: "h2.abuse.",
    metric: "kakehi_h2_abuse_total",
    label: "reason",
    help: "Connections of HTTP/2 that ended with ENHANCE_YOUR_CALM.",
  },
  {
    prefix: "tls.handshakes.",
    metric: "kakehi_tls_handshakes_total",
    label: "version",
    help: "Handshakes that were completed.",
  },
  { prefix: "tls.failed.", metric: "kakehi_tls_failed_total", label: "reason", help: "Handshakes that failed." },
  {
    prefix: "upstreams.tls_failed.",
    metric: "kakehi_upstreams_tls_failed_total",
    label: "reason",
    help: "Handshakes with backends that failed.",
  },
] as const;

type Labels = Record<string, string | number>;

export function metricsText(status: ProxyStatus, certificates: ReadonlyMap<string, Known> = new Map()): string {
  const text = new MetricsText();
  const { workers, version } = status;
  text.add("kakehi_info", "gauge", "Version of the proxy.", [[{ version }, 1]]);
  text.add("kakehi_uptime_seconds", "gauge", "Since main started.", [[{}, status.uptime_ms / 1000]]);
  text.add("kakehi_upgrades_total", "counter", "Programs that took main's place.", [[{}, status.upgrades]]);
  text.add("kakehi_revision", "gauge", "Number of the state that is served.", [[{}, status.revision]]);
  text.add("kakehi_main_memory_bytes", "gauge", "Memory of main.", [[{}, status.memory_bytes]]);
  text.add("kakehi_clusters", "gauge", "Clusters by what is spoken to their backends.", byProtocol(status));
  const states = Map.groupBy(workers, ({ state }) => state);
  text.add(
    "kakehi_workers",
    "gauge",
    "Workers by what they do.",
    [...states].map(([state, list]) => [{ state }, list.length]),
  );
  const each = (value: (worker: WorkerReport) => number) =>
    workers.map((w): [Labels, number] => [labelsOf(w), value(w)]);
  text.add("kakehi_worker_restarts_total", "counter", "Deaths of a slot's workers.", bySlot(workers));
  text.add("kakehi_worker_memory_bytes", "gauge", "Memory of a worker.", each((w) => w.memory_bytes));
  text.add("kakehi_worker_uptime_seconds", "gauge", "Since a worker serves.", each((w) => w.uptime_ms / 1000));
  text.add(
    "kakehi_worker_differs",
    "gauge",
    "1: it serves something else than main says.",
    each((w) => Number(w.differs)),
  );
  const ends = [...certificates].map(([certificate, { report }]): [Labels, number] => [
    { certificate },
    daysLeft(report.notAfterMs),
  ]);
  text.add("kakehi_certificate_days_left", "gauge", "Whole days until a certificate expires.", ends);
  addCounters(text, workers);
  return text.toString();
}

function byProtocol({ clusters }: ProxyStatus): [Labels, number][] {
  return Object.entries(clusters).map(([protocol, count]) => [{ protocol }, count]);
}

function bySlot(workers: readonly WorkerReport[]): [Labels, number][] {
  return workers.filter(({ state }) => state !== "draining").map(({ slot, restarts }) => [{ worker: slot }, restarts]);
}

function labelsOf({ slot, pid }: WorkerReport): Labels {
  return { worker: slot, pid };
}

function addCounters(text: MetricsText, workers: readonly WorkerReport[]): void {
  const labelled = new Map(LABELLED.map(({ metric }) => [metric, [] as [Labels, number][]]));
  const names = new Set(workers.flatMap(({ counters }) => Object.keys(counters ?? {})));
  for (const name of [...names].sort()) {
    const gauge = GAUGE.test(name);
    const of = gauge ? undefined : LABELLED.find(({ prefix }) => name.startsWith(prefix));
    const samples = samplesOf(
      name,
      workers,
      of ? { [of.label]: labelValue(of.label, name.slice(of.prefix.length)) } : {},
    );
    if (of) labelled.get(of.metric)!.push(...samples);
    else {
      const metric = `kakehi_${name.replace(/[^a-zA-Z0-9]/g, "_")}${gauge ? "" : "_total"}`;
      text.add(metric, gauge ? "gauge" : "counter", MEANINGS[name]!, samples);
    }
  }
  for (const { metric, help } of LABELLED) text.add(metric, "counter", help, labelled.get(metric)!);
}

function samplesOf(name: string, workers: readonly WorkerReport[], labels: Labels): [Labels, number][] {
  return workers.flatMap((worker) => {
    const value = worker.counters?.[name];
    return value === undefined ? [] : [[{ ...labelsOf(worker), ...labels }, value]];
  });
}

/** Names of counters have no dots in their parts. */
function labelValue(label: "reason" | "version", text: string): string {
  return label === "version" ? text.replace("_", ".") : text;
}

class MetricsText {
  readonly #lines: string[] = [];

  add(name: string, type: "gauge" | "counter", help: string, samples: [Labels, number][]): void {
    if (samples.length === 0) return;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of samples) this.#lines.push(`${name}${labelText(labels)} ${value}`);
  }

  toString(): string {
    return this.#lines.join("\n") + "\n";
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
