// Applying orders: from a state and changes to it to the next state, or to everything that is wrong with the changes.
// Pure: the given state is never changed, and shares with the next one all that stays the same.
//
// Each order is read, then carried out on a draft, where existence is checked as the orders go along; what depends on
// several objects (references, addresses, limits) is checked once, on the result, and only for what was touched. So the
// cost is that of the orders, and of one copy of each list or record in which something changes.

import { Checker, isMap } from "./check.ts";
import { checkBackends, checkLimits, WITHOUT_HTTP2 } from "./cross_check.ts";
import {
  checkCertificate,
  checkClusterTls,
  checkListenerTls,
  type Refuse,
  type Surroundings,
} from "./cross_check_tls.ts";
import { speaksHttp2 } from "./http2_streams.ts";
import { OrderErrors, THERE_ALREADY } from "./order_errors.ts";
import { BACKEND_VALUE, type ReadOrder, readOrder, ROUTE_VALUE } from "./order_shapes.ts";
import { cut, type Order, type OrderError, orderObject } from "./orders.ts";
import type { Problem } from "./problem.ts";
import { type RouteIdentity, routeKey } from "./route_key.ts";
import { CLUSTER, LISTENER, SETTINGS } from "./schema.ts";
import { CERTIFICATE } from "./schema_tls.ts";
import type { ObjectShape, Of } from "./shape.ts";
import { StateDraft } from "./state_draft.ts";
import type { BackendState, CertificateState, ClusterState, ListenerState, State } from "./state.ts";
import { show } from "./problem.ts";

export type Applied = { state: State; errors?: never } | { errors: OrderError[]; state?: never };

/** One order; `error` is the first of `errors`. See `applyOrders`. */
export function applyOrder(
  state: State,
  order: unknown,
): { state: State; error?: never; errors?: never } | { error: OrderError; errors: OrderError[]; state?: never } {
  const { state: next, errors } = applyOrders(state, [order]);
  return next ? { state: next } : { error: errors[0]!, errors };
}

/**
 * The state after all orders, in their order, or all errors, in theirs. The orders may be any JSON; nothing throws. In
 * between, references may be open: a route may come before its cluster, and a cluster go before its routes.
 */
export function applyOrders(state: State, orders: unknown): Applied {
  const transaction = new Transaction(state);
  if (!Array.isArray(orders)) transaction.errors.add(0, "orders", "invalid", "a list of orders", `got ${show(orders)}`);
  else for (const [at, order] of orders.entries()) transaction.take(order, at);
  transaction.checkResult();
  const errors = transaction.errors.all();
  return errors.length > 0 ? { errors } : { state: transaction.draft.finish() };
}

const HTTP2_CONNECTIONS = "value.limits.http2_connections";

type OrderOn<O extends Order["object"]> = ReadOrder & { object: O };

class Transaction {
  readonly draft: StateDraft;
  readonly errors = new OrderErrors();
  /** Clusters that were to be added and could not be: what refers to them is not to blame. */
  private readonly refusedClusters = new Set<string>();
  /** The last order that touched an object, for the errors of the result. */
  private readonly routesTouched = new Map<string, number>();
  private readonly clustersRemoved = new Map<string, number>();
  private readonly listenersTouched = new Map<string, number>();
  private readonly certificatesRemoved = new Map<string, number>();
  /** Certificates that were to be added and could not be. */
  private readonly refusedCertificates = new Set<string>();
  /** Certificates that listeners and clusters were made to name, with the order that did and the place in it. */
  private readonly references: { at: number; object: string; name: string; key: string }[] = [];
  /** Clusters that were made to speak HTTP/2. */
  private readonly http2Clusters = new Map<string, number>();
  private limitsTouched: { at: number; value: unknown } | null = null;
  /** The order that is carried out. */
  private at = 0;
  private object = "";
  /** Its value as it was given. */
  private value: unknown;

  constructor(state: State) {
    this.draft = new StateDraft(state);
  }

  take(order: unknown, at: number): void {
    this.at = at;
    this.value = isMap(order) ? order.value : undefined;
    this.object = orderObject(order);
    const result = readOrder(order);
    if ("problems" in result) {
      this.noteRefused(order);
      this.refuseAll(result.problems);
    } else this.carryOut(result.read);
  }

