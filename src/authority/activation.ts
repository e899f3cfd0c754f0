/**
 * Whether a prepared slot may sign now, and if not, what it waits for.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { holdLimit, latestLimit } from "./limits.ts";
import type { Draft, Hold, RotationInput, Waiting } from "./rotation-plan.ts";
import { instantOfLife, type Journal, type Slot } from "./slot.ts";

/** A process that was away may need to publish first; it is given no more than this share of the active slot's life. */
const RETURN_SHARE = 7 / 8;
/** How often to look at consumers again while some are waited for. */
const MAX_RECHECK = 30;
/** Seconds for a first look when a wait is over. */
const MAX_UNSEEN = 60;
/** How many consumers a message names. */
const NAMED = 3;

export interface ActivationInput extends Pick<RotationInput, "journal" | "now" | "policy" | "observation"> {
  readonly active: Slot;
  readonly prepared: Slot;
}

/**
 * The conditions: every consumer was observed to carry the key, carries it still, and has had it for `propagation`.
 *
 * An active slot that has expired leaves nobody anything to lose: whatever it signed has ended too, and every verifier that
 * carries the successor is served the sooner. The propagation time is not waited for then, the observation is.
 */
export function planActivation(input: ActivationInput, draft: Draft): void {
  const { now, policy, prepared, active, observation } = input;
  const { kind, keyID, since, observedAt } = prepared;
  // An issuing certificate travels with each leaf: what consumers must hold is its root.
  const carried = prepared.issuerKeyID ?? keyID;
  const lacking = observation?.lacking.get(carried);
  if (lacking === undefined) draft.observe.add(carried);
  const isHeld = lacking?.length === 0;
  const from = kind === "Issuing" ? since : observedAt;
  if (isHeld && from === undefined) {
    draft.steps.push({ step: "Observe", kind, keyID });
    return;
  }
  const ready = from === undefined ? undefined : seconds(from + policy.propagation);
  const latest = latestActivation(input);
  const isExpired = now >= active.notAfter;
  const isReady = isHeld && ready !== undefined && (now >= ready || isExpired);
  const hold = isReady && !isExpired ? policy.holdAt?.(now) : undefined;
  if (isReady && hold === undefined) {
    draft.steps.push({ step: "Activate", kind, keyID });
    return;
  }
  const excluded = observation?.excluded ?? [];
  const waiting = {
    ...(hold === undefined
      ? waitingOf(prepared, lacking, { now, ready, latest })
      : heldBack(prepared, hold, latest)),
    ...(excluded.length === 0 ? {} : { excluded }),
  };
  if (hold?.opensAt !== undefined) draft.wakes.push(hold.opensAt);
  // A look costs nothing: what nobody has looked for is not forced before there was time to.
  const unseen = lacking === undefined ? Math.min(MAX_UNSEEN, policy.propagation) : 0;
  if (now >= latest + unseen) {
    draft.steps.push({ step: "Activate", kind, keyID, forced: `no longer waited: ${waiting.message}` });
    return;
  }
  draft.waiting.push(waiting);
  draft.wakes.push(latest, latest + unseen, active.notAfter);
  if (!isHeld)
    draft.wakes.push(now + Math.min(MAX_RECHECK, Math.max(1, Math.floor(policy.propagation / 10))));
}

/**
 * 3/4 of the active slot's life. A key that came later than planned (by hand, or because no process was there) still gets
 * its propagation time, and so do consumers after a process has come back, which may have been cut off before it
 * published anything. The root above an issuing certificate has had all that.
 */
function latestActivation({ journal, policy, prepared, active }: ActivationInput): Seconds {
  const planned = latestLimit(journal, active);
  if (prepared.kind === "Issuing") return planned;
  return seconds(
    Math.max(planned, prepared.since + policy.propagation, afterReturn(journal, active, policy.propagation)),
  );
}

function afterReturn(journal: Journal, active: Slot, propagation: Seconds): number {
  return Math.min(journal.takenOverAt + propagation, instantOfLife(active, RETURN_SHARE));
}

/** A wait that the policy asks for; it ends at `until` whatever the policy says. */
function heldBack({ kind, keyID }: Slot, hold: Hold, until: Seconds): Waiting {
  const opens = hold.opensAt === undefined ? "" : `, the next one opens at ${toRfc3339(hold.opensAt)}`;
  return { kind, keyID, for: "policy", until, message: `held: ${hold.message}${opens}` };
}

/** Whether the policy holds the preparation of a successor back: no longer than to 5/8 of the active slot's life. */
export function isHeldBack(
  { journal, now, policy }: Pick<RotationInput, "journal" | "now" | "policy">,
  { active, isAsked }: { readonly active: Slot; readonly isAsked: boolean },
  draft: Draft,
): boolean {
  const hold = policy.holdAt?.(now);
  const until = holdLimit(journal, active);
  if (hold === undefined || now >= until) return false;
  // Who asks by hand does not want to wait for a window.
  if (hold.reason === "Closed" && isAsked) return false;
  draft.waiting.push(heldBack(active, hold, until));
  if (hold.opensAt !== undefined) draft.wakes.push(hold.opensAt);
  return true;
}

interface Instants {
  readonly now: Seconds;
  readonly ready: Seconds | undefined;
  readonly latest: Seconds;
}

function waitingOf(prepared: Slot, lacking: readonly string[] | undefined, instants: Instants): Waiting {
  const { kind, keyID } = prepared;
  const { now, ready, latest } = instants;
  if (lacking !== undefined && lacking.length > 0) {
    const message = `${lacking.length} ${lacking.length === 1 ? "consumer lacks" : "consumers lack"} it: ${named(lacking)}`;
    return { kind, keyID, for: "consumers", until: latest, lacking, message };
  }
  if (ready === undefined || (lacking === undefined && now >= ready)) {
    return { kind, keyID, for: "consumers", until: latest, message: "consumers have not been looked at yet" };
  }
  const message = "published; caches and volumes are given time to follow";
  return { kind, keyID, for: "propagation", until: seconds(Math.min(ready, latest)), message };
}

function named(consumers: readonly string[]): string {
  const more = consumers.length - NAMED;
  return consumers.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
