// TLS of a worker by what main says: the certificates of the state, whose material lies in a descriptor that main appends
// to, the ticket keys, and the options of listeners. OpenSSL is loaded when the snapshot asks for TLS, before the sandbox
// closes the file system; a worker that began without TLS cannot take it up later, and main puts another in its place.

import type { ListenerTlsState } from "../config/state.ts";
import type { Listener } from "../net/listener.ts";
import { Tls } from "../net/tls.ts";
import type { CertificateMaterial } from "../net/tls_certificates.ts";
import { type PreparedOptions, TlsServer, type TlsServerOptions } from "../net/tls_server.ts";
import { closeFd, readRange } from "../sys/fds.ts";
import { type ClusterClients, ClusterTls } from "./cluster_tls.ts";
import type { CertificateEntry, WorkerChange, WorkerSnapshot } from "./protocol.ts";
import { ChangeRefused } from "./tables.ts";

/** What of a change concerns TLS, ready to be committed. */
export interface PreparedTls {
  change: WorkerChange;
  /** Contexts by the new options, or null for a listener that speaks plainly from now on. */
  servers: Map<string, { server: TlsServer; prepared: PreparedOptions } | { server: TlsServer } | null>;
  /** For the tables, which take them over before commit() is called here. */
  clients: ClusterClients;
  files: Map<string, string>;
  /** Where the material of new certificates lies; undefined when it is where it was. */
  fd: number | undefined;
}

export class WorkerTls {
  #tls: Tls | null = null;
  #fd = -1;
  #servers = new Map<string, TlsServer>();
  #redirects = new Map<string, number>();
  #transport = new Map<string, Uint8Array<ArrayBuffer>>();
  #states = new Map<string, ListenerTlsState>();
  #files: Map<string, string>;
  readonly #clusters = new ClusterTls();

  /** Throws when a listener cannot be served. `fd`: of the material; undefined without certificates. */
  constructor(
    snapshot: WorkerSnapshot,
    fd: number | undefined,
    memory: Uint8Array<ArrayBuffer>,
    complain: (message: string) => void,
  ) {
    this.#files = new Map(Object.entries(snapshot.files));
    if (fd !== undefined) this.#fd = fd;
    for (const [name, port] of Object.entries(snapshot.redirects)) this.#redirects.set(name, port);
    const listeners = Object.entries(snapshot.state.listeners);
    const isNeeded = listeners.some(([, { tls }]) => tls) ||
      Object.values(snapshot.state.clusters).some(({ tls }) => tls);
    if (!isNeeded) return;
    const tls = this.#tls = new Tls(memory, complain);
    tls.tickets.replace(snapshot.ticketKeys);
    for (const entry of snapshot.certificates) this.#setCertificate(tls, entry);
    for (const [name, { tls: state }] of listeners) {
      if (state) this.#serve(name, state, this.#make(name, state, this.#files));
    }
    tls.warmUp();
  }

