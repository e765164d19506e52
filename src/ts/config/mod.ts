// The configuration library: the state, its schema, reading it from YAML, and the small formats it is written
// in (durations, sizes, addresses, networks). It knows nothing of the proxy and imports nothing of it.
//
// Loading this file loads the YAML parser. A process that is handed a state, as workers are, imports the light files
// it needs by themselves: state.ts (types), address.ts, networks.ts, units.ts; check_state.ts checks a plain value.

export type {
  AccessLogState,
  BackendState,
  Balance,
  ClusterState,
  LimitsState,
  ListenerState,
  PoolState,
  RouteState,
  State,
  TimeoutsState,
} from "./state.ts";
export { type Address, formatAddress, parseAddress, parseBoundAddress } from "./address.ts";
export { canonicalJson, hashState } from "./canonical.ts";
export { checkState, type Loaded } from "./check_state.ts";
export { FormatError } from "./format_error.ts";
export { parseHostPattern } from "./hosts.ts";
export { formatIp, isV4, parseIp } from "./ip.ts";
export { jsonSchema } from "./json_schema.ts";
export { formatNetwork, type Network, networkContains, parseNetwork } from "./networks.ts";
export { loadState, loadStateFile } from "./parse.ts";
export { parsePathPattern } from "./paths.ts";
export { type ConfigurationError, formatError, formatErrors } from "./problem.ts";
export { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";
