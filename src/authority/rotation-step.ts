/**
 * The steps of a rotation: each is one save of the journal, and takes effect after it.
 */

import type { Seconds } from "../core/brand.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { KeyAlgorithm, KeyId } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import type { AuthorityKind, CrossCertificate } from "./slot.ts";

export type PrepareReason =
  /** The first slots of a new trust domain. */
  | "Bootstrap"
  /** Half of the active slot's life is over. */
  | "HalfLife"
  | "Requested"
  | "AlgorithmChanged"
  /** Issuing: another root than its own is active. */
  | "RootChanged"
  /** Root: what is left of its life is too short for an issuing certificate that is due. */
  | "RootTooShort"
  /** Root and Issuing: they come from somewhere else now. */
  | "SourceChanged"
  /** Its predecessor is not to be trusted any more. */
  | "Distrusted";

/** A key is made, stored, certified and published; it signs nothing yet. */
export interface PrepareStep {
  readonly step: "Prepare";
  readonly kind: AuthorityKind;
  readonly reason: PrepareReason;
  readonly algorithm: KeyAlgorithm | JwtAlgorithm;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  /** Issuing: the active root. */
  readonly issuerKeyID?: KeyId;
  /** Root: the active one, which is to say of the new one's key that it is an authority too. */
  readonly crossedBy?: KeyId;
  /** Someone else's CA has made it: the key with this ID. */
  readonly external?: KeyId;
  /** The request that this answers. */
  readonly honours?: string;
}

/** Every consumer carries the prepared slot: the propagation time begins. */
interface ObserveStep {
  readonly step: "Observe";
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
}

/** The prepared slot signs from now on, its predecessor is retired. */
export interface ActivateStep {
  readonly step: "Activate";
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
  /** Absent when every condition was met; otherwise what was not waited for any longer. */
  readonly forced?: string;
}

/** A request is met by a rotation that is under way. */
interface HonourStep {
  readonly step: "Honour";
  readonly kind: AuthorityKind;
  readonly value: string;
}

/** A prepared slot is given up; it has signed nothing. */
export interface DiscardStep {
  readonly step: "Discard";
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
  readonly reason: "TooOld" | "AlgorithmChanged" | "RootChanged" | "SourceChanged" | "KeyMissing";
}

/** Someone else's CA has certified a key of ours anew. */
export interface RecertifyStep {
  readonly step: "Recertify";
  readonly kind: "Root" | "Issuing";
  readonly keyID: KeyId;
  readonly certificate: CertificatePem;
  readonly intermediates?: readonly CertificatePem[];
  readonly issuerKeyID?: KeyId;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
}

/** Keys leave every bundle at once, whatever they have signed, and others sign in their place. */
export interface DistrustStep {
  readonly step: "Distrust";
  readonly kind: "Root" | "JWT";
  readonly keyIDs: readonly KeyId[];
  /** What must be made so that there is an active key of each kind: a root before what it certifies. */
  readonly replacements: readonly PrepareStep[];
}

/** A retired slot leaves the bundle: nothing that it signed is alive. */
interface RemoveStep {
  readonly step: "Remove";
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
}

export type RotationStep =
  | PrepareStep
  | ObserveStep
  | ActivateStep
  | HonourStep
  | DiscardStep
  | RemoveStep
  | RecertifyStep
  | DistrustStep;

/** The public part of a key that was made for a `PrepareStep`. */
export interface SlotMaterial {
  readonly keyID: KeyId;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  /** Absent for JWT. */
  readonly certificate?: CertificatePem;
  readonly intermediates?: readonly CertificatePem[];
  readonly crossCertificate?: CrossCertificate;
  /** Why there is no cross certificate although the step asks for one. */
  readonly crossProblem?: string;
}

export type MadeStep = PrepareStep & { readonly made: SlotMaterial };

/** A step as the journal takes it: a preparation comes with what was made for it. */
export type JournalStep =
  | Exclude<RotationStep, PrepareStep | DistrustStep>
  | MadeStep
  | (Omit<DistrustStep, "replacements"> & { readonly replacements: readonly MadeStep[] });
