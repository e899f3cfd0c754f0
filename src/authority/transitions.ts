/**
 * From one journal to the next: pure. Every transition raises `revision`; `bundle.sequence` rises whenever what is
 * published changes. A transition whose condition no longer holds gives undefined: someone else was there first.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { unreachable } from "../core/errors.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type KeyId, keyIdOf } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import { fallsWith } from "./distrust.ts";
import { contentHash } from "./published-content.ts";
import type { ActivateStep, JournalStep, MadeStep, RecertifyStep } from "./rotation-step.ts";
import { type AuthorityKind, type Journal, MAX_DISTRUSTED, type Publication, type Slot } from "./slot.ts";

/** `signedUntil` is raised in steps of this share of a slot's life, so that it is no write per credential. */
const RAISE_SHARE = 0.02;
const MIN_RAISE = 60;

export interface FirstJournal {
  readonly trustDomain: string;
  readonly issuer: string;
  readonly refreshHint: Seconds;
  /** One for each kind, the root before what it certifies. */
  readonly slots: readonly MadeStep[];
  /** The highest sequence that consumers may have seen; absent: none. */
  readonly above?: number;
  /** Rotations that were asked for before: a new trust domain is not to be rotated for them. */
  readonly honoured?: Journal["honoured"];
}

/** The journal of a new trust domain: nobody holds anything yet, so every slot is active at once. */
export function firstJournal(
  { trustDomain, issuer, refreshHint, slots, above = 0, honoured = {} }: FirstJournal,
  now: Seconds,
): Journal {
  const active = slots.map((step): Slot => ({ ...slotOf(step, now), state: "Active" }));
  const publication = { refreshHint, additionalRoots: [] };
  return {
    version: 1,
    trustDomain,
    issuer,
    epoch: 1,
    takenOverAt: now,
    revision: 1,
    savedAt: now,
    bundle: { sequence: above + 1, hash: contentHash(active, publication), publishedAt: now, ...publication },
    slots: slots.reduce(withIssued, active),
    honoured,
  };
}

/** Carries `step` into the journal. */
export function applyStep(journal: Journal, step: JournalStep, now: Seconds): Journal | undefined {
  const { kind } = step;
  switch (step.step) {
    case "Prepare": {
      const signer = step.issuerKeyID ?? step.made.crossCertificate?.issuerKeyID;
      const isRootActive = signer === undefined || find(journal, signer)?.state === "Active";
      if (hasPrepared(journal, kind) || !isRootActive) return undefined;
      const known = find(journal, step.made.keyID);
      // Someone else's CA may come back to a key that it had given up.
      if (known !== undefined && (known.kind !== kind || known.state !== "Retired")) return undefined;
      const stay = journal.slots.filter((slot) => slot !== known);
      const others = known === undefined ? stay : withoutCrosses(stay, [known.keyID]);
      const slots = withIssued([...others, slotOf(step, now, known)], step);
      return next(journal, { slots, honoured: honour(journal, kind, step.honours) }, now);
    }
    case "Observe": {
      const slot = find(journal, step.keyID);
      if (slot?.state !== "Prepared" || slot.observedAt !== undefined) return undefined;
      return next(journal, { slots: replace(journal, { ...slot, observedAt: now }) }, now);
    }
    case "Activate":
      return activate(journal, step, now);
    case "Honour":
      if (journal.honoured[kind] === step.value) return undefined;
      return next(journal, { honoured: honour(journal, kind, step.value) }, now);
    case "Discard":
      return discard(journal, step.keyID, now);
    case "Recertify":
      return recertify(journal, step, now);
    case "Distrust":
      return distrust(journal, step, now);
    case "Remove": {
      const isIssuer = journal.slots.some(({ issuerKeyID }) => issuerKeyID === step.keyID);
      return isIssuer ? undefined : without(journal, step.keyID, "Retired", now);
    }
    default:
      return unreachable(step);
  }
}

/**
 * Allows `keyID` to sign what ends at `end`, and somewhat more, so that the next credentials need no save. Undefined when
 * that is allowed already, or the slot signs no more.
 */
