/**
 * What the authority's slots need next: a pure function of the journal, the time, the policy and what was observed.
 *
 * A successor is prepared at 1/2 of the active slot's life and takes over once every consumer was observed to carry it
 * and `propagation` has passed since; no wait outlasts 3/4 of the active slot's life. Consumers of an issuing
 * certificate need its root, which travels ahead of it, so there the root is what must be observed, and the time counts
 * from the preparation.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import { digest } from "../core/digest.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { KeyAlgorithm } from "../x509/keys.ts";
import { isHeldBack, planActivation } from "./activation.ts";
import { planDistrust } from "./distrust.ts";
import { planExternal } from "./external-plan.ts";
import { MAX_RETIRED_SLOTS } from "./limits.ts";
import type {
  Draft,
  Requests,
  RotationInput,
  RotationPlan,
  RotationPolicy,
  Waiting,
} from "./rotation-plan.ts";
import type { DiscardStep, PrepareReason, PrepareStep } from "./rotation-step.ts";
import {
  AUTHORITY_KINDS,
  type AuthorityKind,
  activeSlot,
  clockFault,
  endOfUse,
  instantOfLife,
  type Journal,
  LATEST_SHARE,
  PREPARE_SHARE,
  preparedSlot,
  type Slot,
} from "./slot.ts";

/** A longer value is kept in the journal as its digest. */
const MAX_REQUEST = 253;

/** How soon to look again at a clock that is wrong. */
const CLOCK_RECHECK = 60;

/** Requests as the journal notes them once they are met. */
export function asHonoured(requests: Requests): Journal["honoured"] {
  const entries = Object.entries(requests).map(([kind, value]) => {
    return [kind, value.length <= MAX_REQUEST ? value : digest(value)];
  });
  return Object.fromEntries(entries) as Journal["honoured"];
}

export function planRotation(input: RotationInput): RotationPlan {
  const { journal, now } = input;
  const fault = clockFault(journal, now);
  if (fault !== undefined) {
    const wakeAt = seconds(now + CLOCK_RECHECK);
    return { steps: [], waiting: [], observe: [], wakeAt, fault: { code: "ClockSkew", message: fault } };
  }
  const draft: Draft = { steps: [], waiting: [], observe: new Set(), wakes: [] };
  const distrust = planDistrust(input, draft);
  if (distrust !== undefined) {
    return { steps: [distrust], waiting: draft.waiting, observe: [], wakeAt: seconds(now + 1) };
  }
  planRemovals(input, draft);
  for (const kind of AUTHORITY_KINDS) {
    // Which root is active decides everything about an issuing certificate.
    if (kind === "Issuing" && draft.steps.some((step) => step.step === "Activate")) continue;
    planKind(input, kind, draft);
  }
  const wakes = [...draft.wakes, ...draft.waiting.map(({ until }) => until ?? Number.POSITIVE_INFINITY)];
  const next = Math.min(...wakes.filter((instant) => instant > now));
  return {
    steps: draft.steps,
    waiting: draft.waiting,
    observe: [...draft.observe],
    // Every active slot ends some day, so an infinite wait cannot be meant.
    wakeAt: seconds(Number.isFinite(next) ? next : now + 1),
  };
}

function planKind(input: RotationInput, kind: AuthorityKind, draft: Draft): void {
  const { journal, requests, policy } = input;
  const active = activeSlot(journal, kind);
  if (active === undefined) throw new TypeError(`journal: no active slot of kind ${kind}`);
  const asked = pendingRequest(journal, requests, kind);
  // While our own root is active it goes on certifying: what is brought may take its time.
  const isOurs = kind === "Issuing" && activeSlot(journal, "Root")?.external !== true;
  if (policy.external !== undefined && kind !== "JWT" && !isOurs) {
    return planExternal(input, { active, source: policy.external, isAsked: asked !== undefined }, draft);
  }
  const prepared = preparedSlot(journal, kind);
  if (prepared === undefined) return planPreparation(input, active, asked, draft);
  const attempt: Draft = { steps: [], waiting: [], observe: new Set(), wakes: [] };
  planActivation({ ...input, active, prepared }, attempt);
  const isReady = attempt.steps.some((step) => step.step === "Activate" && step.forced === undefined);
  const useless = uselessBecause(input, prepared) ?? (isReady ? undefined : tooOld(input, active, prepared));
  if (useless !== undefined) {
    draft.steps.push({ step: "Discard", kind, keyID: prepared.keyID, reason: useless });
    return;
  }
  for (const keyID of attempt.observe) draft.observe.add(keyID);
  if (asked !== undefined) draft.steps.push({ step: "Honour", kind, value: asked });
  draft.steps.push(...attempt.steps);
  draft.waiting.push(...attempt.waiting);
  draft.wakes.push(...attempt.wakes, instantOfLife(prepared, PREPARE_SHARE));
}

