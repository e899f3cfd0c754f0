/**
 * What was observed of the objects that meshid writes: facts, never keys. Adapters keep these in memory in place of
 * the objects themselves.
 */

import type { Seconds } from "../core/brand.ts";
import type { KeyAlgorithm, KeyId } from "../x509/keys.ts";
import type { KeyHashes } from "./annotations.ts";

export interface ObjectRef {
  readonly kind: "Secret" | "ConfigMap" | "PeerAuthentication";
  readonly namespace: string;
  readonly name: string;
}

export interface Observed {
  /** The uid of the controller owner, where there is one. */
  readonly ownerUid: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface X509Facts {
  /** All URI SANs of the leaf. */
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  readonly serialNumber: string;
  readonly notBefore: Seconds;
  readonly notAfter: Seconds;
  /** The leaf's authority key identifier. */
  readonly authorityKeyID: KeyId;
  /** The authority key identifier at the end of a chain of three certificates or more: a root, it may be a former one. */
  readonly topIssuerKeyID?: KeyId;
  readonly keyAlgorithm: KeyAlgorithm | undefined;
  /** Whether `tls.key` belongs to the leaf. */
  readonly pairMatches: boolean;
}

/** What a certificate and key say, for who has just made them and need not read them back. */
export interface KnownX509 {
  readonly facts: X509Facts;
  /** Of the content that the facts are of. */
  readonly hashes: KeyHashes;
}

export interface TokenFacts {
  readonly subject: string;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly keyID: string;
  readonly issuedAt: Seconds;
  readonly expiresAt: Seconds;
}

export interface ObservedSecret extends Observed {
  readonly ref: ObjectRef;
  /** Tells whether anyone changed anything that was issued. */
  readonly hashes: KeyHashes;
  /** From `tls.crt` and `tls.key`; undefined where they are missing or unreadable. */
  readonly x509: X509Facts | undefined;
  /** By key in the Secret; only those that read as a JWS. */
  readonly tokens: Readonly<Record<string, TokenFacts>>;
  /** Digest of the public documents inside: `ca.crt` (X.509) or `bundle.json` and `jwks.json` (JWT). */
  readonly bundleHash: string | undefined;
}

export interface ObservedConfigMap extends Observed {
  readonly ref: ObjectRef;
  readonly bundleHash: string | undefined;
}

export interface ObservedPeerAuthentication extends Observed {
  readonly ref: ObjectRef;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly spec: Readonly<Record<string, unknown>>;
}