export function raiseSignedUntil(
  journal: Journal,
  { keyID, end }: { readonly keyID: KeyId; readonly end: Seconds },
  now: Seconds,
): Journal | undefined {
  const slot = find(journal, keyID);
  if (slot?.state !== "Active" || slot.signedUntil >= end) return undefined;
  if (end > slot.notAfter) throw new TypeError(`signedUntil: ${end} is after the end of the slot`);
  const step = Math.max(MIN_RAISE, Math.ceil((slot.notAfter - slot.notBefore) * RAISE_SHARE));
  const raised = slot.notBefore + Math.ceil((end - slot.notBefore) / step) * step;
  const signedUntil = seconds(Math.min(slot.notAfter, raised));
  return next(journal, { slots: replace(journal, { ...slot, signedUntil }) }, now);
}

/** A process takes the journal over: whoever had it before cannot save any more. `lost`: prepared keys that are gone. */
export function takeOver(journal: Journal, lost: readonly KeyId[], now: Seconds): Journal {
  const slots = journal.slots.filter(({ state, keyID }) => state !== "Prepared" || !lost.includes(keyID));
  return { ...next(journal, { slots }, now), epoch: journal.epoch + 1, takenOverAt: now };
}

/** Undefined when nothing published changes. */
export function republish(
  journal: Journal,
  publication: { readonly refreshHint: Seconds; readonly additionalRoots: readonly CertificatePem[] },
  now: Seconds,
): Journal | undefined {
  const bundle = believed({ ...journal.bundle, ...publication }, journal.distrusted);
  const after = next(journal, { bundle }, now);
  return after.bundle.hash === journal.bundle.hash ? undefined : after;
}

function activate(journal: Journal, { kind, keyID }: ActivateStep, now: Seconds): Journal | undefined {
  if (find(journal, keyID)?.state !== "Prepared") return undefined;
  const slots = journal.slots.map((slot): Slot => {
    if (slot.keyID === keyID) return { ...slot, state: "Active", since: now };
    if (slot.kind === kind && slot.state === "Active") return { ...slot, state: "Retired", since: now };
    return slot;
  });
  return next(journal, { slots }, now);
}

function without(journal: Journal, keyID: KeyId, state: Slot["state"], now: Seconds): Journal | undefined {
  if (find(journal, keyID)?.state !== state) return undefined;
  return next(journal, { slots: journal.slots.filter((slot) => slot.keyID !== keyID) }, now);
}

/** It goes, unless it has signed something in an earlier life: then it is retired once more. */
function discard(journal: Journal, keyID: KeyId, now: Seconds): Journal | undefined {
  const slot = find(journal, keyID);
  if (slot === undefined || slot.signedUntil <= slot.notBefore)
    return without(journal, keyID, "Prepared", now);
  if (slot.state !== "Prepared") return undefined;
  const { observedAt: _, ...rest } = slot;
  return next(journal, { slots: replace(journal, { ...rest, state: "Retired", since: now }) }, now);
}

function recertify(journal: Journal, step: RecertifyStep, now: Seconds): Journal | undefined {
  const { keyID, certificate, intermediates, issuerKeyID, notBefore, notAfter } = step;
  const slot = find(journal, keyID);
  if (slot === undefined || slot.state === "Retired" || slot.signedUntil > notAfter) return undefined;
  if (issuerKeyID !== undefined && find(journal, issuerKeyID)?.state !== "Active") return undefined;
  const { intermediates: _, crossCertificate: __, ...rest } = slot;
  const renewed: Slot = {
    ...rest,
    certificate,
    ...(intermediates === undefined ? {} : { intermediates }),
    ...(issuerKeyID === undefined ? {} : { issuerKeyID }),
    notBefore,
    notAfter,
    signedUntil: seconds(Math.max(slot.signedUntil, notBefore)),
  };
  const slots = withoutCrosses(replace(journal, renewed), [keyID]);
  return next(journal, { slots: withIssued(slots, renewed) }, now);
}

function distrust(
  journal: Journal,
  { kind, keyIDs, replacements }: Extract<JournalStep, { readonly step: "Distrust" }>,
  now: Seconds,
): Journal | undefined {
  const gone = journal.slots.filter((slot) => fallsWith(slot, keyIDs));
  if (gone.length === 0 && !journal.slots.some((slot) => isCrossedBy(slot, keyIDs))) return undefined;
  const replaced = new Set(replacements.map((step) => step.kind));
  const kept = withoutCrosses(journal.slots, keyIDs).filter(
    (slot) => !fallsWith(slot, keyIDs) && !(replaced.has(slot.kind) && slot.state === "Prepared"),
  );
  const made = replacements.map((step): Slot => ({ ...slotOf(step, now), state: "Active" }));
  const slots = replacements.reduce<readonly Slot[]>(withIssued, [...kept, ...made]);
  const records = keyIDs.slice(0, MAX_DISTRUSTED).map((keyID) => ({ kind, keyID, at: now }));
  const distrusted = [...(journal.distrusted ?? []), ...records].slice(-MAX_DISTRUSTED);
  return next(journal, { slots, distrusted, bundle: believed(journal.bundle, distrusted) }, now);
}

