/**
 * The emergency: a key that somebody else may have leaves every bundle at once, and another signs in its place, before
 * anyone was seen to carry it. Whatever the old one has signed is refused from then on; that is what is wanted.
 */

import type { Seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import type { KeyId } from "../x509/keys.ts";
import {
  broughtIssuing,
  broughtRoot,
  type FreshSlots,
  freshIssuing,
  freshJwt,
  freshRoot,
} from "./fresh-slots.ts";
import type { Draft, RotationInput } from "./rotation-plan.ts";
import type { DistrustStep, PrepareStep } from "./rotation-step.ts";
import { activeSlot, type Journal, type Slot } from "./slot.ts";

/** The step for the first kind that has distrusted keys; undefined where none has, or nothing can take their place. */
export function planDistrust(input: RotationInput, draft: Draft): DistrustStep | undefined {
  for (const kind of ["Root", "JWT"] as const) {
    const step = planKind(input, kind, draft);
    if (step !== undefined) return step;
  }
  return undefined;
}

/** The slots that go with `keyIDs`: themselves, and what their roots have certified. */
export function fallsWith(slot: Slot, keyIDs: readonly string[]): boolean {
  return keyIDs.includes(slot.keyID) || (slot.issuerKeyID !== undefined && keyIDs.includes(slot.issuerKeyID));
}

/** Whether nobody shall trust a key any more: asked for now, or once carried out. */
export function isDistrusted(
  { journal, distrusted }: Pick<RotationInput, "journal" | "distrusted">,
  keyID: KeyId,
): boolean {
  return distrusted?.has(keyID) === true || journal.distrusted?.some((one) => one.keyID === keyID) === true;
}

function planKind(
  { journal, now, policy, distrusted }: RotationInput,
  kind: "Root" | "JWT",
  draft: Draft,
): DistrustStep | undefined {
  const slots = journal.slots.filter((slot) => slot.kind === kind);
  const named = slots.filter(({ keyID }) => distrusted?.has(keyID) === true);
  const vouching = formerRoots(journal, slots).filter((keyID) => distrusted?.has(keyID) === true);
  if (named.length + vouching.length === 0) return undefined;
  const isActive = named.some(({ state }) => state === "Active");
  // What lies beside a stolen key is as good as stolen. It has signed nothing: giving it up costs nothing. The key of a root
  // that others brought lies elsewhere, and that root is what is to come.
  const isBeside = ({ state, external }: Slot): boolean =>
    isActive && state === "Prepared" && external !== true;
  const gone = withVouchers(
    slots.filter((slot) => named.includes(slot) || isBeside(slot)),
    slots,
    now,
  );
  // The one that was named stands before what goes along.
  const along = gone.filter((slot) => !named.includes(slot));
  const keyIDs = [...named.map(({ keyID }) => keyID), ...vouching, ...along.map(({ keyID }) => keyID)];
  const fresh = { now, policy, reason: "Distrusted" } as const;
  const replacements =
    kind === "JWT" ? (isActive ? [freshJwt(fresh)] : []) : rootReplacements(journal, keyIDs, fresh);
  if (replacements !== undefined) return { step: "Distrust", kind, keyIDs, replacements };
  const [first] = named;
  if (first !== undefined) {
    const message = `is not to be trusted any more, but nothing can take its place: put another CA into ${policy.external?.place ?? "its Secret"}, with another key in tls.key`;
    draft.waiting.push({ kind, keyID: first.keyID, for: "policy", message });
  }
  return undefined;
}

/**
 * A root that has vouched for a stolen one lets the thief in as long as it is published: what it said stood in the chain of each
 * leaf, so the thief has it. It goes along, and so does whoever has vouched for it in turn.
 */
function withVouchers(gone: readonly Slot[], slots: readonly Slot[], now: Seconds): readonly Slot[] {
  const said = gone.flatMap(({ crossCertificate }) => crossCertificate ?? []);
  const issuers = new Set<string>(
    said.filter(({ notAfter }) => notAfter + CLOCK_SKEW >= now).map(({ issuerKeyID }) => issuerKeyID),
  );
  const more = slots.filter((slot) => issuers.has(slot.keyID) && !gone.includes(slot));
  return more.length === 0 ? gone : withVouchers([...gone, ...more], slots, now);
}

/** Roots that are gone, and have vouched for one that is there. */
function formerRoots(journal: Journal, roots: readonly Slot[]): readonly KeyId[] {
  const issuers = roots.flatMap(({ crossCertificate }) => crossCertificate?.issuerKeyID ?? []);
  return issuers.filter((issuer) => journal.slots.every(({ keyID }) => keyID !== issuer));
}

/** Undefined: someone else's CA has given nothing else yet. */
function rootReplacements(
  journal: Journal,
  keyIDs: readonly string[],
  fresh: FreshSlots,
): readonly PrepareStep[] | undefined {
  const root = activeSlot(journal, "Root");
  const issuing = activeSlot(journal, "Issuing");
  const isRootGone = root === undefined || keyIDs.includes(root.keyID);
  const isIssuingGone = issuing === undefined || fallsWith(issuing, keyIDs);
  if (!isRootGone && !isIssuingGone) return [];
  const { external } = fresh.policy;
  if (!isRootGone) return underActive(root, fresh);
  const lost = { isRootGone, isIssuingGone };
  if (external !== undefined) {
    const found = external.authority;
    if (found === undefined || isDistrusted({ journal, distrusted: new Set(keyIDs) }, found.root.keyID))
      return undefined;
    // It may be the very key that was stolen, and all that a thief lacks then is its new certificate, which every leaf carries.
    if (journal.slots.some((slot) => slot.keyID === found.issuing.keyID && fallsWith(slot, keyIDs)))
      return undefined;
    return choose(lost, broughtRoot(found, fresh.reason), broughtIssuing(found, fresh.reason));
  }
  const newRoot = freshRoot(fresh);
  return choose(lost, newRoot, freshIssuing(fresh, { notAfter: newRoot.notAfter }));
}

/** The active root stays, and what signs was still under the one before: wherever the next one is to come from. */
function underActive(root: Slot, fresh: FreshSlots): readonly PrepareStep[] | undefined {
  if (root.external !== true) return [freshIssuing(fresh, root)];
  const found = fresh.policy.external?.authority;
  return found?.root.keyID === root.keyID ? [broughtIssuing(found, fresh.reason)] : undefined;
}

interface Lost {
  readonly isRootGone: boolean;
  /** Not while what signs is still under the former root. */
  readonly isIssuingGone: boolean;
}

function choose(
  { isRootGone, isIssuingGone }: Lost,
  root: PrepareStep,
  issuing: PrepareStep,
): readonly PrepareStep[] {
  return [...(isRootGone ? [root] : []), ...(isIssuingGone ? [issuing] : [])];
}
