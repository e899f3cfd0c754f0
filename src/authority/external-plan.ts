/**
 * Root and issuing certificate from someone else's CA: what it gives takes the way of our own keys. A new root is published,
 * observed and given its time before anything under it signs; then the issuing certificate follows.
 */

import { isHeldBack, planActivation } from "./activation.ts";
import { isDistrusted } from "./distrust.ts";
import type { ExternalCertificate } from "./external-authority.ts";
import { holdLimit, MAX_RETIRED_SLOTS } from "./limits.ts";
import type { Draft, ExternalSource, RotationInput, Waiting } from "./rotation-plan.ts";
import type { RecertifyStep } from "./rotation-step.ts";
import { activeSlot, endOfUse, preparedSlot, type Slot } from "./slot.ts";

/** The Secret is read again after a tenth of the propagation, at most so many seconds: nobody says that it has changed. */
const LOOK_AGAIN = 60;

export interface ExternalInput {
  readonly active: Slot;
  readonly source: ExternalSource;
  /** A rotation by hand was asked for. */
  readonly isAsked: boolean;
}

type Wanted = ExternalCertificate & { readonly intermediates?: RecertifyStep["intermediates"] };

export function planExternal(input: RotationInput, external: ExternalInput, draft: Draft): void {
  const { journal, now } = input;
  const { active } = external;
  const source = believedSource(input, external, draft);
  const { kind } = active;
  const lookAgain = Math.min(LOOK_AGAIN, Math.max(1, Math.floor(input.policy.propagation / 10)));
  draft.wakes.push(now + lookAgain, active.notAfter);
  if (external.isAsked) {
    const message = `a rotation was asked for, but this key is not meshid's to make: put another CA into ${source.place}`;
    draft.waiting.push({ kind, keyID: active.keyID, for: "policy", message });
  }
  const prepared = preparedSlot(journal, kind);
  if (source.authority === undefined) {
    if (prepared?.external === true) planActivation({ ...input, active, prepared }, draft);
    else if (prepared !== undefined)
      draft.steps.push({ step: "Discard", kind, keyID: prepared.keyID, reason: "SourceChanged" });
    return;
  }
  const wanted: Wanted = kind === "Root" ? source.authority.root : source.authority.issuing;
  const issuerKeyID = kind === "Root" ? undefined : source.authority.root.keyID;
  if (prepared !== undefined) planPrepared(input, { active, prepared, wanted, issuerKeyID }, draft);
  // A new issuing certificate follows its root.
  else if (issuerKeyID === undefined || activeSlot(journal, "Root")?.keyID === issuerKeyID) {
    planSuccessor(input, { active, wanted, issuerKeyID }, draft);
  }
}

/** Where its root cannot be taken, what was brought is as good as nothing: the reason is told. */
function believedSource(
  input: RotationInput,
  { active, source }: ExternalInput,
  draft: Draft,
): ExternalSource {
  const root = source.authority?.root;
  if (root === undefined) return source;
  const { kind, keyID } = active;
  // It does not come back because its Secret was put back.
  const isOut = isDistrusted(input, root.keyID);
  const misfit = isOut ? undefined : misfitUnder(input, source, root);
  if (!isOut && misfit === undefined) return source;
  const message = isOut
    ? `the root ${root.keyID} in ${source.place} is not to be trusted any more: put another CA there`
    : `the root in ${source.place} is another certificate of the same key, under which certificates in use would be refused (${misfit}): give the new root a key of its own, and it is followed without a break`;
  if (kind === "Root" && (!isOut || keyID !== root.keyID))
    draft.waiting.push({ kind, keyID, for: "policy", message });
  return { ...source, authority: undefined };
}

/** A certificate of a root stands in the bundles alone of its key: what the one before it has vouched for must fit it too. */
function misfitUnder(
  { journal, now }: RotationInput,
  { misfit }: ExternalSource,
  { keyID, certificate }: ExternalCertificate,
): string | undefined {
  const active = activeSlot(journal, "Root");
  const isReplaced = active?.keyID === keyID && active.certificate !== certificate && now < active.notAfter;
  if (!isReplaced || misfit === undefined) return undefined;
  const issued = journal.slots.filter(
    (slot) => slot.issuerKeyID === keyID && (slot.state !== "Retired" || now < endOfUse(slot)),
  );
  const chains = issued.map((slot) => [slot.certificate ?? [], slot.intermediates ?? []].flat());
  return misfit(certificate, chains);
}

