/**
 * Istio's `PeerAuthentication` of a ServiceIdentity (`security.istio.io/v1`).
 */

import type { MtlsEntry, RegistrationEntry } from "../../registration/registration-entry.ts";
import type { MtlsMode } from "../../registration/service-identity.ts";
import type { ObjectRef } from "../state.ts";
import type { PeerAuthenticationManifest } from "./manifest.ts";
import { ownerOf } from "./secret.ts";

const ISTIO_MODES = {
  Strict: "STRICT",
  Permissive: "PERMISSIVE",
  Disabled: "DISABLE",
} as const satisfies Record<MtlsMode, string>;

export function peerAuthenticationRef(namespace: string, name: string): ObjectRef {
  return { kind: "PeerAuthentication", namespace, name };
}

export function peerAuthenticationManifest(
  entry: RegistrationEntry,
  mtls: MtlsEntry,
): PeerAuthenticationManifest {
  const ports = mtls.exceptions.map(({ port, mode }) => [String(port), { mode: ISTIO_MODES[mode] }] as const);
  return {
    kind: "PeerAuthentication",
    ref: peerAuthenticationRef(entry.namespace, entry.name),
    owner: ownerOf(entry),
    annotations: {},
    spec: {
      selector: { matchLabels: mtls.matchLabels },
      mtls: { mode: ISTIO_MODES[mtls.mode] },
      ...(ports.length === 0 ? {} : { portLevelMtls: Object.fromEntries(ports) }),
    },
  };
}
