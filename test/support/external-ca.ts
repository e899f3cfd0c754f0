/**
 * Signing certificates as somebody else's CA makes them: a root, an authority between, and one that signs leaves.
 */

import type { ExternalFiles } from "../../src/authority/external-authority.ts";
import { seconds } from "../../src/core/brand.ts";
import { Secret } from "../../src/core/secret.ts";
import { context, contextBytes, type Der, nullValue, oid, sequence, time } from "../../src/x509/asn1.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  EXTENSION_OID,
  keyUsage,
} from "../../src/x509/extensions.ts";
import { encodePrivateKey, generateKey, type KeyAlgorithm, type PrivateKey } from "../../src/x509/keys.ts";
import { DAY, type Forgery, forgeCertificate, NOW, rawExtension } from "./certificates.ts";

export const RSA_SHA256: Der = sequence(oid("1.2.840.113549.1.1.11"), nullValue());

export interface ExternalKeys {
  readonly root: PrivateKey;
  readonly middle: PrivateKey;
  readonly issuing: PrivateKey;
}

export interface ExternalChain {
  readonly root: Certificate;
  readonly middle: Certificate;
  readonly issuing: Certificate;
}

/** What one certificate has otherwise than a good one. */
export type ExternalChanges = { readonly [K in keyof ExternalChain]?: Partial<Forgery> };

export async function externalKeys(algorithm: KeyAlgorithm = "ECDSA-P256"): Promise<ExternalKeys> {
  return {
    root: await generateKey(algorithm),
    middle: await generateKey(algorithm),
    issuing: await generateKey(algorithm),
  };
}

/** Each signs the next, as it became by its changes; valid from a day before `NOW` for eleven days, and without URI. */
export function externalChain(keys: ExternalKeys, changes: ExternalChanges = {}): ExternalChain {
  const root = authority({ signer: { key: keys.root }, key: keys.root, subject: "root", ...changes.root });
  const middle = authority({
    signer: { certificate: root, key: keys.root },
    key: keys.middle,
    subject: "middle",
    ...changes.middle,
  });
  const issuing = authority({
    signer: { certificate: middle, key: keys.middle },
    key: keys.issuing,
    subject: "issuing",
    ...changes.issuing,
  });
  return { root, middle, issuing };
}

export function authority(forgery: Forgery): Certificate {
  const { signer } = forgery;
  const issuerKeyID = signer.certificate?.subjectKeyID;
  return forgeCertificate({
    ...(signer.key.asymmetricKeyType === "rsa" ? { algorithm: RSA_SHA256 } : {}),
    notBefore: time(seconds(NOW - DAY)),
    notAfter: time(seconds(NOW + 10 * DAY)),
    ...forgery,
    extensions: {
      basicConstraints: basicConstraints(true),
      keyUsage: keyUsage("keyCertSign", "cRLSign"),
      extKeyUsage: undefined,
      subjectAltName: undefined,
      ...(issuerKeyID === undefined ? {} : { authorityKeyIdentifier: authorityKeyIdentifier(issuerKeyID) }),
      ...forgery.extensions,
    },
  });
}

export function externalFiles(
  chain: ExternalChain,
  keys: ExternalKeys,
  changes: { readonly certificate?: string; readonly key?: string; readonly roots?: string } = {},
): ExternalFiles {
  return {
    certificate: changes.certificate ?? pems(chain.issuing, chain.middle),
    key: changes.key === undefined ? encodePrivateKey(keys.issuing) : new Secret(changes.key),
    roots: changes.roots ?? pems(chain.root),
  };
}

export function pems(...certificates: readonly Certificate[]): string {
  return certificates.map((certificate) => certificate.pem()).join("");
}

/** By the number of their choice in GeneralName: 2 DNS, 6 URI, 7 address and mask … */
export type Subtree = readonly [kind: number, base: Uint8Array | string];

export function nameConstraints(
  { permitted = [], excluded = [] }: { permitted?: readonly Subtree[]; excluded?: readonly Subtree[] },
  critical = true,
): Der {
  const list = (number: number, subtrees: readonly Subtree[]): readonly Der[] =>
    subtrees.length === 0
      ? []
      : [context(number, ...subtrees.map(([kind, base]) => sequence(contextBytes(kind, base))))];
  const content = sequence(...list(0, permitted), ...list(1, excluded));
  return rawExtension(EXTENSION_OID.nameConstraints, critical, content);
}