  private carryOut(order: ReadOrder): void {
    switch (order.object) {
      case "listener":
        return this.listener(order);
      case "cluster":
        return this.cluster(order);
      case "certificate":
        return this.certificate(order);
      case "backend":
        return this.backend(order);
      case "route":
        return this.route(order);
      case "settings":
        return this.settings(order);
    }
  }

  private listener(order: OrderOn<"listener">): void {
    const { listeners } = this.draft;
    const current = listeners.get(order.name);
    if (!this.isAsExpected(order, current, () => listeners.names(), LISTENER)) return;
    this.listenersTouched.set(order.name, this.at);
    if (order.order === "remove") return listeners.set(order.name, undefined);
    const value = order.order === "add" ? order.value : this.changed<ListenerState>(LISTENER, order.value, current);
    if (!value) return;
    const given = isMap(this.value) ? this.value : {};
    const next = { ...value };
    if (order.order === "update" && given.tls === undefined && next.protocol !== current!.protocol) {
      // What was said of the protocol before goes with it.
      if (next.protocol === "http") next.tls = null;
      else if (given.redirect_https === undefined) next.redirect_https = false;
    }
    const problems = this.problemsOf((refuse) => {
      checkListenerTls(next, this.around, refuse, (key) => Object.hasOwn(given, key));
    });
    if (!problems) return;
    this.noteReference(next.tls?.default_certificate, "value.tls.default_certificate");
    listeners.set(order.name, next);
  }

  private certificate(order: OrderOn<"certificate">): void {
    const { certificates } = this.draft;
    const current = certificates.get(order.name);
    if (!this.isAsExpected(order, current, () => certificates.names(), CERTIFICATE)) {
      if (order.order === "add" && !current) this.refusedCertificates.add(order.name);
      return;
    }
    if (order.order === "remove") {
      this.certificatesRemoved.set(order.name, this.at);
      return certificates.set(order.name, undefined);
    }
    const value = order.order === "add"
      ? order.value
      : this.changed<CertificateState>(CERTIFICATE, order.value ?? {}, current);
    if (value && this.problemsOf((refuse) => checkCertificate(value, refuse))) certificates.set(order.name, value);
    else if (order.order === "add") this.refusedCertificates.add(order.name);
  }

  /** Whether there are certificates is known at the end only. */
  private readonly around: Surroundings = { hasCertificate: () => true, suggest: () => "" };

  private noteReference(name: string | undefined, key: string): void {
    if (name) this.references.push({ at: this.at, object: this.object, name, key });
  }

  /** False after errors of a check of the value. */
  private problemsOf(check: (refuse: Refuse) => void): boolean {
    const checker = new Checker();
    check((path, ...rest) => checker.refuse(["value", ...path], ...rest));
    this.refuseAll(checker.problems);
    return checker.problems.length === 0;
  }

  private cluster(order: OrderOn<"cluster">): void {
    const { clusters } = this.draft;
    const current = clusters.get(order.name);
    if (!this.isAsExpected(order, current, () => clusters.names(), CLUSTER)) return;
    if (order.order === "remove") {
      this.clustersRemoved.set(order.name, this.at);
      return clusters.set(order.name, undefined);
    }
    const value = order.order === "add" ? order.value : this.changed<ClusterState>(CLUSTER, order.value, current);
    if (!value) return;
    const given = isMap(this.value) ? this.value : {};
    const isGiven = (key: string) => Object.hasOwn(given, key);
    const checker = new Checker();
    checkBackends(value, checker, ["value"]);
    checkClusterTls(value, this.around, (path, ...rest) => checker.refuse(["value", ...path], ...rest), isGiven);
    this.noteReference(value.tls?.certificate, "value.tls.certificate");
    if (isGiven("protocol") && speaksHttp2(value)) this.http2Clusters.set(order.name, this.at);
    if (checker.problems.length === 0) return clusters.set(order.name, value);
    if (order.order === "add") this.refusedClusters.add(order.name);
    this.refuseAll(checker.problems);
  }

