/**
 * An object as meshid wants it, ready for an `Applier`.
 */

import type { Secret } from "../../core/secret.ts";
import type { KnownX509, ObjectRef } from "../state.ts";

export interface Owner {
  readonly kind: "ServiceIdentity" | "TrustDomain";
  readonly name: string;
  readonly uid: string;
}

interface ManifestBase {
  readonly ref: ObjectRef;
  readonly owner: Owner | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface SecretManifest extends ManifestBase {
  readonly kind: "Secret";
  readonly type: "kubernetes.io/tls" | "Opaque";
  readonly data: Secret<Readonly<Record<string, Uint8Array>>>;
  /** Of `tls.crt` and `tls.key`, where there are any. */
  readonly x509?: KnownX509;
}

export interface ConfigMapManifest extends ManifestBase {
  readonly kind: "ConfigMap";
  readonly data: Readonly<Record<string, string>>;
}

/** `security.istio.io/v1` */
export interface PeerAuthenticationManifest extends ManifestBase {
  readonly kind: "PeerAuthentication";
  readonly spec: Readonly<Record<string, unknown>>;
}

export type Manifest = SecretManifest | ConfigMapManifest | PeerAuthenticationManifest;

/** Carried by every object that meshid writes. */
export const MANAGED_BY_LABELS: Readonly<Record<string, string>> = {
  "app.kubernetes.io/managed-by": "meshid",
};
