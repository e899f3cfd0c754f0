/**
 * What a rotation is planned from, and what a plan says.
 */

import type { Seconds } from "../core/brand.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { KeyAlgorithm, KeyId } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import type { ExternalAuthority } from "./external-authority.ts";
import type { RotationStep } from "./rotation-step.ts";
import type { AuthorityKind, Journal } from "./slot.ts";

export interface RotationPolicy {
  readonly rootTTL: Seconds;
  readonly issuingTTL: Seconds;
  readonly keyTTL: Seconds;
  /** The shortest time between the arrival of a key and its use. */
  readonly propagation: Seconds;
  readonly keyAlgorithm: KeyAlgorithm;
  readonly jwtAlgorithm: JwtAlgorithm;
  /** Whether the active root says of each new one that it is an authority too, for who keeps an old bundle. */
  readonly crossSignRoots?: boolean;
  /** Whether rotations are held at an instant. Absent: never. */
  readonly holdAt?: HoldAt;
  /** Where roots and issuing certificates come from someone else's CA. */
  readonly external?: ExternalSource;
}

/** What is there to be used at present. */
export interface ExternalSource {
  /** As in `Secret meshid-system/byo-ca`. */
  readonly place: string;
  /** Undefined: nothing that can be used, for the reason in `problem`. */
  readonly authority?: Pick<ExternalAuthority, "root" | "issuing"> | undefined;
  readonly problem?: string | undefined;
  /**
   * Why chains in use (the issuing certificate, then its intermediates) would not be believed under another certificate of
   * their root's key; undefined where they would.
   */
  readonly misfit?: (
    root: CertificatePem,
    chains: readonly (readonly CertificatePem[])[],
  ) => string | undefined;
}

/** Why rotations are held. */
export interface Hold {
  /** `Paused`: until a person says otherwise. `Closed`: until the next window; what is asked for by hand begins all the same. */
  readonly reason: "Paused" | "Closed";
  /** When the next window opens. */
  readonly opensAt?: Seconds;
  /** Completes "held: …". */
  readonly message: string;
}

export type HoldAt = (now: Seconds) => Hold | undefined;

/** What a look at all consumers showed. A key that is not in `lacking` was not looked for. */
export interface Observation {
  /** By key ID (of a root or JWT key): the names of the consumers that do not carry it. */
  readonly lacking: ReadonlyMap<KeyId, readonly string[]>;
  readonly consumers: number;
  /**
   * Those that are waited for no longer, because they have refused or reverted what we write for too long: as `Secret
   * shop/payments-tls (why)`. They are not in `lacking`.
   */
  readonly excluded?: readonly string[];
}

/** The newest value asked for by hand, by kind; it counts while it differs from the journal's honoured one. */
export type Requests = Readonly<Partial<Record<AuthorityKind, string>>>;

export interface RotationInput {
  readonly journal: Journal;
  readonly now: Seconds;
  readonly policy: RotationPolicy;
  /** Undefined: nobody has looked yet. */
  readonly observation: Observation | undefined;
  readonly requests: Requests;
  /** Keys that nobody shall trust any more, from now on. */
  readonly distrusted?: ReadonlySet<string>;
}

/** What a slot waits for, fit for `status`. */
export interface Waiting {
  readonly kind: AuthorityKind;
  readonly keyID: KeyId;
  readonly for: "propagation" | "consumers" | "expiry" | "policy";
  /** When the wait ends at the latest. */
  readonly until?: Seconds;
  /** The consumers that are waited for, as many as were named; absent while nobody has looked. */
  readonly lacking?: readonly string[];
  /** The consumers that were to be waited for and are not, with the reason. */
  readonly excluded?: readonly string[];
  readonly message: string;
}

export interface RotationPlan {
  /** To be carried out in this order; then there may be more: plan again. */
  readonly steps: readonly RotationStep[];
  readonly waiting: readonly Waiting[];
  /** The keys that consumers must be looked at for: the observation had no word of them. */
  readonly observe: readonly KeyId[];
  /** Plan again no later than this; always after `now`. */
  readonly wakeAt: Seconds;
  /** Nothing is decided, because the clock cannot be right. */
  readonly fault?: { readonly code: "ClockSkew"; readonly message: string };
}

/** A plan in the making. */
export interface Draft {
  readonly steps: RotationStep[];
  readonly waiting: Waiting[];
  readonly observe: Set<KeyId>;
  /** Instants at which something may change. */
  readonly wakes: number[];
}