  /** For the clusters that a snapshot begins with; throws when one cannot be served. */
  firstClients({ state: { clusters } }: WorkerSnapshot): ClusterClients {
    if (this.#tls === null) return new Map();
    const clients = this.#clusters.prepare(this.#tls, { clusters, certificates: [], files: {} }, {
      files: this.#files,
      material: (name) => this.#tls?.certificates.material(name),
    });
    this.#clusters.commit(clients, clusters);
    return clients;
  }

  get tls(): Tls | null {
    return this.#tls;
  }

  /** Gives a listener that begins what it is to have; it may be called again after a change. */
  equip(listener: Listener): void {
    const { name } = listener;
    listener.tls = this.#servers.get(name) ?? null;
    listener.redirectPort = this.#redirects.get(name) ?? 0;
    listener.transportSecurity = this.#transport.get(name) ?? null;
    if (listener.tls !== null) listener.sendAtOnce();
  }

  setTicketKeys(keys: readonly string[]): void {
    this.#tls?.tickets.replace(keys);
  }

  // ---- changes ----

  /** Throws ChangeRefused, and then nothing has changed. `fd`: where the material of the change lies, if it is elsewhere. */
  prepare(change: WorkerChange, fd: number | undefined): PreparedTls {
    const files = new Map([...this.#files, ...Object.entries(change.files)]);
    const servers: PreparedTls["servers"] = new Map();
    const material = (name: string) => this.#material(name, change, fd);
    try {
      for (const [name, state] of Object.entries(change.listenersTls)) {
        servers.set(name, state && this.#prepareListener(name, state, files));
      }
      for (const [name, state] of this.#states) {
        const isTouched = [state.client_ca, state.client_crl].some((path) => path in change.files);
        if (isTouched && !servers.has(name)) servers.set(name, this.#prepareListener(name, state, files));
      }
      return { change, servers, files, fd, clients: this.#clusters.prepare(this.#tls, change, { files, material }) };
    } catch (error) {
      this.#discardServers(servers);
      throw error;
    }
  }

  /** As it is after the change. */
  #material(name: string, { certificates }: WorkerChange, fd = this.#fd): CertificateMaterial | undefined {
    const entry = certificates.find((one) => one.name === name)?.entry;
    return entry ? readMaterial(fd, entry) : this.#tls?.certificates.material(name);
  }

  #prepareListener(name: string, state: ListenerTlsState, files: ReadonlyMap<string, string>) {
    try {
      const server = this.#servers.get(name);
      return server
        ? { server, prepared: server.prepare(optionsOf(state, files)) }
        : { server: this.#make(name, state, files) };
    } catch (error) {
      throw new ChangeRefused(`listener ${name}`, (error as Error).message);
    }
  }

  #make(name: string, state: ListenerTlsState, files: ReadonlyMap<string, string>): TlsServer {
    if (this.#tls === null) throw new Error("this worker began without TLS");
    return new TlsServer(this.#tls, name, optionsOf(state, files));
  }

  commit({ change, servers, files, fd, clients }: PreparedTls): void {
    if (fd !== undefined) this.#takeMaterial(fd);
    this.#files = files;
    this.#clusters.commit(clients, change.clusters);
    for (const { name, entry } of change.certificates) {
      if (this.#tls === null) break;
      if (entry) this.#setCertificate(this.#tls, entry);
      else this.#tls.certificates.remove(name);
    }
    for (const [name, next] of servers) {
      if (next === null) this.#remove(name);
      else {
        if ("prepared" in next) next.server.configure(next.prepared);
        this.#serve(name, change.listenersTls[name] ?? this.#states.get(name)!, next.server);
      }
    }
    for (const name of change.listenersRemoved) if (!(name in change.listenersTls)) this.#remove(name);
    for (const [name, port] of Object.entries(change.listenersRedirect)) this.#redirects.set(name, port);
  }

  /** The descriptor stays the caller's. */
  discard({ servers, clients }: PreparedTls): void {
    this.#clusters.discard(clients);
    this.#discardServers(servers);
  }

  #discardServers(servers: PreparedTls["servers"]): void {
    for (const next of servers.values()) {
      if (next !== null && "prepared" in next) next.server.discard(next.prepared);
    }
  }

  #serve(name: string, state: ListenerTlsState, server: TlsServer): void {
    this.#servers.set(name, server);
    this.#states.set(name, state);
    const field = `Strict-Transport-Security: ${state.hsts}\r\n`;
    if (state.hsts === "") this.#transport.delete(name);
    else this.#transport.set(name, new TextEncoder().encode(field));
  }

  /** Clients that wait in its queue may still be served by it, so OpenSSL's part goes when nobody refers to it any more. */
  #remove(name: string): void {
    this.#servers.delete(name);
    this.#states.delete(name);
    this.#transport.delete(name);
  }

  #takeMaterial(fd: number): void {
    if (this.#fd >= 0) closeFd(this.#fd);
    this.#fd = fd;
  }

  #setCertificate(tls: Tls, entry: CertificateEntry): void {
    const { name, names, keyType } = entry;
    tls.certificates.set({ name, names, keyType, read: () => readMaterial(this.#fd, entry) });
  }

  counters(): Record<string, number> {
    const tls = this.#tls;
    if (tls === null) return {};
    let inProgress = 0;
    for (const { handshakes } of this.#servers.values()) inProgress += handshakes.count;
    return {
      "tls.handshakes.active": inProgress,
      "tls.connections.active": tls.connections,
      "tls.certificates.count": tls.certificates.count,
      "tls.certificates.used": tls.certificates.loadedCount,
    };
  }
}

function readMaterial(fd: number, { at, length }: CertificateEntry): CertificateMaterial {
  return JSON.parse(new TextDecoder().decode(readRange(fd, at, length)));
}

/** A path means the file's content, which main has sent along. */
function contentOf(pathOrPem: string, files: ReadonlyMap<string, string>): string {
  return pathOrPem.includes("-----BEGIN ") ? pathOrPem : files.get(pathOrPem) ?? "";
}

function optionsOf(state: ListenerTlsState, files: ReadonlyMap<string, string>): TlsServerOptions {
  return {
    minVersion: state.min_version,
    maxVersion: state.max_version,
    ciphers: state.ciphers,
    cipherSuites: state.cipher_suites,
    groups: state.groups,
    defaultCertificate: state.default_certificate,
    ticketLifetimeMs: state.ticket_lifetime,
    handshakeTimeoutMs: state.handshake_timeout,
    handshakesMax: state.handshakes,
    clientCertificate: state.client_certificate,
    clientCa: contentOf(state.client_ca, files),
    clientCrl: state.client_crl === "" ? "" : contentOf(state.client_crl, files),
    clientDepth: state.client_depth,
    alpn: state.alpn,
  };
}
