// What HTTP/2 connections bear and announce: a profile of the codec for each listener, by number, and the last one for all
// connections to backends. Limits are read whenever something is counted, so a change holds for the connections that there
// are; settings are said when one begins.

import * as abi from "../../../assembly/abi.ts";
import type { Core } from "../../wasm/core.ts";
import type { Listener } from "../net/listener.ts";
import type { ListenerHttp2, WorkerChange, WorkerSnapshot } from "./protocol.ts";
import { ChangeRefused } from "./tables.ts";

/** The last number is that of connections to backends. */
const LISTENERS_MAX = abi.H2_CLIENT_PROFILE;

/**
 * What a backend may do: ten times what clients may by default. It is ours, and answers for many clients at once, but one that
 * went wild must not keep a worker from its work. Bodies of answers wait in buffers for the clients, as those of requests do.
 */
const TOWARDS_BACKENDS: ListenerHttp2["http2"] = {
  max_concurrent_streams: 1, // said to nobody: a backend begins no streams
  stream_window: 64 << 10,
  connection_window: 1 << 20,
  websocket: false,
  abuse: {
    resets: 2_000,
    resets_caused: 1_000,
    pings: 1_000,
    settings: 500,
    empty_frames: 1_000,
    window_updates: 10_000,
    priorities: 5_000,
    refused_streams: 1_000,
    ignored_frames: 10_000,
    small_frames: 10_000,
    continuations: 20,
  },
};

export class Http2Profiles {
  readonly #core: Core;
  readonly #numbers = new Map<string, number>();
  readonly #options = new Map<string, ListenerHttp2>();

  constructor(core: Core, { state }: WorkerSnapshot) {
    this.#core = core;
    this.#write(abi.H2_CLIENT_PROFILE, TOWARDS_BACKENDS);
    for (const [name, { h2c, http2 }] of Object.entries(state.listeners)) this.#set(name, { h2c, http2 });
  }

  /** Throws ChangeRefused when there are too many. */
  prepare({ listenersHttp2 }: WorkerChange): void {
    const begin = Object.keys(listenersHttp2).filter((name) => !this.#numbers.has(name));
    if (this.#numbers.size + begin.length > LISTENERS_MAX) {
      throw new ChangeRefused(`listener ${begin[0]}`, `a worker has room for ${LISTENERS_MAX} listeners by name`);
    }
  }

  commit({ listenersHttp2, listenersRemoved }: WorkerChange): void {
    for (const name of listenersRemoved) {
      if (name in listenersHttp2) continue;
      // connections of a listener that is gone go on with what it had, until another takes its number
      this.#numbers.delete(name);
      this.#options.delete(name);
    }
    for (const [name, options] of Object.entries(listenersHttp2)) this.#set(name, options);
  }

  equip(listener: Listener): void {
    listener.http2Profile = this.#numbers.get(listener.name) ?? 0;
    listener.takesHttp2 = this.#options.get(listener.name)?.h2c ?? false;
  }

  #set(name: string, options: ListenerHttp2): void {
    const number = this.#numbers.get(name) ?? this.#freeNumber();
    this.#numbers.set(name, number);
    this.#options.set(name, options);
    this.#write(number, options.http2);
  }

  #freeNumber(): number {
    const taken = new Set(this.#numbers.values());
    for (let number = 0; number < LISTENERS_MAX; number++) if (!taken.has(number)) return number;
    throw new Error(`a worker has room for ${LISTENERS_MAX} listeners by name`);
  }

  #write(number: number, { abuse, ...settings }: ListenerHttp2["http2"]): void {
    const { i32, codec, limits } = this.#core;
    if (limits.h2Connections === 0) return;
    const at = codec.h2ProfileAt(number) >> 2;
    i32[at + abi.ABUSE_RESETS] = abuse.resets;
    i32[at + abi.ABUSE_RESETS_CAUSED] = abuse.resets_caused;
    i32[at + abi.ABUSE_PINGS] = abuse.pings;
    i32[at + abi.ABUSE_SETTINGS] = abuse.settings;
    i32[at + abi.ABUSE_EMPTY_FRAMES] = abuse.empty_frames;
    i32[at + abi.ABUSE_WINDOW_UPDATES] = abuse.window_updates;
    i32[at + abi.ABUSE_PRIORITIES] = abuse.priorities;
    i32[at + abi.ABUSE_REFUSED_STREAMS] = abuse.refused_streams;
    i32[at + abi.ABUSE_IGNORED_FRAMES] = abuse.ignored_frames;
    i32[at + abi.ABUSE_SMALL_FRAMES] = abuse.small_frames;
    i32[at + abi.ABUSE_CONTINUATIONS] = abuse.continuations;
    i32[at + abi.P_STREAMS] = settings.max_concurrent_streams;
    i32[at + abi.P_STREAM_WINDOW] = settings.stream_window;
    i32[at + abi.P_CONNECTION_WINDOW] = settings.connection_window;
    i32[at + abi.P_HEADER_LIST] = limits.headerBytesMax;
    i32[at + abi.P_CONNECT_PROTOCOL] = settings.websocket ? 1 : 0;
  }
}