/** A root that nobody shall trust any more stands in no bundle, whoever brings it. */
function believed<P extends Pick<Publication, "additionalRoots">>(
  publication: P,
  distrusted: Journal["distrusted"] = [],
): P {
  const keyIDs = new Set(distrusted.map(({ keyID }) => keyID));
  if (keyIDs.size === 0) return publication;
  const isBelieved = (pem: CertificatePem): boolean => !keyIDs.has(keyIdOf(parseCertificate(pem).publicKey));
  return { ...publication, additionalRoots: publication.additionalRoots.filter(isBelieved) };
}

function isCrossedBy({ crossCertificate }: Slot, keyIDs: readonly KeyId[]): boolean {
  return crossCertificate !== undefined && keyIDs.includes(crossCertificate.issuerKeyID);
}

/** Without the word of roots that are not believed any more, or have become another CA's. */
function withoutCrosses(slots: readonly Slot[], keyIDs: readonly KeyId[]): readonly Slot[] {
  return slots.map((slot) => {
    if (!isCrossedBy(slot, keyIDs)) return slot;
    const { crossCertificate: _, ...rest } = slot;
    return rest;
  });
}

/** `known`: the retired slot that comes back. */
function slotOf(step: MadeStep, now: Seconds, known?: Slot): Slot {
  const { kind, algorithm, notBefore, notAfter, issuerKeyID, external, made } = step;
  return {
    kind,
    keyID: made.keyID,
    state: "Prepared",
    algorithm,
    publicKey: made.publicKey,
    ...(made.certificate === undefined ? {} : { certificate: made.certificate }),
    ...(issuerKeyID === undefined ? {} : { issuerKeyID }),
    ...(external === undefined ? {} : { external: true }),
    ...(made.intermediates === undefined ? {} : { intermediates: made.intermediates }),
    ...(made.crossCertificate === undefined ? {} : { crossCertificate: made.crossCertificate }),
    notBefore,
    notAfter,
    signedUntil: seconds(Math.min(notAfter, Math.max(notBefore, known?.signedUntil ?? 0))),
    since: now,
  };
}

/** The root signed something that ends with the new slot. */
function withIssued(
  slots: readonly Slot[],
  { issuerKeyID, notAfter }: Pick<Slot, "issuerKeyID" | "notAfter">,
): readonly Slot[] {
  return slots.map((slot) =>
    slot.keyID === issuerKeyID
      ? { ...slot, signedUntil: seconds(Math.max(slot.signedUntil, notAfter)) }
      : slot,
  );
}

function honour(journal: Journal, kind: AuthorityKind, value: string | undefined): Journal["honoured"] {
  return value === undefined ? journal.honoured : { ...journal.honoured, [kind]: value };
}

function next(
  journal: Journal,
  changes: Partial<Pick<Journal, "slots" | "honoured" | "bundle" | "distrusted">>,
  now: Seconds,
): Journal {
  const after = { ...journal, ...changes };
  return {
    ...after,
    revision: journal.revision + 1,
    savedAt: seconds(Math.max(journal.savedAt, now)),
    bundle: published(after.bundle, after.slots, now),
  };
}

function published(bundle: Publication, slots: readonly Slot[], now: Seconds): Publication {
  const hash = contentHash(slots, bundle);
  return hash === bundle.hash ? bundle : { ...bundle, hash, sequence: bundle.sequence + 1, publishedAt: now };
}

function find(journal: Journal, keyID: KeyId): Slot | undefined {
  return journal.slots.find((slot) => slot.keyID === keyID);
}

function hasPrepared(journal: Journal, kind: AuthorityKind): boolean {
  return journal.slots.some((slot) => slot.kind === kind && slot.state === "Prepared");
}

function replace(journal: Journal, changed: Slot): readonly Slot[] {
  return journal.slots.map((slot) => (slot.keyID === changed.keyID ? changed : slot));
}
