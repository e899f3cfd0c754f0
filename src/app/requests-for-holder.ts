/**
 * What `renew` and `rotate` have in common in local mode: a request is left in STATE, and the user is told who takes it and
 * when.
 */

import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Io } from "./io.ts";
import { holderOf, type Places } from "./places.ts";
import type { Untaken } from "./rotation-target.ts";

/** Where nobody serves STATE for so long, nobody is about to. */
const GIVE_UP: Milliseconds = milliseconds(60_000);

/** `start`: when the request was left, by the monotonic clock. */
export function untakenLocally(
  { state }: Places,
  { start, io }: { readonly start: Milliseconds; readonly io: Io },
): Untaken {
  const holder = holderOf(state);
  if (holder !== undefined) return { text: `meshid local (pid ${holder.pid}) has not taken it up yet` };
  const text = "no meshid process serves this state, the next meshid local on it carries it out";
  if (io.clock.monotonic() - start < GIVE_UP) return { text };
  return { text, lost: "Nobody has taken it up within a minute: is a meshid local running on this state?" };
}

/** A sentence for who does not wait. */
export function carriedOutLocally({ state }: Places): string {
  const holder = holderOf(state);
  return holder === undefined
    ? "No meshid process serves this state now: the next meshid local on it carries it out when it starts."
    : `meshid local (pid ${holder.pid}) carries it out at once; --wait follows it, meshid status shows it.`;
}

/** For a program. */
export function placesData({ out, state }: Places): Readonly<Record<string, string | number>> {
  const holder = holderOf(state);
  return { state, out, ...(holder === undefined ? {} : { pid: holder.pid }) };
}
