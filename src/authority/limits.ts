/**
 * How long a rotation may be held: no wait may let what signs at present run out.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { activeSlot, HOLD_SHARE, instantOfLife, type Journal, LATEST_SHARE, type Slot } from "./slot.ts";

/** Who asks for a new key by hand, or brings one, waits while so many slots of a kind are retired: each stays in every bundle. */
export const MAX_RETIRED_SLOTS = 8;
/** What a root may be late by is taken from the issuing certificate that waits for it. */
const AHEAD = 1 / 8;

/** Until when the policy may hold back the preparation of the successor of `active`. */
export function holdLimit(journal: Journal, active: Slot): Seconds {
  return limitOf(journal, active, HOLD_SHARE);
}

/** Until when the successor of `active` may be kept from signing. */
export function latestLimit(journal: Journal, active: Slot): Seconds {
  return limitOf(journal, active, LATEST_SHARE);
}

/**
 * A share of the slot's life. A root that is not ours to sign with certifies no further issuing certificate: there the one
 * that signs at present sets the pace, whose life is shorter.
 */
function limitOf(journal: Journal, active: Slot, share: number): Seconds {
  const own = instantOfLife(active, share);
  const issuing = activeSlot(journal, "Issuing");
  if (active.kind !== "Root" || active.external !== true || issuing === undefined) return own;
  return seconds(Math.min(own, instantOfLife(issuing, share - AHEAD)));
}
