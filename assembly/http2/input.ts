// How far the input at hand has been used up. A frame's function takes what it has dealt with; NEXT goes on behind that,
// an event ends the call, EV_MORE waits with what was taken before.

import { EV_MORE } from "../abi";

/** No event: go on. */
export const NEXT: i32 = -1;

export let taken: u32 = 0;

@inline
export function beginTaking(): void { taken = 0; }
@inline
export function take(bytes: u32): void { taken += bytes; }

/** The frame has to be whole, or at least longer. */
@inline
export function need(): i32 { return EV_MORE; }
