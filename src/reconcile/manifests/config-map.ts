/**
 * The trust bundle of a namespace.
 */

import type { ConfigMapManifest, Owner } from "./manifest.ts";

export interface PublishedBundle {
  /** PEM, every root. */
  readonly caPem: string;
  /** SPIFFE bundle document. */
  readonly bundleJson: string;
  /** OIDC JWKS document. */
  readonly jwksJson: string;
}

export interface BundlePlace {
  readonly namespace: string;
  readonly name: string;
  readonly owner: Owner;
}

export function bundleManifest(place: BundlePlace, bundle: PublishedBundle): ConfigMapManifest {
  return {
    kind: "ConfigMap",
    ref: { kind: "ConfigMap", namespace: place.namespace, name: place.name },
    owner: place.owner,
    annotations: {},
    data: { "ca.crt": bundle.caPem, "bundle.json": bundle.bundleJson, "jwks.json": bundle.jwksJson },
  };
}
