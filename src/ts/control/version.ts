// The version of this program. A test holds it equal to the one in deno.json, which the single binary does not carry.

export const VERSION = "0.1.0";
