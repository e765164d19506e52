// What is right in itself and wrong together, as far as TLS is concerned: options without the protocol they are for,
// certificates that are named and are not there. The same checks serve whole states, which may
// be drafts with holes, and the results of orders: whoever calls says what there is, and takes each problem with its path.

import { Checker, type Draft } from "./check.ts";
import type { Path, Problem } from "./problem.ts";
import { show } from "./problem.ts";
import { LISTENER_TLS } from "./schema_tls.ts";
import { isPem } from "./pem.ts";
import type { CertificateState, ClusterState, ListenerState, ListenerTlsState, State } from "./state.ts";

export type Refuse = (path: Path, expected: string, got: string, hint?: string, on?: Problem["on"]) => void;

/** What there is beside the object that is checked. */
export interface Surroundings {
  hasCertificate(name: string): boolean;
  /** A hint at the nearest name. */
  suggest(name: string): string;
}

function defaultTls(): ListenerTlsState {
  return new Checker().check(LISTENER_TLS, {}) as ListenerTlsState;
}

/** Gives a listener the options that its protocol brings, where it says nothing of them. */
export function deriveTls(listener: Draft<ListenerState>): void {
  if (listener.tls !== undefined && listener.tls !== null) return;
  if (listener.protocol !== undefined) listener.tls = listener.protocol === "https" ? defaultTls() : null;
}

/** `isGiven`: whether a key of the listener was written. */
export function checkListenerTls(
  listener: Draft<ListenerState>,
  around: Surroundings,
  refuse: Refuse,
  isGiven: (key: "tls" | "redirect_https") => boolean,
): void {
  const { protocol, redirect_https: redirect } = listener;
  if (protocol === "http" && listener.tls && isGiven("tls")) {
    refuse(["tls"], 'TLS options only with "protocol: https"', "them with http", "", "key");
  }
  if (protocol === "https" && listener.tls === null && isGiven("tls")) {
    refuse(["tls"], 'TLS options with "protocol: https"', "off", 'plain HTTP is "protocol: http"');
  }
  if (protocol === "https" && redirect !== undefined && redirect !== false) {
    refuse(["redirect_https"], 'false with "protocol: https"', String(redirect));
  }
  if (protocol === "https" && listener.h2c) {
    refuse(["h2c"], 'false with "protocol: https"', "true", 'with TLS, "tls.alpn" says what is spoken');
  }
  deriveTls(listener);
  if (protocol === "https" && listener.tls) checkTlsOptions(listener.tls, around, refuse);
}

function checkTlsOptions(tls: Draft<ListenerTlsState>, around: Surroundings, refuse: Refuse): void {
  const { min_version, max_version, default_certificate, client_certificate, client_ca, client_crl } = tls;
  if (min_version === "1.3" && max_version === "1.2") {
    refuse(["tls", "max_version"], "a version from min_version on", '"1.2" with "1.3" at least');
  }
  if (default_certificate) reference(["tls", "default_certificate"], default_certificate, around, refuse);
  if (client_certificate !== "off" && client_certificate !== undefined && client_ca === "") {
    const hint = "without it no client's certificate can be verified";
    refuse(
      ["tls", "client_ca"],
      `certificates of authorities with "client_certificate: ${client_certificate}"`,
      "none",
      hint,
    );
  }
  if (client_certificate !== "off") return;
  for (const [key, value] of [["client_ca", client_ca], ["client_crl", client_crl]] as const) {
    if (value) refuse(["tls", key], 'nothing with "client_certificate: off"', shown(value), "clients are not asked");
  }
}

/** `isGiven`: whether a key of the cluster was written. */
export function checkClusterTls(
  { protocol, tls }: Draft<ClusterState>,
  around: Surroundings,
  refuse: Refuse,
  isGiven: (key: "protocol") => boolean,
): void {
  const at = isGiven("protocol") ? "protocol" : "tls";
  if (protocol === "h2" && tls === null) {
    refuse([at], '"tls" beside "protocol: h2"', "none", 'HTTP/2 without TLS is "protocol: h2c"');
  }
  if (protocol === "h2c" && tls) {
    refuse([at], 'no "tls" beside "protocol: h2c"', "some", 'HTTP/2 over TLS is "protocol: h2"');
  }
  if (!tls) return;
  if (tls.certificate) reference(["tls", "certificate"], tls.certificate, around, refuse);
  if (tls.verify === false && tls.ca) {
    refuse(["tls", "ca"], 'nothing with "verify: false"', shown(tls.ca), "backends are not verified");
  }
}

function reference(path: Path, name: string, around: Surroundings, refuse: Refuse): void {
  if (!around.hasCertificate(name)) {
    refuse(path, 'the name of a certificate in "certificates"', show(name), around.suggest(name));
  }
}

/** Both inline, or the key where its digest says. */
export function checkCertificate({ cert, key }: Draft<CertificateState>, refuse: Refuse): void {
  if (cert !== undefined && key === "" && isPem(cert)) {
    refuse(["key"], "the key of a certificate that is given as PEM", "none", 'write it, or its path, under "key"');
  }
}

/** Whether a state has anything that OpenSSL is needed for. */
export function speaksTls(
  { certificates, listeners, clusters }: Pick<State, "certificates" | "listeners" | "clusters">,
) {
  for (const _ in certificates) return true;
  for (const name in listeners) if (listeners[name]!.tls) return true;
  for (const name in clusters) if (clusters[name]!.tls) return true;
  return false;
}

function shown(value: string): string {
  return isPem(value) ? "PEM" : show(value);
}

/** Where https is looked for if nothing else is said (RFC 9110 §4.2.2). */
const HTTPS_PORT = 443;

/** The port that a listener redirects to; 0 if it does not redirect. */
export function redirectPort(
  listener: Pick<ListenerState, "protocol" | "redirect_https">,
  listeners: Iterable<Pick<ListenerState, "address" | "protocol">>,
): number {
  if (listener.protocol !== "http" || listener.redirect_https === false) return 0;
  if (typeof listener.redirect_https === "number") return listener.redirect_https;
  const ports = new Set<number>();
  for (const { address, protocol } of listeners) {
    if (protocol === "https") ports.add(Number(address.slice(address.lastIndexOf(":") + 1)));
  }
  const [port, another] = ports;
  return another === undefined && port ? port : HTTPS_PORT;
}
