/**
 * The Secrets of a ServiceIdentity, and what of them can be amended without a new certificate.
 */

import type { Seconds } from "../../core/brand.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { formatDuration } from "../../core/duration.ts";
import { Secret } from "../../core/secret.ts";
import type { RegistrationEntry } from "../../registration/registration-entry.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { KeyId, PrivateKey } from "../../x509/keys.ts";
import { encodePkcs12, encodeTruststore, passwordCheck } from "../../x509/keystore.ts";
import { splitPem } from "../../x509/pem.ts";
import {
  CONTENT_ANNOTATION,
  encodeKeyHashes,
  ISSUED_SINCE_ANNOTATION,
  type KeyHashes,
  PASSWORD_ANNOTATION,
  REVISION_ANNOTATION,
  SPIFFE_ID_ANNOTATION,
  TTL_ANNOTATION,
} from "../annotations.ts";
import { type Content, keyHashes, topIssuerOf } from "../facts.ts";
import type { ObjectRef, X509Facts } from "../state.ts";
import type { SecretManifest } from "./manifest.ts";

export interface IssuedX509 {
  readonly entry: RegistrationEntry;
  readonly privateKey: PrivateKey;
  /** PKCS#8 PEM. */
  readonly privateKeyPem: Secret;
  /** PEM, leaf first. */
  readonly chainPem: string;
  /** The first of `chainPem`. */
  readonly leaf: Pick<Certificate, "uris" | "dnsNames" | "serialNumber" | "notBefore" | "notAfter">;
  readonly authorityKeyID: KeyId;
  /** PEM, every root of the bundle. */
  readonly caPem: string;
  /** Given where format PKCS12 is asked for. */
  readonly password: Secret | undefined;
  readonly revision: number;
  readonly issuedSince: Seconds;
}

export function x509SecretRef(entry: RegistrationEntry): ObjectRef {
  return { kind: "Secret", namespace: entry.namespace, name: entry.x509.secretName };
}

export function jwtSecretRef(namespace: string, name: string): ObjectRef {
  return { kind: "Secret", namespace, name };
}

/** The keys that an issuance writes, the public documents left out. */
export function x509IssuedKeys(entry: RegistrationEntry): readonly string[] {
  const names = ["tls.crt", "tls.key"];
  if (entry.x509.formats.includes("Istio")) names.push("cert-chain.pem", "key.pem");
  if (entry.x509.formats.includes("PKCS12")) names.push("keystore.p12", "truststore.p12");
  if (entry.x509.formats.includes("Combined")) names.push("tls-combined.pem");
  return names;
}

export function x509SecretManifest(issued: IssuedX509): SecretManifest {
  const { entry } = issued;
  const key = issued.privateKeyPem.reveal();
  const content: Record<string, Uint8Array> = {
    "tls.crt": bytes(issued.chainPem),
    "tls.key": bytes(key),
    ...x509PublicContent(entry, issued.caPem, issued.password),
  };
  if (entry.x509.formats.includes("Istio")) {
    content["cert-chain.pem"] = bytes(issued.chainPem);
    content["key.pem"] = bytes(key);
  }
  if (entry.x509.formats.includes("Combined"))
    content["tls-combined.pem"] = bytes(`${key}${issued.chainPem}`);
  if (issued.password !== undefined) content["keystore.p12"] = keystore(issued, issued.password);
  const hashes = keyHashes(content);
  return {
    kind: "Secret",
    ref: x509SecretRef(entry),
    owner: ownerOf(entry),
    type: "kubernetes.io/tls",
    data: new Secret(content),
    x509: { facts: factsOf(issued), hashes },
    annotations: {
      ...annotationsOf(entry, hashes),
      [REVISION_ANNOTATION]: String(issued.revision),
      [TTL_ANNOTATION]: formatDuration(entry.x509.ttl),
      [ISSUED_SINCE_ANNOTATION]: toRfc3339(issued.issuedSince),
      ...(issued.password === undefined
        ? {}
        : { [PASSWORD_ANNOTATION]: passwordCheck(issued.password, entry.uid) }),
    },
  };
}

/** What follows the bundle: written anew when an authority comes or goes, the certificate left as it is. */
export function x509PublicContent(
  entry: RegistrationEntry,
  caPem: string,
  password: Secret | undefined,
): Content {
  return {
    "ca.crt": bytes(caPem),
    ...(entry.x509.formats.includes("Istio") ? { "root-cert.pem": bytes(caPem) } : {}),
    ...(password === undefined
      ? {}
      : { "truststore.p12": encodeTruststore({ roots: splitPem(caPem), password }) }),
  };
}

export interface IssuedTokens {
  readonly entry: RegistrationEntry;
  readonly secretName: string;
  /** By key in the Secret. */
  readonly tokens: ReadonlyMap<string, Secret>;
  readonly bundleJson: string;
  readonly jwksJson: string;
}

/** All keys of a token Secret: used where it is made anew. */
export function jwtSecretManifest(issued: IssuedTokens): SecretManifest {
  const content = jwtContent(issued);
  return {
    kind: "Secret",
    ref: jwtSecretRef(issued.entry.namespace, issued.secretName),
    owner: ownerOf(issued.entry),
    type: "Opaque",
    data: new Secret(content),
    annotations: issuedAnnotations(issued.entry, content),
  };
}

/** Public documents and tokens. */
export function jwtContent({
  tokens,
  bundleJson,
  jwksJson,
}: Pick<IssuedTokens, "tokens" | "bundleJson" | "jwksJson">): Content {
  const issued = [...tokens].map(([key, token]) => [key, bytes(token.reveal())]);
  return { ...jwtPublicContent(bundleJson, jwksJson), ...Object.fromEntries(issued) };
}

export function jwtPublicContent(bundleJson: string, jwksJson: string): Content {
  return { "bundle.json": bytes(bundleJson), "jwks.json": bytes(jwksJson) };
}

/** The notes on a Secret; `kept` are the hashes of what an amendment leaves as it is. */
export function issuedAnnotations(
  entry: RegistrationEntry,
  content: Content,
  kept: KeyHashes = {},
): Readonly<Record<string, string>> {
  return annotationsOf(entry, { ...kept, ...keyHashes(content) });
}

function annotationsOf(entry: RegistrationEntry, hashes: KeyHashes): Readonly<Record<string, string>> {
  return { [SPIFFE_ID_ANNOTATION]: entry.spiffeId, [CONTENT_ANNOTATION]: encodeKeyHashes(hashes) };
}

function factsOf({ entry, leaf, chainPem, authorityKeyID }: IssuedX509): X509Facts {
  const { uris, dnsNames, serialNumber, notBefore, notAfter } = leaf;
  return {
    uris,
    dnsNames,
    serialNumber,
    notBefore,
    notAfter,
    authorityKeyID,
    ...topIssuerOf(splitPem(chainPem)),
    keyAlgorithm: entry.x509.keyAlgorithm,
    // The certificate was made for this key, and verified.
    pairMatches: true,
  };
}

export function ownerOf(entry: RegistrationEntry): { kind: "ServiceIdentity"; name: string; uid: string } {
  return { kind: "ServiceIdentity", name: entry.name, uid: entry.uid };
}

function keystore(issued: IssuedX509, password: Secret): Uint8Array {
  return encodePkcs12({
    key: issued.privateKey,
    chain: splitPem(issued.chainPem),
    password,
    friendlyName: issued.entry.name,
  });
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}