  private backend(order: OrderOn<"backend">): void {
    const { clusters } = this.draft;
    const cluster = clusters.get(order.cluster);
    if (!cluster) {
      if (this.refusedClusters.has(order.cluster)) return;
      this.errors.missing(this.at, this.object, "cluster", "cluster", order.cluster, clusters.names());
      if (order.order === "update") this.changed(BACKEND_VALUE, order.value, undefined);
      return;
    }
    const { backends } = cluster;
    const place = backends.findIndex(({ address }) => address === order.name);
    const names = () => backends.map(({ address }) => address);
    if (!this.isAsExpected(order, backends[place], names, BACKEND_VALUE)) return;
    const next = this.backendsAfter(order, backends, place);
    if (next) clusters.set(order.cluster, { ...cluster, backends: next });
  }

  private backendsAfter(
    order: OrderOn<"backend">,
    backends: BackendState[],
    place: number,
  ): BackendState[] | undefined {
    if (order.order === "remove") return backends.toSpliced(place, 1);
    const current = backends[place];
    const weight = current && { weight: current.weight };
    const value = order.order === "add" ? order.value : this.changed(BACKEND_VALUE, order.value, weight);
    if (!value) return undefined;
    const backend = { address: order.name, weight: value.weight };
    return order.order === "add" ? [...backends, backend] : backends.with(place, backend);
  }

  private route(order: OrderOn<"route">): void {
    const { routes } = this.draft;
    const identity: RouteIdentity = order.key ?? order.value;
    const key = routeKey(identity);
    const current = routes.get(key);
    if (order.order === "add" ? current : !current) {
      if (current) return this.errors.add(this.at, this.object, "exists", ...THERE_ALREADY.route);
      this.errors.missingRoute(this.at, this.object, identity, routes.base);
      if (order.order === "update") this.changed(ROUTE_VALUE, order.value, undefined);
      return;
    }
    this.routesTouched.set(key, this.at);
    if (order.order === "remove") return routes.remove(key);
    const { host, path, methods, headers, priority } = current ?? identity;
    const rest = current && { cluster: current.cluster, allow_misdirected: current.allow_misdirected };
    const value = order.order === "add" ? order.value : this.changed(ROUTE_VALUE, order.value, rest);
    if (!value) return;
    const { cluster, allow_misdirected } = value;
    routes.set({ host, path, methods, headers, priority, cluster, allow_misdirected });
  }

  private settings({ value }: OrderOn<"settings">): void {
    const before = this.draft.settings;
    const after = this.changed(SETTINGS, value, before);
    if (!after) return;
    this.draft.settings = after;
    if (after.limits !== before.limits) this.limitsTouched = { at: this.at, value };
  }

  /** What depends on several objects. */
  checkResult(): void {
    this.checkRoutes();
    this.checkClustersRemoved();
    this.checkListeners();
    this.checkReferences();
    this.checkCertificatesRemoved();
    this.checkLimits();
    if (this.draft.settings.limits.http2_connections === 0) this.refuseHttp2();
  }

  /** At the order that made a cluster speak it, or else at the one that switched it off. */
  private refuseHttp2(): void {
    const { clusters } = this.draft;
    for (const [name, at] of this.http2Clusters) {
      const cluster = clusters.get(name);
      if (!cluster || !speaksHttp2(cluster)) continue;
      const object = orderObject({ object: "cluster", name });
      this.errors.add(at, object, "invalid", WITHOUT_HTTP2, `got ${show(cluster.protocol)}`, "", "value.protocol");
    }
    if (!this.limitsTouched) return;
    for (const name of clusters.names()) {
      const { protocol } = clusters.get(name)!;
      if (protocol === "http/1.1" || this.http2Clusters.has(name)) continue;
      const expected = `at least 1 with ${protocol} to cluster ${cut(name)}`;
      return this.errors.add(this.limitsTouched.at, "settings", "in_use", expected, "got 0", "", HTTP2_CONNECTIONS);
    }
  }

  private checkReferences(): void {
    const { certificates } = this.draft;
    for (const { at, object, name, key } of this.references) {
      if (certificates.get(name) || this.refusedCertificates.has(name) || !this.isNamed(name)) continue;
      this.errors.missing(at, object, key, "certificate", name, certificates.names());
    }
  }

  private checkCertificatesRemoved(): void {
    const { certificates } = this.draft;
    for (const [name, at] of this.certificatesRemoved) {
      if (certificates.get(name) || this.references.some((reference) => reference.name === name)) continue;
      const user = this.isNamed(name);
      if (!user) continue;
      const expected = "a certificate that nothing names";
      this.errors.add(at, orderObject({ object: "certificate", name }), "in_use", expected, `${user} does`);
    }
  }

