/**
 * A slot: one signing key of the trust domain, from its publication to the end of the last thing it signed.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW, toRfc3339 } from "../core/clock.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { KeyAlgorithm, KeyId } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";

export const AUTHORITY_KINDS = ["Root", "Issuing", "JWT"] as const;
export type AuthorityKind = (typeof AUTHORITY_KINDS)[number];

/** Prepared: published, signs nothing. Active: signs. Retired: signs nothing, stays published while what it signed lives. */
export const SLOT_STATES = ["Prepared", "Active", "Retired"] as const;
export type SlotState = (typeof SLOT_STATES)[number];

/** The share of the active slot's life after which a successor is prepared. */
export const PREPARE_SHARE: number = 1 / 2;
/** The share of the active slot's life up to which the policy may hold back the preparation of a successor. */
export const HOLD_SHARE: number = 5 / 8;
/** The share of the active slot's life after which neither a consumer nor the policy is waited for any longer. */
export const LATEST_SHARE: number = 3 / 4;

/**
 * What a root has said of its successor's key: leaves carry it, for consumers that keep a bundle in which the successor is
 * missing. It stands in no bundle, and keeps no root in one.
 */
export interface CrossCertificate {
  /** The root that signed it, which need not be in the journal any more. */
  readonly issuerKeyID: KeyId;
  readonly certificate: CertificatePem;
  readonly notAfter: Seconds;
}

export interface Slot {
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
  readonly state: SlotState;
  /** JWT: the JWS algorithm; otherwise the key's. */
  readonly algorithm: KeyAlgorithm | JwtAlgorithm;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  /** Root: self-signed; Issuing: signed by the slot `issuerKeyID`; JWT: absent. */
  readonly certificate?: CertificatePem;
  readonly issuerKeyID?: KeyId;
  /** Root and Issuing: made by someone else's CA. Of such a root there is no private key here. */
  readonly external?: true;
  /** Issuing and external: what stands between it and its root, its issuer first. */
  readonly intermediates?: readonly CertificatePem[];
  /** Root, our own: by the root that was active when this one was made. */
  readonly crossCertificate?: CrossCertificate;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  /**
   * Nothing signed with this key ends later, a cross certificate apart; raised in the journal before signing. Equal to
   * `notBefore`: signed nothing.
   */
  readonly signedUntil: Seconds;
  /** When `state` was entered. */
  readonly since: Seconds;
  /** When every consumer was first observed with a bundle that carries this slot; absent until then, and for Issuing. */
  readonly observedAt?: Seconds;
}

/** What is published beside the slots, so that the journal alone determines every published document. */
export interface Publication {
  /** Rises with each change of content (Trust Domain and Bundle §4.1.1). */
  readonly sequence: number;
  /** Of the content, `sequence` apart. */
  readonly hash: string;
  /** When the content last changed. */
  readonly publishedAt: Seconds;
  /** How often a consumer of the bundle should fetch it again. */
  readonly refreshHint: Seconds;
  /** Foreign roots, for the time of a migration. */
  readonly additionalRoots: readonly CertificatePem[];
}

/** A key that was taken out of every bundle at once, because somebody else may have it. */
export interface Distrusted {
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
  readonly at: Seconds;
}

/** The public record of all slots: saved by compare-and-swap on `revision` before each step takes effect. */
export interface Journal {
  readonly version: 1;
  readonly trustDomain: string;
  /** The `iss` of every token; immutable. */
  readonly issuer: string;
  /** Raised by each process (leader) that takes the journal over. */
  readonly epoch: number;
  /** When the present process took the journal over. */
  readonly takenOverAt: Seconds;
  /** Raised by each save. */
  readonly revision: number;
  /** The latest instant that any save has seen: a clock far behind it is wrong. */
  readonly savedAt: Seconds;
  readonly bundle: Publication;
  readonly slots: readonly Slot[];
  /** The honoured values of the rotate annotations or requests. */
  readonly honoured: Readonly<Partial<Record<AuthorityKind, string>>>;
  /** The latest ones, the oldest first; at most `MAX_DISTRUSTED`. */
  readonly distrusted?: readonly Distrusted[];
}

export const MAX_DISTRUSTED = 8;

/** Whether its private key is ours to have: that of someone else's root is not. */
export function hasPrivateKey({ kind, external }: Pick<Slot, "kind" | "external">): boolean {
  return kind !== "Root" || external !== true;
}

/** The slot that signs. Undefined only in a journal that `decodeJournal` refuses. */
export function activeSlot(journal: Journal, kind: AuthorityKind): Slot | undefined {
  return journal.slots.find((slot) => slot.kind === kind && slot.state === "Active");
}

export function preparedSlot(journal: Journal, kind: AuthorityKind): Slot | undefined {
  return journal.slots.find((slot) => slot.kind === kind && slot.state === "Prepared");
}

/** The instant at which `share` of the slot's life is over; the back-dating is no part of the life. */
export function instantOfLife(slot: Slot, share: number): Seconds {
  const start = slot.notBefore + CLOCK_SKEW;
  return seconds(start + Math.max(0, Math.floor((slot.notAfter - start) * share)));
}

/** When a retired slot is of no more use to anyone, clocks that are behind included. */
export function endOfUse(slot: Slot): Seconds {
  return seconds(slot.signedUntil + CLOCK_SKEW + 1);
}

/** The latest instant that the journal knows of. */
export function latestInstant(journal: Journal): Seconds {
  const instants = journal.slots.flatMap(({ since, observedAt }) => [since, observedAt ?? since]);
  const { savedAt, takenOverAt, bundle } = journal;
  return seconds(Math.max(savedAt, takenOverAt, bundle.publishedAt, ...instants));
}

/**
 * Why nothing may be decided or signed at `now`: the clock went back by more than clocks may differ. Which of the two is wrong
 * nobody can tell from here; a time that the journal has seen is believed, since keys and credentials count from it.
 */
export function clockFault(journal: Journal, now: Seconds): string | undefined {
  const latest = latestInstant(journal);
  const from = seconds(latest - CLOCK_SKEW);
  if (now >= from) return undefined;
  return `the clock says ${toRfc3339(now)}, but the journal was saved at ${toRfc3339(latest)}: set the clock; if it is right and was ahead then, leave it: nothing is signed until ${toRfc3339(from)}, and all goes on by itself after that`;
}
