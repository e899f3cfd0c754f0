/**
 * What the loops need from the outside. Each port is implemented by the directory adapter (local mode) and by the
 * Kubernetes adapter (cluster mode); `test/support` holds the contract suite that both pass.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import type { AuthorityKind, Slot } from "../authority/slot.ts";
import type { Milliseconds, Seconds } from "../core/brand.ts";
import type { Secret } from "../core/secret.ts";
import type { Manifest } from "../reconcile/manifests/manifest.ts";
import type {
  ObjectRef,
  ObservedConfigMap,
  ObservedPeerAuthentication,
  ObservedSecret,
} from "../reconcile/state.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";
import type {
  ServiceIdentity,
  ServiceIdentityStatus,
  TrustDomainObject,
  TrustDomainStatus,
} from "../registration/service-identity.ts";

/** The authority's own ports: the adapters that implement the others implement these too. */
export type { JournalStore, KeyStore } from "../authority/ports.ts";

/** What users want, from memory: current as of the last change that was announced. */
export interface DesiredState {
  identity(key: IdentityKey): ServiceIdentity | undefined;
  identities(): Iterable<ServiceIdentity>;
  trustDomain(): TrustDomainObject;
  serviceAccountExists(namespace: string, name: string): boolean;
  /** The namespaces that get the bundle ConfigMap. */
  bundleNamespaces(): readonly string[];
  /** A value of a Secret that a spec refers to; undefined when there is none. @throws STORAGE_FAILED, ABORTED. */
  secretValue(namespace: string, name: string, key: string, signal: AbortSignal): Promise<Secret | undefined>;
}

/** Told by the adapter; every call only names what to look at again (level-triggered). */
export interface Changes {
  /** Identities added, changed or gone; many at once are one call. */
  identitiesChanged(keys: readonly IdentityKey[]): Promise<void>;
  trustDomainChanged(): void;
  /** Someone asked for a rotation by hand. */
  rotationRequested(): void;
  /** An object of `ownerUid` was changed by someone else. */
  outputChanged(ref: ObjectRef, ownerUid: string | undefined): void;
  /** The set of namespaces that get a bundle changed. */
  namespacesChanged(): void;
}

/** What is there, from memory. */
export interface ObservedState {
  secret(namespace: string, name: string): ObservedSecret | undefined;
  configMap(namespace: string, name: string): ObservedConfigMap | undefined;
  peerAuthentication(namespace: string, name: string): ObservedPeerAuthentication | undefined;
  /** All PeerAuthentications of a namespace, whoever owns them. */
  peerAuthentications(namespace: string): readonly ObservedPeerAuthentication[];
  /** Everything that an owner owns: what is no longer wanted of it is pruned. */
  ownedBy(ownerUid: string): readonly ObjectRef[];
  /** False where the kind does not exist (Istio is not installed). */
  servesPeerAuthentication(): boolean;
}

export interface SecretChange {
  readonly ref: ObjectRef;
  readonly ownerUid: string;
  readonly set: Secret<Readonly<Record<string, Uint8Array>>>;
  readonly remove: readonly string[];
  /** All annotations from now on. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Applier {
  /**
   * Creates or replaces; the whole object changes at once or not at all. The observed state shows it afterwards.
   * @throws NOT_OWNED when it exists with another owner or none (it is left as it is); STORAGE_FAILED (retryable).
   */
  apply(manifest: Manifest, signal: AbortSignal): Promise<void>;
  /**
   * Sets and removes some keys of a Secret that `ownerUid` owns, all at once, and leaves its other keys (the private
   * key among them) as they are: how a bundle or a token is renewed without a new certificate.
   * @throws NOT_FOUND, NOT_OWNED, STORAGE_FAILED (retryable).
   */
  amend(change: SecretChange, signal: AbortSignal): Promise<void>;
  /** Deletes the object if `ownerUid` owns it; no error when it is gone or another's. */
  prune(ref: ObjectRef, ownerUid: string, signal: AbortSignal): Promise<void>;
}

export interface StatusWriter {
  writeIdentityStatus(
    identity: ServiceIdentity,
    status: ServiceIdentityStatus,
    signal: AbortSignal,
  ): Promise<void>;
  writeTrustDomainStatus(status: TrustDomainStatus, signal: AbortSignal): Promise<void>;
}

/** Which consumer holds which authority: read from the place itself, never from what we wrote. */
export interface Observer {
  /** Names (`Secret shop/payments-tls`) of those whose public documents lack a key; at most 10,000 for each. */
  look(slots: readonly Pick<Slot, "kind" | "keyID">[]): Promise<Observation>;
}

/** A replica of meshid that clients are sent to. */
export interface ReplicaEndpoint {
  /** Of the pod. */
  readonly name: string;
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface ReplicaEndpoints {
  /** As in `Service meshid-system/meshid`. */
  readonly place: string;
  /** Those that get traffic at present; none where there is no such Service. @throws STORAGE_FAILED, ABORTED. */
  list(): Promise<readonly ReplicaEndpoint[]>;
}

/** What a replica serves to a client that trusts our own bundle and nothing else. */
export interface ReplicaDocuments {
  /** @throws STORAGE_FAILED with a message that says how it answered, if at all, within seconds; ABORTED. */
  fetch(
    endpoint: ReplicaEndpoint,
    signal: AbortSignal,
  ): Promise<{ readonly bundleJson: string; readonly jwksJson: string }>;
}

/** Which identity (uid) holds a ServiceAccount (`<namespace>/<serviceAccountName>`), where that is recorded. */
export interface HolderStore {
  load(): Promise<ReadonlyMap<string, string>>;
  save(holders: ReadonlyMap<string, string>): Promise<void>;
}

/** Rotations asked for by hand, by kind: the newest value. */
export interface RotationRequests {
  pending(): Readonly<Partial<Record<AuthorityKind, string>>>;
  /** The IDs of the keys that nobody shall trust any more. */
  distrusted(): ReadonlySet<string>;
}

export interface EventRecorder {
  record(event: {
    readonly regarding: {
      readonly kind: "ServiceIdentity" | "TrustDomain";
      readonly namespace?: string;
      readonly name: string;
    };
    readonly type: "Normal" | "Warning";
    readonly reason: string;
    readonly message: string;
  }): void;
}

/** The issuance record: every credential issued or refused, with who, what, when and why. */
export interface Audit {
  x509Issued(record: IssuanceRecord & { readonly serialNumber: string }): void;
  tokenIssued(record: IssuanceRecord & { readonly audience: string; readonly jti: string }): void;
  /** A credential that was asked for and not given. */
  refused(record: {
    readonly kind: "x509" | "jwt";
    readonly serviceIdentity: IdentityKey;
    readonly spiffeId: string | undefined;
    readonly reason: string;
    readonly message: string;
  }): void;
}

export interface IssuanceRecord {
  readonly serviceIdentity: IdentityKey;
  readonly spiffeId: string;
  readonly authorityKeyID: string;
  readonly notAfter: Seconds;
  /** The check that asked for it, such as `RenewalDue`. */
  readonly reason: string;
  readonly duration: Milliseconds;
}
