// How a worker speaks TLS to the backends of its clusters: a client for each cluster by its options, made when a change is
// prepared, so that what OpenSSL does not take is refused. A cluster gets another client when its options change, the content of
// a file that they name, or its certificate; the connections of the client before carry no further request.

import type { ClusterState, ClusterTlsState } from "../config/state.ts";
import type { Tls } from "../net/tls.ts";
import type { CertificateMaterial } from "../net/tls_certificates.ts";
import { TlsClient, type TlsClientOptions } from "../net/tls_client.ts";
import type { SystemAuthorities, WorkerChange } from "./protocol.ts";
import { ChangeRefused } from "./tables.ts";

const SYSTEM_AUTHORITIES: SystemAuthorities = "system";

/** By cluster; null: it is removed, or plain from now on. Of clusters that are not named nothing changes. */
export type ClusterClients = Map<string, TlsClient | null>;

/** What the change leads to. */
export interface Sources {
  files: ReadonlyMap<string, string>;
  material(name: string): CertificateMaterial | undefined;
}

/** What a client is made by. */
interface Spoken {
  protocol: TlsClientOptions["protocol"];
  tls: ClusterTlsState;
}

interface Served {
  spoken: Spoken;
  client: TlsClient;
}

export class ClusterTls {
  readonly #served = new Map<string, Served>();

  /** Throws ChangeRefused, and then nothing has changed. */
  prepare(
    tls: Tls | null,
    change: Pick<WorkerChange, "clusters" | "certificates" | "files">,
    from: Sources,
  ): ClusterClients {
    const clients: ClusterClients = new Map();
    try {
      for (const [name, state] of Object.entries(change.clusters)) {
        const spoken = spokenBy(state);
        if (spoken) clients.set(name, this.#clientFor(tls, name, spoken, change, from));
        else if (this.#served.has(name)) clients.set(name, null);
      }
      for (const [name, { spoken }] of this.#served) {
        if (!clients.has(name) && isTouched(spoken.tls, change)) clients.set(name, make(tls, name, spoken, from));
      }
      return clients;
    } catch (error) {
      this.discard(clients);
      throw error;
    }
  }

  #clientFor(
    tls: Tls | null,
    name: string,
    spoken: Spoken,
    change: Pick<WorkerChange, "certificates" | "files">,
    from: Sources,
  ): TlsClient {
    const served = this.#served.get(name);
    return served && isSame(served.spoken, spoken) && !isTouched(spoken.tls, change)
      ? served.client
      : make(tls, name, spoken, from);
  }

  /** The cluster has taken over its client before. */
  commit(clients: ClusterClients, clusters: WorkerChange["clusters"]): void {
    for (const [name, client] of clients) {
      const before = this.#served.get(name);
      const spoken = spokenBy(clusters[name]) ?? before?.spoken;
      if (client === null || !spoken) this.#served.delete(name);
      else this.#served.set(name, { spoken, client });
      if (before && before.client !== client) before.client.close();
    }
  }

  discard(clients: ClusterClients): void {
    for (const [name, client] of clients) if (client !== this.#served.get(name)?.client) client?.close();
  }
}

/** null: no TLS, or no cluster. */
function spokenBy(state: ClusterState | null | undefined): Spoken | null {
  return state?.tls ? { protocol: state.protocol === "h2" ? "h2" : "http/1.1", tls: state.tls } : null;
}

/** Of two that have the same keys in the same order, since both come from main's check. */
function isSame(a: Spoken, b: Spoken): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function isTouched(
  { ca, verify, certificate }: ClusterTlsState,
  { certificates, files }: Pick<WorkerChange, "certificates" | "files">,
) {
  return verify && (ca || SYSTEM_AUTHORITIES) in files ||
    certificate !== "" && certificates.some(({ name, entry }) => name === certificate && entry !== null);
}

function make(tls: Tls | null, name: string, spoken: Spoken, from: Sources): TlsClient {
  try {
    if (tls === null) throw new Error("this worker began without TLS");
    return new TlsClient(tls, optionsOf(spoken, from));
  } catch (error) {
    throw new ChangeRefused(`cluster ${name}`, (error as Error).message);
  }
}

function optionsOf(
  { protocol, tls: { verify, ca, min_version, certificate } }: Spoken,
  { files, material }: Sources,
): TlsClientOptions {
  const shown = certificate === "" ? null : material(certificate);
  if (shown === undefined) throw new Error(`certificate: there is none of the name ${JSON.stringify(certificate)}`);
  const trusted = ca.includes("-----BEGIN ") ? ca : files.get(ca || SYSTEM_AUTHORITIES) ?? "";
  return { protocol, verify, ca: trusted, minVersion: min_version, certificate: shown };
}
