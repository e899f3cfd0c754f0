/**
 * Keys, explained: the algorithm and the key ID, never anything of a private key.
 */

import { Secret } from "../../core/secret.ts";
import type { PublicJwk } from "../../spiffe/bundle.ts";
import type { Certificate } from "../../x509/certificate.ts";
import {
  keyAlgorithmOf,
  keyIdOf,
  keysMatch,
  type PrivateKey,
  type PublicKey,
  parsePrivateKey,
  parsePublicKey,
} from "../../x509/keys.ts";
import { encodePem } from "../../x509/pem.ts";
import { type Fact, type Fault, fact, note, type Report, wrong } from "./report.ts";

/** The kinds of PEM block that hold a private key. */
export const PRIVATE_KEY_LABELS = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] as const;

/** @throws INVALID_INPUT, which holds nothing of the key. */
export function readPrivateKey(der: Uint8Array, label: string): PrivateKey {
  return parsePrivateKey(new Secret(encodePem(der, label)), "private key");
}

/** @throws INVALID_INPUT */
export function readPublicKey(der: Uint8Array): PublicKey {
  return parsePublicKey(encodePem(der, "PUBLIC KEY"), "public key");
}

export function privateKeyReport(key: PrivateKey, label: string, mode: number | undefined): Report {
  return {
    kind: "private-key",
    title: "private key",
    facts: [
      ...keyFacts(key),
      fact(
        "encoding",
        "Encoding",
        label === "PRIVATE KEY" ? "PKCS#8, not encrypted" : `${label}, not encrypted`,
      ),
    ],
    faults: [...algorithmFaults(key), ...modeFaults(mode, "the private key")],
    parts: [],
  };
}

export function publicKeyReport(key: PublicKey): Report {
  return {
    kind: "public-key",
    title: "public key",
    facts: keyFacts(key),
    faults: algorithmFaults(key),
    parts: [],
  };
}

function keyFacts(key: PublicKey): readonly Fact[] {
  return [
    fact("keyAlgorithm", "Algorithm", keyAlgorithmOf(key) ?? key.asymmetricKeyType ?? "unknown"),
    fact("keyID", "Key ID", keyIdOf(key)),
  ];
}

/** Whether key and certificate belong together. */
export function pairFaults(
  key: PrivateKey,
  leaf: Certificate,
  names: readonly [key: string, certificate: string],
): readonly Fault[] {
  try {
    if (keysMatch(key, leaf.publicKey)) return [];
  } catch {
    // The certificate's key cannot be used, which its own report says.
    return [];
  }
  return [
    wrong(
      "pair",
      `${names[0]} is not the key of ${names[1]}: TLS fails with this pair; was it read while it was being replaced?`,
    ),
  ];
}

/** Kubelet mounts Secrets readable by all of a container, so it is only worth knowing. */
function modeFaults(mode: number | undefined, what: string): readonly Fault[] {
  if (mode === undefined || (mode & 0o004) === 0) return [];
  return [note("mode", `every user of this machine can read ${what} (mode 0${mode.toString(8)})`)];
}

/** `EC P-256` */
export function describeJwk({ kty, crv }: PublicJwk): string {
  return crv === undefined ? kty : `${kty} ${crv}`;
}

function algorithmFaults(key: PublicKey): readonly Fault[] {
  if (keyAlgorithmOf(key) !== undefined) return [];
  return [note("algorithm", "is of a kind that meshid does not make; peers may refuse it")];
}
