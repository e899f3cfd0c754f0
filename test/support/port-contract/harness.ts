/**
 * What the suite needs of an adapter: its ports, and the hands of a user, a consumer and a stranger.
 */

import type {
  Applier,
  DesiredState,
  HolderStore,
  JournalStore,
  KeyStore,
  ObservedState,
  Observer,
  StatusWriter,
} from "../../../src/controller/ports.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import type { KeyId } from "../../../src/x509/keys.ts";

export interface PortHarness extends AsyncDisposable {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly statusWriter: StatusWriter;
  readonly observer: Observer;
  readonly journalStore: JournalStore;
  readonly keyStore: KeyStore;
  /** Where creation timestamps can be believed there is none. */
  readonly holderStore?: HolderStore;
  /** As a user does it; resolves when the adapter has announced it. */
  putIdentity(namespace: string, name: string, spec: object): Promise<ServiceIdentity>;
  deleteIdentity(namespace: string, name: string): Promise<void>;
  /** What a consumer reads; undefined when there is no such object. */
  read(ref: ObjectRef): Promise<Readonly<Record<string, string>> | undefined>;
  /** An object of that name that is not meshid's. */
  putForeign(ref: ObjectRef): Promise<void>;
  /** Takes an object away as anyone may, past the ports; resolves when the observed state shows it no more. */
  removeByHand(ref: ObjectRef): Promise<void>;
}

export const KEY: KeyId = "ab".repeat(20) as KeyId;
export const DOCUMENTS = { "ca.crt": "pem", "bundle.json": "{}", "jwks.json": "{}" } as const;
export const PAIR = { "tls.crt": "crt-1", "tls.key": "key-1", "ca.crt": "ca-1" } as const;