interface Successor {
  readonly active: Slot;
  readonly wanted: Wanted;
  readonly issuerKeyID: Slot["issuerKeyID"];
}

function planPrepared(
  input: RotationInput,
  { active, prepared, wanted, issuerKeyID }: Successor & { readonly prepared: Slot },
  draft: Draft,
): void {
  const { kind, keyID } = prepared;
  const isUnderActiveRoot =
    prepared.issuerKeyID === undefined || prepared.issuerKeyID === activeSlot(input.journal, "Root")?.keyID;
  if (keyID !== wanted.keyID || prepared.issuerKeyID !== issuerKeyID || !isUnderActiveRoot) {
    draft.steps.push({ step: "Discard", kind, keyID, reason: "SourceChanged" });
  } else if (!isCertifiedAs(prepared, wanted)) {
    // One that was in use before may have signed what ends later than the new certificate.
    if (wanted.notAfter >= prepared.signedUntil) draft.steps.push(recertify(prepared, wanted, issuerKeyID));
    else draft.waiting.push(endsTooSoon(prepared));
  } else planActivation({ ...input, active, prepared }, draft);
}

function planSuccessor(input: RotationInput, successor: Successor, draft: Draft): void {
  const { journal, now } = input;
  const { active, wanted, issuerKeyID } = successor;
  const { kind, keyID } = active;
  if (keyID === wanted.keyID) {
    if (isCertifiedAs(active, wanted) && active.issuerKeyID === issuerKeyID) return;
    if (wanted.notAfter >= active.signedUntil) draft.steps.push(recertify(active, wanted, issuerKeyID));
    else draft.waiting.push(endsTooSoon(active));
    return;
  }
  const former = journal.slots.find((slot) => slot.keyID === wanted.keyID);
  if (former !== undefined && former.signedUntil > wanted.notAfter) {
    const message = `the key ${wanted.keyID} was brought again with a certificate that ends before something that it signed: one that ends later is waited for`;
    draft.waiting.push({ kind, keyID, for: "policy", until: former.signedUntil, message });
    return;
  }
  const until = holdLimit(journal, active);
  const retired = journal.slots.filter((slot) => slot.kind === kind && slot.state === "Retired");
  if (retired.length >= MAX_RETIRED_SLOTS && now < until) {
    const message = `another key was brought, but ${retired.length} retired keys of this kind are still published: it is taken when one of them ends`;
    draft.waiting.push({ kind, keyID, for: "expiry", until, message });
    return;
  }
  if (isHeldBack(input, { active, isAsked: false }, draft)) return;
  const { algorithm, notBefore, notAfter } = wanted;
  draft.steps.push({
    step: "Prepare",
    kind,
    reason: "SourceChanged",
    external: wanted.keyID,
    algorithm,
    notBefore,
    notAfter,
    ...(issuerKeyID === undefined ? {} : { issuerKeyID }),
  });
}

function endsTooSoon({ kind, keyID, notAfter }: Slot): Waiting {
  const message =
    "its new certificate ends before something that it signed: one that ends later is waited for";
  return { kind, keyID, for: "policy", until: notAfter, message };
}

function isCertifiedAs(slot: Slot, wanted: Wanted): boolean {
  const chain = (one: Pick<Wanted, "intermediates">): string => (one.intermediates ?? []).join("");
  return slot.certificate === wanted.certificate && chain(slot) === chain(wanted);
}

function recertify(slot: Slot, wanted: Wanted, issuerKeyID: Slot["issuerKeyID"]): RecertifyStep {
  const { certificate, intermediates, notBefore, notAfter } = wanted;
  return {
    step: "Recertify",
    kind: slot.kind === "Root" ? "Root" : "Issuing",
    keyID: slot.keyID,
    certificate,
    ...(intermediates === undefined ? {} : { intermediates }),
    ...(issuerKeyID === undefined ? {} : { issuerKeyID }),
    notBefore,
    notAfter,
  };
}