function planPreparation(input: RotationInput, active: Slot, asked: string | undefined, draft: Draft): void {
  const { kind } = active;
  const { journal, now } = input;
  draft.wakes.push(
    instantOfLife(active, PREPARE_SHARE),
    instantOfLife(active, LATEST_SHARE),
    active.notAfter,
  );
  const retired = retiredSlots(journal, kind);
  const isCrowded = asked !== undefined && retired.length >= MAX_RETIRED_SLOTS;
  if (isCrowded) draft.waiting.push(crowded(active, retired));
  const request = isCrowded ? undefined : asked;
  const reason = dueReason(input, active, request);
  if (kind === "Issuing" && reason !== "RootChanged" && followsRoot(input, active, reason)) {
    if (request !== undefined) draft.steps.push({ step: "Honour", kind, value: request });
    return;
  }
  if (reason === undefined || isHeldBack(input, { active, isAsked: reason === "Requested" }, draft)) return;
  const honours = request === undefined ? {} : { honours: request };
  const step = prepareStep(input, active, reason);
  if (step !== undefined) draft.steps.push({ ...step, ...honours });
  // A successor that waits for a root: only the root's own progress can help.
  else draft.wakes.push(now + input.policy.propagation);
}

/** Why a successor is due now; undefined when it is not. */
function dueReason(input: RotationInput, active: Slot, asked: string | undefined): PrepareReason | undefined {
  const { journal, now, policy } = input;
  const { kind } = active;
  const root = activeSlot(journal, "Root");
  if (kind === "Issuing" && active.issuerKeyID !== root?.keyID) return "RootChanged";
  if (active.external === true) return "SourceChanged";
  if (asked !== undefined) return "Requested";
  if (active.algorithm !== wantedAlgorithm(policy, kind)) return "AlgorithmChanged";
  if (now >= instantOfLife(active, PREPARE_SHARE)) return "HalfLife";
  return kind === "Root" && isTooShortForIssuing(input, active) ? "RootTooShort" : undefined;
}

/** Whether an issuing certificate is due that a fresh root could give a longer life. */
function isTooShortForIssuing(input: RotationInput, root: Slot): boolean {
  const { journal, now, policy, requests } = input;
  const left = root.notAfter - now;
  if (left >= Math.min(policy.issuingTTL, policy.rootTTL)) return false;
  const issuing = activeSlot(journal, "Issuing");
  const isUnderWay = issuing === undefined || preparedSlot(journal, "Issuing") !== undefined;
  if (isUnderWay || issuing.issuerKeyID !== root.keyID) return false;
  return dueReason(input, issuing, pendingRequest(journal, requests, "Issuing")) !== undefined;
}

/**
 * Whether a new issuing certificate had better wait for a root that is on its way, because activating the root brings
 * one anyway. It waits no longer than to its own latest share, and not at all when the present root can give it a full
 * life and its time has come.
 */
function followsRoot(input: RotationInput, active: Slot, reason: PrepareReason | undefined): boolean {
  const { journal, now, policy, requests } = input;
  const root = activeSlot(journal, "Root");
  if (root === undefined || now >= instantOfLife(active, LATEST_SHARE)) return root?.external === true;
  const rootRequest = pendingRequest(journal, requests, "Root");
  const mayRequest = retiredSlots(journal, "Root").length < MAX_RETIRED_SLOTS;
  const isRootMoving =
    preparedSlot(journal, "Root") !== undefined ||
    dueReason(input, root, mayRequest ? rootRequest : undefined) !== undefined;
  if (!isRootMoving) return false;
  return reason !== "HalfLife" || root.notAfter < now + policy.issuingTTL;
}

/**
 * What to make. Undefined where the active root is someone else's, or could give no more life than the active issuing
 * certificate has.
 */
