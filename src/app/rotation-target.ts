/**
 * Whom `meshid rotate` asks, and where it sees what becomes of it: a cluster, or the directories of a `meshid local`.
 */

import type { AuthorityKind } from "../authority/slot.ts";
import type { ObservedIdentity, ObservedTrustDomain } from "./observed-objects.ts";
import type { Rotation } from "./progress/rotation.ts";

/** A request that nobody has taken up yet. */
export interface Untaken {
  /** Completes "asked for; ". */
  readonly text: string;
  /** A sentence, where it is of no use to wait longer. */
  readonly lost?: string;
}

export interface RotationTarget {
  /** The trust domain as it is now. @throws INVALID_CONFIGURATION, NOT_FOUND where there is none; as the reading fails. */
  trustDomain(): Promise<ObservedTrustDomain>;
  /** Undefined where the user may not list them. */
  identities(): Promise<readonly ObservedIdentity[] | undefined>;
  /** Asks for a rotation, or that nobody shall trust `compromised` any more. The request's ID. */
  ask(rotation: Rotation, compromised: string | undefined): Promise<string>;
  untaken(): Untaken;
  /** The key of this kind that was distrusted last, as far as that is known. */
  lastDistrusted(kind: AuthorityKind): Promise<string | undefined>;
  /** What to tell who does not wait. */
  carriedOut(isCompromised: boolean): string;
  /** Where to look when it does not go on. */
  readonly remedy: string;
  /** Where the Secret of this name is that the authority's certificates come from. */
  placeOf(secretName: string): string;
  /** For a program: where it was asked. */
  data(): Readonly<Record<string, string | number>>;
  /** How to distrust a key without this command. */
  byHand(kind: AuthorityKind, keyID: string): string;
}
