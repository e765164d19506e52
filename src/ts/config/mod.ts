// The configuration library: the state of the proxy as plain data, and all that can be done with it without a proxy. It
// knows nothing of the proxy and imports nothing of it, so that tools can use it by itself (examples/diff_two_files.ts).
// Everything is synchronous and pure, but `loadStateFile`, which reads a file.
//
//   in      loadState(text, name), loadStateFile(name)   YAML → a state, or all errors, with line and column
//           checkState(value, name)                      the same from plain values, e.g. from JSON
//   out     toFile(state)                                plain values for YAML or JSON, that load to the same state
//   change  applyOrder(state, order), applyOrders(…)     → the next state, or all errors; any JSON is a fair argument
//           diff(a, b)                                   → the orders from a to b, that leave no hole
//   show    describeDifference(a, b)                     object by object, field by field
//           changesBetween(a, b), changesOf(…, orders)   the same as data of the state, for programs
//   tell    hashState(state), hashAfter(hash, …)         equal for states that mean the same; canonicalJson(state)
//   schema  jsonSchema(), orderSchema()                  of the file and of an order
//
// A state is never changed once it is there: what makes another one shares all that stays the same, so that a change to
// a state of 100,000 routes takes a millisecond or two. Who changes a state by hand makes a new object, too, or
// what is remembered beside the old one (names, indexes) will be wrong.
//
// Loading this file loads the YAML parser. A process that is handed a state, as workers are, imports the light files
// it needs by themselves: state.ts (types), address.ts, networks.ts, units.ts, apply_order.ts, changes.ts,
// state_hash.ts; check_state.ts checks a plain value.

export type {
  AccessLogState,
  BackendState,
  Balance,
  CertificateState,
  ClusterHttp2State,
  ClusterProtocol,
  ClusterState,
  ClusterTlsState,
  ControlState,
  LimitsState,
  ListenerState,
  ListenerTlsState,
  PoolState,
  RouteState,
  Settings,
  State,
  TimeoutsState,
} from "./state.ts";
export { type Address, formatAddress, parseAddress, parseBoundAddress } from "./address.ts";
export { type Applied, applyOrder, applyOrders } from "./apply_order.ts";
export { canonicalJson } from "./canonical.ts";
export { type Change, changesBetween, changesOf } from "./changes.ts";
export { checkState, type Loaded } from "./check_state.ts";
export { redirectPort } from "./cross_check_tls.ts";
export { diff } from "./diff.ts";
export { describeDifference, type Difference, type FieldDifference } from "./difference.ts";
export { toFile } from "./file_form.ts";
export { FormatError } from "./format_error.ts";
export { parseHostPattern } from "./hosts.ts";
export { formatIp, isV4, parseIp } from "./ip.ts";
export { jsonSchema } from "./json_schema.ts";
export { formatNetwork, type Network, networkContains, parseNetwork } from "./networks.ts";
export { orderSchema } from "./order_schema.ts";
export {
  type BackendOrder,
  type Fields,
  formatOrderError,
  type NamedOrder,
  type Order,
  type OrderError,
  type RouteKey,
  type RouteOrder,
  type SettingsOrder,
  type Verb,
} from "./orders.ts";
export { loadState, loadStateFile } from "./parse.ts";
export { parsePathPattern } from "./paths.ts";
export { type ConfigurationError, formatError, formatErrors } from "./problem.ts";
export { indexState } from "./route_index.ts";
export { type RouteIdentity, routeKey, routeName } from "./route_key.ts";
export { hashAfter, hashState } from "./state_hash.ts";
export { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";