  /** Who names a certificate in the result. */
  private isNamed(certificate: string): string | undefined {
    const { listeners, clusters } = this.draft;
    for (const name of listeners.names()) {
      if (listeners.get(name)!.tls?.default_certificate === certificate) return `listener ${name}`;
    }
    for (const name of clusters.names()) {
      if (clusters.get(name)!.tls?.certificate === certificate) return `cluster ${name}`;
    }
    return undefined;
  }

  private checkRoutes(): void {
    const { routes, clusters } = this.draft;
    for (const [key, at] of this.routesTouched) {
      const route = routes.get(key);
      if (!route || clusters.get(route.cluster) || this.refusedClusters.has(route.cluster)) continue;
      const object = orderObject({ object: "route", key: route });
      this.errors.missing(at, object, "value.cluster", "cluster", route.cluster, clusters.names());
    }
  }

  private checkClustersRemoved(): void {
    if (this.clustersRemoved.size === 0) return;
    const { routes, clusters } = this.draft;
    const usersOf = routes.untouchedUsers();
    for (const [name, at] of this.clustersRemoved) {
      const users = clusters.get(name) || this.refusedClusters.has(name) ? 0 : usersOf(name);
      if (users > 0) this.errors.inUse(at, name, users, () => routes.untouchedUserOf(name));
    }
  }

  private checkListeners(): void {
    if (this.listenersTouched.size === 0) return;
    const { listeners } = this.draft;
    const owners = new Map<string, string[]>();
    for (const name of listeners.names()) {
      const { address } = listeners.get(name)!;
      const others = owners.get(address);
      if (others) others.push(name);
      else if (!address.endsWith(":0")) owners.set(address, [name]);
    }
    for (const [name, at] of this.listenersTouched) {
      const address = listeners.get(name)?.address;
      const other = address === undefined ? undefined : owners.get(address)?.find((owner) => owner !== name);
      if (other === undefined) continue;
      const reason = `"${other}" has ${address}`;
      this.errors.add(at, `listener ${name}`, "exists", "an address of its own", reason, "", "value.address");
    }
  }

  private checkLimits(): void {
    if (!this.limitsTouched) return;
    const { at, value } = this.limitsTouched;
    const checker = new Checker();
    const given = (value as { limits?: object | null }).limits ?? {};
    checkLimits(this.draft.settings.limits, checker, { isGiven: (path) => Object.hasOwn(given, path[1]!) });
    for (const problem of checker.problems) {
      this.errors.invalid(at, "settings", { ...problem, path: ["value", ...problem.path] });
    }
  }

  /** False after an error if the object is there and should not be, or is not and should; `shape` is what it has. */
  private isAsExpected(
    order: OrderOn<"listener" | "cluster" | "backend" | "certificate">,
    current: unknown,
    names: () => Iterable<string>,
    shape: ObjectShape & Of<object>,
  ): boolean {
    if ((order.order === "add") === (current === undefined)) return true;
    if (current !== undefined) {
      this.errors.add(this.at, this.object, "exists", ...THERE_ALREADY[order.object]);
      return false;
    }
    if (order.object !== "cluster" || !this.refusedClusters.has(order.name)) {
      this.errors.missing(this.at, this.object, "name", order.object, order.name, names());
    }
    if (order.order === "update") this.changed(shape, order.value, undefined);
    return false;
  }

  /** What `value` makes of `current`, or undefined after errors. */
  private changed<T extends object>(shape: ObjectShape & Of<T>, value: unknown, current: T | undefined): T | undefined {
    const checker = new Checker();
    const changed = checker.change(shape, value, current ?? {}, ["value"]);
    this.refuseAll(checker.problems);
    return checker.problems.length === 0 ? changed as T : undefined;
  }

  private refuseAll(problems: readonly Problem[]): void {
    for (const problem of problems) this.errors.invalid(this.at, this.object, problem);
  }

  private noteRefused(order: unknown): void {
    const { order: verb, object, name } = (order ?? {}) as { order?: unknown; object?: unknown; name?: unknown };
    if (verb !== "add" || typeof name !== "string") return;
    if (object === "cluster") this.refusedClusters.add(name);
    if (object === "certificate") this.refusedCertificates.add(name);
  }
}
