/**
 * What the authority keeps outside itself: the journal, which is public, and the private keys.
 */

import type { OperatorError } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";
import type { KeyId } from "../x509/keys.ts";
import type { Journal } from "./slot.ts";

export interface JournalStore {
  /** @throws JOURNAL_CORRUPT, JOURNAL_VERSION_UNSUPPORTED, STORAGE_FAILED. Undefined: there is none. */
  read(): Promise<Journal | undefined>;
  /** Durable when it returns. @throws CONFLICT when the stored revision is not `expectedRevision` (undefined: none stored). */
  save(journal: Journal, expectedRevision: number | undefined): Promise<void>;
  /** Whether a bundle was ever published by this store's owner: then a missing journal is an error for a person. */
  hasEvidence(): Promise<boolean>;
}

export interface KeyStore {
  /** PKCS#8 PEM, durable when it returns. Keys are immutable: a key ID is written once. */
  put(keyID: KeyId, key: Secret): Promise<void>;
  get(keyID: KeyId): Promise<Secret | undefined>;
  /** No error when there is none. */
  delete(keyID: KeyId): Promise<void>;
  list(): Promise<readonly KeyId[]>;
}

/** What lies where the journal should be. */
export type FoundJournal =
  | { readonly kind: "none" }
  | { readonly kind: "good"; readonly journal: Journal; readonly text: string }
  | { readonly kind: "damaged"; readonly fault: OperatorError };

/** For those who put a journal back: unlike a `JournalStore` it replaces one that cannot be read. */
export interface JournalPlace {
  /** @throws JOURNAL_VERSION_UNSUPPORTED, STORAGE_FAILED. */
  look(): Promise<FoundJournal>;
  /**
   * Writes `journal` where `found` was; durable when it returns. Where the old one is kept; undefined where there was none.
   * @throws CONFLICT when something else lies there by now.
   */
  replace(found: FoundJournal, journal: Journal): Promise<string | undefined>;
}
