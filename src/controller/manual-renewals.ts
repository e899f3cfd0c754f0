/**
 * Which parts of an identity have carried out a manual renewal that another part cannot yet: only when all have, the status says
 * so, and until then nothing is to be issued again for it.
 */

import type { IdentityKey, RegistrationEntry } from "../registration/registration-entry.ts";

export type Part = "x509" | "jwt";

interface Renewal {
  /** Of the identity, and what it asked for: another of either is another renewal. */
  readonly uid: string;
  readonly value: string | undefined;
  readonly parts: ReadonlySet<Part>;
}

const NONE: ReadonlySet<Part> = new Set();

/** Holds an entry for each identity with a part that cannot be renewed. A restart renews the other part once more. */
export class ManualRenewals {
  readonly #renewals = new Map<IdentityKey, Renewal>();

  /** The parts that have honoured what `entry` asks for. */
  honouredBy({ key, uid, renew }: RegistrationEntry): ReadonlySet<Part> {
    const known = this.#renewals.get(key);
    return known?.uid === uid && known.value === renew ? known.parts : NONE;
  }

  honour(entry: RegistrationEntry, part: Part): void {
    const { key, uid, renew: value } = entry;
    this.#renewals.set(key, { uid, value, parts: new Set([...this.honouredBy(entry), part]) });
  }

  forget(key: IdentityKey): void {
    this.#renewals.delete(key);
  }
}
