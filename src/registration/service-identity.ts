/**
 * The ServiceIdentity and TrustDomain objects as users write them (`meshid.dev/v1alpha1`), after schema validation.
 */

import type { AuthorityKind, SlotState } from "../authority/slot.ts";
import type { JwtAlgorithm } from "../jwt/jwt-svid.ts";
import type { AUTHORITY_KEY_ALGORITHMS, KeyAlgorithm } from "../x509/keys.ts";
import type { Condition } from "./conditions.ts";

export const API_GROUP = "meshid.dev";
export const API_VERSION = "meshid.dev/v1alpha1";
/** Manual renewal: any new value. */
export const RENEW_ANNOTATION = "meshid.dev/renew";

interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly generation: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export type SecretFormat = "PEM" | "Istio" | "PKCS12" | "Combined";
export type MtlsMode = "Strict" | "Permissive" | "Disabled";

interface X509Spec {
  readonly ttl?: string;
  readonly renewAfterPercent?: number;
  readonly keyAlgorithm?: KeyAlgorithm;
  readonly dnsNames?: readonly string[];
  readonly secretName?: string;
  readonly formats?: readonly SecretFormat[];
  readonly pkcs12?: { readonly passwordSecretRef: { readonly name: string; readonly key: string } };
}

export interface TokenSpec {
  readonly audience: string;
  readonly key?: string;
  readonly ttl?: string;
}

export interface MtlsSpec {
  readonly mode: MtlsMode;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly exceptions?: readonly { readonly port: number; readonly mode: MtlsMode }[];
}

export interface ServiceIdentitySpec {
  readonly serviceAccountName?: string;
  readonly x509?: X509Spec;
  readonly jwt?: { readonly tokens: readonly TokenSpec[]; readonly secretName?: string };
  readonly mtls?: MtlsSpec;
}

export interface X509Status {
  readonly serialNumber: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly renewalTime: string;
  readonly ttl: string;
  readonly ttlReason: "Requested" | "CappedByAuthority";
  readonly authorityKeyID: string;
  readonly secretName: string;
  /** Counts the issuances into this Secret, from 1. */
  readonly revision: number;
}

interface TokenStatus {
  readonly audience: string;
  readonly key: string;
  readonly keyID: string;
  readonly notAfter: string;
}

export interface ServiceIdentityStatus {
  readonly observedGeneration?: number;
  readonly spiffeID?: string;
  readonly x509?: X509Status;
  readonly jwt?: { readonly tokens: readonly TokenStatus[]; readonly secretName: string };
  readonly mtls?: { readonly mode: MtlsMode; readonly peerAuthentication: string };
  /** The last honoured value of the annotation `meshid.dev/renew`. */
  readonly lastManualRenewal?: string;
  readonly conditions?: readonly Condition[];
}

export interface ServiceIdentity {
  readonly apiVersion: string;
  readonly kind: "ServiceIdentity";
  readonly metadata: ObjectMeta;
  readonly spec: ServiceIdentitySpec;
  readonly status?: ServiceIdentityStatus;
}

/** As in Kubernetes: a label must be there, or be one of `values`; all requirements together. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    readonly values?: readonly string[];
  }[];
}

export interface MaintenanceWindowSpec {
  readonly schedule: string;
  readonly timeZone?: string;
  readonly duration: string;
}

export interface TrustDomainSpec {
  readonly authority?: {
    readonly source?: "Internal" | "Secret";
    readonly secretRef?: { readonly name: string };
    readonly keyAlgorithm?: (typeof AUTHORITY_KEY_ALGORITHMS)[number];
    readonly rootTTL?: string;
    readonly issuingTTL?: string;
  };
  readonly jwt?: { readonly issuer?: string; readonly algorithm?: JwtAlgorithm; readonly keyTTL?: string };
  readonly rotation?: {
    readonly propagation?: string;
    readonly paused?: boolean;
    readonly maintenanceWindows?: readonly MaintenanceWindowSpec[];
    readonly crossSignRoots?: boolean;
  };
  readonly bundle?: {
    readonly namespaceSelector?: LabelSelector;
    readonly configMapName?: string;
    readonly additionalRoots?: string;
  };
  readonly limits?: {
    readonly minTTL?: string;
    readonly maxTTL?: string;
    readonly maxTokenTTL?: string;
    readonly keyAlgorithms?: readonly KeyAlgorithm[];
    readonly identitiesPerNamespace?: number;
  };
}

export interface AuthorityStatus {
  readonly kind: AuthorityKind;
  readonly keyID: string;
  readonly state: SlotState;
  /** Issuing: the root that certified it. */
  readonly issuerKeyID?: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly signedUntil: string;
  readonly since: string;
  /** What the next step of this slot waits for, in words; absent when nothing. */
  readonly waitingFor?: string;
  /** When that wait ends at the latest. */
  readonly waitingUntil?: string;
}

export interface TrustDomainStatus {
  readonly observedGeneration?: number;
  readonly bundle?: {
    readonly sequence: number;
    readonly hash: string;
    readonly namespaces: number;
    readonly namespacesCurrent: number;
  };
  readonly authorities?: readonly AuthorityStatus[];
  /** The last honoured values of the annotations `meshid.dev/rotate-root`, `-issuing`, `-jwt`. */
  readonly lastManualRotation?: Readonly<Partial<Record<"root" | "issuing" | "jwt", string>>>;
  readonly conditions?: readonly Condition[];
}

/** Cluster-scoped: its name is the trust domain. */
export interface TrustDomainObject {
  readonly apiVersion: string;
  readonly kind: "TrustDomain";
  readonly metadata: Omit<ObjectMeta, "namespace">;
  readonly spec: TrustDomainSpec;
  readonly status?: TrustDomainStatus;
}