function prepareStep(input: RotationInput, active: Slot, reason: PrepareReason): PrepareStep | undefined {
  const { journal, now, policy } = input;
  const { kind } = active;
  const base = { step: "Prepare", kind, reason, algorithm: wantedAlgorithm(policy, kind) } as const;
  const notBefore = seconds(now - CLOCK_SKEW);
  if (kind !== "Issuing") {
    const ttl = kind === "Root" ? policy.rootTTL : policy.keyTTL;
    return { ...base, notBefore, notAfter: seconds(now + ttl), ...crossing(active, now, policy) };
  }
  const root = activeSlot(journal, "Root");
  if (root === undefined || root.external === true || root.notAfter <= now) return undefined;
  const wanted = now + policy.issuingTTL;
  if (wanted > root.notAfter && root.notAfter <= active.notAfter && active.issuerKeyID === root.keyID)
    return undefined;
  return { ...base, notBefore, notAfter: seconds(Math.min(wanted, root.notAfter)), issuerKeyID: root.keyID };
}

/** Only between roots of our own: the key of someone else's is not here. One that has ended convinces nobody. */
function crossing(active: Slot, now: Seconds, policy: RotationPolicy): Pick<PrepareStep, "crossedBy"> {
  const isAsked = policy.crossSignRoots === true && active.kind === "Root";
  return isAsked && active.external !== true && now < active.notAfter ? { crossedBy: active.keyID } : {};
}

function uselessBecause(input: RotationInput, prepared: Slot): DiscardStep["reason"] | undefined {
  const { journal, now, policy } = input;
  if (prepared.kind === "Issuing" && prepared.issuerKeyID !== activeSlot(journal, "Root")?.keyID) {
    return "RootChanged";
  }
  if (prepared.external === true) return "SourceChanged";
  if (prepared.algorithm !== wantedAlgorithm(policy, prepared.kind)) return "AlgorithmChanged";
  return now >= prepared.notAfter ? "TooOld" : undefined;
}

/**
 * One that has waited for half of its life would hardly be active before it needs a successor itself: a fresh one takes its
 * place, as long as that can still have its propagation time before the active slot ends.
 */
function tooOld({ now, policy }: RotationInput, active: Slot, prepared: Slot): "TooOld" | undefined {
  const isOld = now >= instantOfLife(prepared, PREPARE_SHARE);
  return isOld && now + policy.propagation < active.notAfter ? "TooOld" : undefined;
}

/** A root stays while a slot that it certified is there: as long as a leaf can be alive under it. */
function planRemovals({ journal, now }: RotationInput, draft: Draft): void {
  for (const slot of journal.slots) {
    if (slot.state !== "Retired") continue;
    const { kind, keyID } = slot;
    const issued = journal.slots.filter(({ issuerKeyID }) => issuerKeyID === keyID);
    const isUsed = kind === "Root" ? issued.length > 0 : now < endOfUse(slot);
    if (isUsed) draft.waiting.push(expiring(slot, kind === "Root" ? lastEnd(issued) : endOfUse(slot)));
    else draft.steps.push({ step: "Remove", kind, keyID });
  }
}

/** Undefined while it cannot be known: one of them is still to be retired. */
function lastEnd(issued: readonly Slot[]): Seconds | undefined {
  if (issued.some(({ state }) => state !== "Retired")) return undefined;
  return seconds(Math.max(...issued.map(endOfUse)));
}

function expiring({ kind, keyID }: Slot, until: Seconds | undefined): Waiting {
  const message =
    until === undefined
      ? "stays published until the issuing certificate under it is replaced and nothing that it signed is alive"
      : "stays published while something that it signed may be alive";
  return { kind, keyID, for: "expiry", message, ...(until === undefined ? {} : { until }) };
}

function crowded({ kind, keyID }: Slot, retired: readonly Slot[]): Waiting {
  const until = seconds(Math.min(...retired.map(endOfUse)));
  const message = `a rotation was asked for, but ${retired.length} retired keys of this kind are still published: it begins when one of them ends`;
  return { kind, keyID, for: "expiry", until, message };
}

function retiredSlots(journal: Journal, kind: AuthorityKind): readonly Slot[] {
  return journal.slots.filter((slot) => slot.kind === kind && slot.state === "Retired");
}

function pendingRequest(journal: Journal, requests: Requests, kind: AuthorityKind): string | undefined {
  const short = asHonoured(requests)[kind];
  return short === journal.honoured[kind] ? undefined : short;
}

function wantedAlgorithm(policy: RotationPolicy, kind: AuthorityKind): KeyAlgorithm | JwtAlgorithm {
  return kind === "JWT" ? policy.jwtAlgorithm : policy.keyAlgorithm;
}
