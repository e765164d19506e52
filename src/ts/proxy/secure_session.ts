// What a session has besides when its client speaks TLS: the handshake, and what is known from it. It is made when the first
// bytes are there and look like TLS, so that a client that only connects costs no more than one that speaks plainly.

import { WOULD_BLOCK } from "../net/connection.ts";
import type { Handshaking } from "../net/handshakes.ts";
import { type Accepting } from "../net/tls.ts";
import { type Ssl, WANTS_WRITE } from "../net/tls_calls.ts";
import type { CertificateSet } from "../net/tls_certificates.ts";
import { describe, identityFields } from "../net/tls_peer.ts";
import { failureReason } from "../net/tls_reasons.ts";
import type { TlsServer } from "../net/tls_server.ts";
import { Counters } from "../observe/counters.ts";
import type { ProxyContext } from "./context.ts";
import type { Session } from "./session.ts";

export const SECURED = 0;
/** For the client, or for a place. */
export const WAITING = 1;
/** It is over, and has been counted. */
export const FAILED = 2;

/** How long until a place is asked for again when all are taken. */
const RETRY_MS = 100;
const VERSION_1_2 = Counters.index("tls.handshakes.1_2");
const VERSION_1_3 = Counters.index("tls.handshakes.1_3");
const RESUMED = Counters.index("tls.resumed");
const DURATION = Counters.index("tls.handshake_ms");
const WAITED = Counters.index("tls.waited");
const CROWDED_OUT = Counters.index("tls.failed.crowded_out");
const SHORTAGE = Counters.index("tls.failed.shortage");

export class SecureSession implements Handshaking, Accepting {
  ssl: Ssl | null = null;
  certificates: CertificateSet | null = null;
  given: CertificateSet | null = null;
  serverName = "";
  /** HTTP/2 was agreed on (ALPN). */
  isHttp2 = false;
  /** Fields for the backend about the client's certificate; null where none is asked for. */
  identity: Uint8Array<ArrayBuffer> | null = null;
  /** Members of the log's JSON object, each with a comma before it; null when nobody logs them. */
  logged: Uint8Array<ArrayBuffer> | null = null;
  handshakeBeganMs = 0;
  handshakeNext: Handshaking | null = null;
  handshakePrevious: Handshaking | null = null;
  #hasWaited = false;

  constructor(
    private readonly context: ProxyContext,
    private readonly session: Session,
    readonly server: TlsServer,
  ) {}

  /** Goes on with the handshake as far as it goes now. */
  advance(): number {
    if (this.ssl === null) {
      const began = this.#begin();
      if (began !== SECURED) return began;
    }
    const result = this.#step();
    if (result === 1) return this.#succeed();
    if (result === WOULD_BLOCK) {
      this.session.readable = false;
      return WAITING;
    }
    if (result === WANTS_WRITE) {
      this.session.noteFull();
      return WAITING;
    }
    return this.#fail(failureIndex(failureReason(result, this.server.tls.calls.lastReason)));
  }

  /** What follows the client's Finished, the tickets, OpenSSL writes one by one: they leave as one segment. */
  #step(): number {
    const { session, server } = this;
    const { system } = this.context.loop;
    const mayFinish = this.certificates !== null;
    session.noteTlsStep();
    if (mayFinish) system.holdWrites(session.fd, true);
    const result = server.tls.handshake(this, server);
    if (mayFinish) system.holdWrites(session.fd, false);
    return result;
  }

  #begin(): number {
    const { context, session, server } = this;
    if (!server.handshakes.enter(this, context.loop.nowMs)) {
      if (!this.#hasWaited) context.counters.add(WAITED, 1);
      this.#hasWaited = true;
      session.armTimer(RETRY_MS);
      return WAITING;
    }
    this.given = server.givenSet();
    const ssl = server.accept(session.fd);
    if (ssl === null) {
      server.handshakes.leave(this);
      context.counters.add(SHORTAGE, 1);
      return FAILED;
    }
    this.ssl = ssl;
    server.tls.opened();
    session.beginTls(ssl, server.tls.calls);
    session.armHandshakeTimer();
    return SECURED;
  }

  #succeed(): number {
    const { context, server } = this;
    const { lib } = server.tls;
    const ssl = this.ssl!;
    this.#leave();
    const tookMs = context.loop.nowMs - this.handshakeBeganMs;
    const resumed = lib.SSL_session_reused(ssl) === 1;
    const version = lib.SSL_version(ssl);
    context.counters.add(version === 0x0304 ? VERSION_1_3 : VERSION_1_2, 1);
    context.counters.add(DURATION, tookMs);
    if (resumed) context.counters.add(RESUMED, 1);
    if (server.asksForCertificate) this.identity = identityFields(lib, ssl);
    if (context.logsTls) this.logged = describe(lib, ssl, resumed, this.serverName, tookMs);
    this.session.noteTlsBegin();
    return SECURED;
  }

  #fail(counter: number): number {
    this.context.counters.add(counter, 1);
    this.#leave();
    this.session.noteTlsFailure();
    return FAILED;
  }

  #leave(): void {
    if (this.inHandshake) this.server.handshakes.leave(this);
    this.#left = true;
  }

  #left = false;

  get mayHttp2(): boolean {
    return this.context.http2.hasRecord;
  }

  get inHandshake(): boolean {
    return this.ssl !== null && !this.#left;
  }

  /** The session closes, in its handshake or later. */
  end(): void {
    this.#leave();
    if (this.ssl !== null) this.server.tls.closed();
  }

  crowdedOut(): void {
    this.#fail(CROWDED_OUT);
    this.session.close();
  }
}

const indexes = new Map<string, number>();

/** Only failures look their counter up. */
function failureIndex(reason: ReturnType<typeof failureReason>): number {
  let index = indexes.get(reason);
  if (index === undefined) indexes.set(reason, index = Counters.index(`tls.failed.${reason}`));
  return index;
}
