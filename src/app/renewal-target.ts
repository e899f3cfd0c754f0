/**
 * Whom `meshid renew` asks, and where it sees what becomes of it: a cluster, or the directories of a `meshid local`.
 */

import type { ObservedIdentity } from "./observed-objects.ts";
import type { Untaken } from "./rotation-target.ts";

export interface RenewalTarget {
  /** Undefined: of every namespace. */
  list(namespace: string | undefined): Promise<readonly ObservedIdentity[]>;
  /** Undefined where there is none. */
  get(at: IdentityName): Promise<ObservedIdentity | undefined>;
  /** What to say where there is none. */
  unknown(at: IdentityName): Promise<Error>;
  /** Asks for all of them, as far as it gets before `signal` aborts. */
  ask(identities: readonly IdentityName[], asking: Asking): Promise<AskedRenewals>;
  untaken(): Untaken;
  /** What to tell who does not wait. */
  carriedOut(): string;
  /** Where to look when it does not go on. */
  readonly remedy: string;
  /** For a program: where it was asked. */
  data(): Readonly<Record<string, string | number>>;
}

export interface IdentityName {
  readonly namespace: string;
  readonly name: string;
}

export interface Asking {
  /** Called each time when some more were asked for. */
  readonly onAsked: (count: number) => void;
  readonly signal: AbortSignal;
}

export interface AskedRenewals {
  /** The value that the status of each will show when it was renewed. */
  readonly id: string;
  /** In the order in which they were to be asked for: those that are gone meanwhile are left out. */
  readonly asked: readonly IdentityName[];
  readonly refused: readonly (IdentityName & { readonly message: string })[];
  /** What kept the rest from being asked for. */
  readonly stopped?: Error;
}
