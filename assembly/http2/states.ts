// The states of a stream (RFC 9113 §5.1) as one table: state × event → next state, or what is wrong. Nobody pushes here,
// so the reserved states of the figure do not occur: we never send PUSH_PROMISE, and forbid it to servers.
//
//                                      +--------+
//                                      |  idle  |
//                                      +--------+
//                        send HEADERS /    |     \ recv HEADERS
//                                          v
//                                      +--------+
//                         recv ES      |        |      send ES
//                      ,---------------|  open  |---------------.
//                     /                |        |                \
//                    v                 +--------+                 v
//           +---------------+              |             +---------------+
//           |  half-closed  |              | RST_STREAM  |  half-closed  |
//           |   (remote)    |              |             |    (local)    |
//           +---------------+              v             +---------------+
//                    |                 +--------+                 |
//                    `---------------->| closed |<----------------'
//                      send ES, RST    +--------+    recv ES, RST
//
// Closed is two rows, since what may still come differs: after a reset of ours anything (it was under way), otherwise only
// what does not matter. Idle is two rows as well: only the client's side opens streams, by HEADERS.

export const IDLE_THEIRS: u8 = 0;
export const IDLE_OURS: u8 = 1;
export const OPEN: u8 = 2;
export const HALF_LOCAL: u8 = 3;
export const HALF_REMOTE: u8 = 4;
export const CLOSED: u8 = 5;
/** Closed by a RST_STREAM of ours, or never looked at because of a GOAWAY of ours. */
export const RESET: u8 = 6;

// What is no state.
/** Looked at as far as the connection needs it, and forgotten. */
export const IGNORE: u8 = 16;
/** Stream error STREAM_CLOSED. */
export const STREAM_ERROR_CLOSED: u8 = 17;
/** Connection error STREAM_CLOSED. */
export const CONNECTION_ERROR_CLOSED: u8 = 18;
/** Connection error PROTOCOL_ERROR. */
export const CONNECTION_ERROR_PROTOCOL: u8 = 19;
/** Nothing that we may send. */
export const FORBIDDEN: u8 = 20;

// Events. ES: with END_STREAM.
export const RECV_HEADERS: u32 = 0;
export const RECV_HEADERS_ES: u32 = 1;
export const RECV_DATA: u32 = 2;
export const RECV_DATA_ES: u32 = 3;
export const RECV_RST_STREAM: u32 = 4;
export const RECV_WINDOW_UPDATE: u32 = 5;
export const RECV_PRIORITY: u32 = 6;
export const RECV_PUSH_PROMISE: u32 = 7;
export const SEND_HEADERS: u32 = 8;
export const SEND_HEADERS_ES: u32 = 9;
export const SEND_DATA: u32 = 10;
export const SEND_DATA_ES: u32 = 11;
export const SEND_RST_STREAM: u32 = 12;
const EVENTS: u32 = 16;

const I = IGNORE;
const S = STREAM_ERROR_CLOSED;
const C = CONNECTION_ERROR_CLOSED;
const P = CONNECTION_ERROR_PROTOCOL;
const F = FORBIDDEN;

const table: StaticArray<u8> = [
  // recv:    HEADERS     +ES          DATA        +ES          RST     WINDOW       PRIO PUSH  send: HEADERS     +ES         DATA         +ES         RST
  /* theirs */ OPEN,       HALF_REMOTE, P,          P,           P,      P,           I, P,     F,           F,          F,           F,          F,     F, F, F,
  /* ours   */ P,          P,           P,          P,           P,      P,           I, P,     OPEN,        HALF_LOCAL, F,           F,          F,     F, F, F,
  /* open   */ OPEN,       HALF_REMOTE, OPEN,       HALF_REMOTE, CLOSED, OPEN,        I, P,     OPEN,        HALF_LOCAL, OPEN,        HALF_LOCAL, RESET, F, F, F,
  /* local  */ HALF_LOCAL, CLOSED,      HALF_LOCAL, CLOSED,      CLOSED, HALF_LOCAL,  I, P,     F,           F,          F,           F,          RESET, F, F, F,
  /* remote */ S,          S,           S,          S,           CLOSED, HALF_REMOTE, I, P,     HALF_REMOTE, CLOSED,     HALF_REMOTE, CLOSED,     RESET, F, F, F,
  /* closed */ C,          C,           C,          C,           I,      I,           I, P,     F,           F,          F,           F,          F,     F, F, F,
  /* reset  */ I,          I,           I,          I,           I,      I,           I, P,     F,           F,          F,           F,          F,     F, F, F,
];

/** State after `event`, or what is wrong with it (IGNORE and above). */
@inline
export function transition(state: u8, event: u32): u8 {
  return unchecked(table[state * EVENTS + event]);
}
