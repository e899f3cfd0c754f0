/**
 * What consumers see of a journal: which authorities, in which order, in which documents. States do not show, so that
 * activating a key changes no document.
 */

import type { Seconds } from "../core/brand.ts";
import { digest } from "../core/digest.ts";
import { encodeDiscovery, encodeJwks } from "../jwt/jwks.ts";
import { JWT_ALGORITHMS, type JwtAlgorithm } from "../jwt/jwt-svid.ts";
import { encodeBundle } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { type KeyId, parsePublicKey, publicJwk } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";
import type { Journal, Slot } from "./slot.ts";

export interface Documents {
  /** PEM of all roots, ours first, the oldest first. */
  readonly caPem: string;
  /** The SPIFFE bundle. */
  readonly bundleJson: string;
  readonly jwksJson: string;
  /** OpenID Connect discovery. */
  readonly discoveryJson: string;
  /** What `caPem` holds. */
  readonly roots: readonly Certificate[];
}

interface Extras {
  readonly refreshHint: Seconds;
  readonly additionalRoots: readonly CertificatePem[];
}

/** Tells whether two journals publish the same; `bundle.sequence` is no part of it. */
export function contentHash(slots: readonly Slot[], { refreshHint, additionalRoots }: Extras): string {
  const keys = jwtSlots(slots).flatMap(({ keyID, algorithm, publicKey }) => [keyID, algorithm, publicKey]);
  const roots = rootPems(slots, additionalRoots);
  return digest(String(refreshHint), String(roots.length), ...roots, ...keys);
}

/** @throws INVALID_INPUT for a certificate or key that cannot be read. */
export function documentsOf(journal: Journal, trustDomain: TrustDomain): Documents {
  const { slots, bundle } = journal;
  const roots = rootPems(slots, bundle.additionalRoots).map((pem) => parseCertificate(pem));
  const keys = jwtSlots(slots).map(({ keyID, algorithm, publicKey }) => {
    return { keyID, algorithm: jwtAlgorithmOf(algorithm), jwk: publicJwk(parsePublicKey(publicKey)) };
  });
  return {
    caPem: roots.map((root) => root.pem()).join(""),
    bundleJson: encodeBundle({
      trustDomain,
      x509Authorities: roots.map(({ der, publicKey }) => ({ der, jwk: publicJwk(publicKey) })),
      jwtAuthorities: keys.map(({ keyID, jwk }) => ({ keyID, jwk })),
      sequence: bundle.sequence,
      refreshHint: bundle.refreshHint,
    }),
    jwksJson: encodeJwks(keys),
    discoveryJson: encodeDiscovery(
      journal.issuer,
      keys.map(({ algorithm }) => algorithm),
    ),
    roots,
  };
}

/** @throws TypeError for the slot of another kind. */
export function jwtAlgorithmOf(algorithm: Slot["algorithm"]): JwtAlgorithm {
  const found = JWT_ALGORITHMS.find((each) => each === algorithm);
  if (found === undefined) throw new TypeError(`${algorithm} is no algorithm of tokens`);
  return found;
}

function rootPems(slots: readonly Slot[], additional: readonly CertificatePem[]): readonly CertificatePem[] {
  const own = inOrder(slots, "Root").flatMap(({ certificate }) => certificate ?? []);
  return [...new Set([...own, ...[...additional].sort()])];
}

function jwtSlots(slots: readonly Slot[]): readonly Slot[] {
  return inOrder(slots, "JWT");
}

function inOrder(slots: readonly Slot[], kind: Slot["kind"]): readonly Slot[] {
  return slots
    .filter((slot) => slot.kind === kind)
    .toSorted((a, b) => a.notBefore - b.notBefore || compare(a.keyID, b.keyID));
}

function compare(a: KeyId, b: KeyId): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
