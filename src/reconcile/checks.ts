/**
 * Ordered small checks, each with a stable reason: the first that fails says why a credential must be issued again.
 */

import type { Seconds } from "../core/brand.ts";
import { formatDuration } from "../core/duration.ts";
import type { RegistrationEntry, TokenEntry } from "../registration/registration-entry.ts";
import type { KeyId } from "../x509/keys.ts";
import { CONTENT_ANNOTATION, decodeKeyHashes, type KeyHashes, TTL_ANNOTATION } from "./annotations.ts";
import { x509IssuedKeys } from "./manifests/secret.ts";
import { lifeOf, renewAt, renewTokenAt } from "./renewal.ts";
import type { ObservedSecret, TokenFacts, X509Facts } from "./state.ts";

/** In the order of the checks; a label of `meshid_svids_issued_total`. */
export type IssueReason =
  | "Missing"
  | "Corrupt"
  | "MismatchedPair"
  | "Rewritten"
  | "WrongIdentity"
  | "WrongNames"
  | "WrongKeyAlgorithm"
  | "WrongFormats"
  | "WrongPassword"
  | "WrongTtl"
  | "WrongAuthority"
  | "NotYetValid"
  | "RenewalDue"
  | "ManualRenewal";

/** Reasons that someone else's hand explains: issuing for them is bounded. */
export const REWRITE_REASONS: ReadonlySet<IssueReason> = new Set([
  "Missing",
  "Corrupt",
  "MismatchedPair",
  "Rewritten",
]);

export interface X509CheckInput {
  readonly entry: RegistrationEntry;
  readonly secret: ObservedSecret | undefined;
  /** The issuing authorities that are still published. */
  readonly issuers: ReadonlySet<KeyId>;
  /** Roots that nobody shall trust any more: none of them may vouch for anything. */
  readonly distrusted: ReadonlySet<string>;
  readonly now: Seconds;
  readonly isManualRenewalDue: boolean;
}

interface X509Check {
  readonly reason: IssueReason;
  readonly fails: (facts: X509Facts, input: X509CheckInput & { readonly secret: ObservedSecret }) => boolean;
}

const X509_CHECKS: readonly X509Check[] = [
  { reason: "MismatchedPair", fails: (facts) => !facts.pairMatches },
  { reason: "Rewritten", fails: (_, { secret }) => isRewritten(secret) },
  { reason: "WrongIdentity", fails: (facts, { entry }) => !sameSet(facts.uris, [entry.spiffeId]) },
  { reason: "WrongNames", fails: (facts, { entry }) => !sameSet(facts.dnsNames, entry.x509.dnsNames) },
  {
    reason: "WrongKeyAlgorithm",
    fails: (facts, { entry }) => facts.keyAlgorithm !== entry.x509.keyAlgorithm,
  },
  {
    reason: "WrongFormats",
    fails: (_, { entry, secret }) => !sameSet(Object.keys(issuedHashes(secret)), x509IssuedKeys(entry)),
  },
  {
    reason: "WrongTtl",
    fails: (_, { entry, secret }) => secret.annotations[TTL_ANNOTATION] !== formatDuration(entry.x509.ttl),
  },
  {
    reason: "WrongAuthority",
    fails: ({ authorityKeyID, topIssuerKeyID = "" }, { issuers, distrusted }) =>
      !issuers.has(authorityKeyID) || distrusted.has(topIssuerKeyID),
  },
  { reason: "NotYetValid", fails: (facts, { now }) => facts.notBefore > now },
  {
    reason: "RenewalDue",
    fails: (facts, { entry, now }) => now >= Math.min(x509RenewAt(entry, facts), facts.notAfter),
  },
  { reason: "ManualRenewal", fails: (_, { isManualRenewalDue }) => isManualRenewalDue },
];

/** Why the certificate must be issued; undefined when it is as it should be. */
export function checkX509(input: X509CheckInput): IssueReason | undefined {
  const { secret } = input;
  if (secret === undefined) return "Missing";
  const { x509 } = secret;
  if (x509 === undefined) return "Corrupt";
  return X509_CHECKS.find((check) => check.fails(x509, { ...input, secret }))?.reason;
}

export interface TokenCheckInput {
  readonly entry: RegistrationEntry;
  readonly token: TokenEntry;
  readonly facts: TokenFacts | undefined;
  readonly issuer: string;
  /** The JWT authorities that are still published. */
  readonly keyIDs: ReadonlySet<string>;
  readonly now: Seconds;
  readonly isManualRenewalDue: boolean;
}

interface TokenCheck {
  readonly reason: IssueReason;
  readonly fails: (facts: TokenFacts, input: TokenCheckInput) => boolean;
}

const TOKEN_CHECKS: readonly TokenCheck[] = [
  {
    reason: "WrongIdentity",
    fails: (facts, { entry, issuer }) => facts.subject !== entry.spiffeId || facts.issuer !== issuer,
  },
  { reason: "WrongNames", fails: (facts, { token }) => !sameSet(facts.audiences, [token.audience]) },
  { reason: "WrongTtl", fails: (facts, { token }) => facts.expiresAt - facts.issuedAt > token.ttl },
  { reason: "WrongAuthority", fails: (facts, { keyIDs }) => !keyIDs.has(facts.keyID) },
  { reason: "NotYetValid", fails: (facts, { now }) => facts.issuedAt > now },
  {
    reason: "RenewalDue",
    fails: (facts, { entry, now }) => now >= Math.min(tokenRenewAt(entry, facts), facts.expiresAt),
  },
  { reason: "ManualRenewal", fails: (_, { isManualRenewalDue }) => isManualRenewalDue },
];

/** Why a token must be issued; undefined when it is as it should be. */
export function checkToken(input: TokenCheckInput): IssueReason | undefined {
  const { facts } = input;
  if (facts === undefined) return "Missing";
  return TOKEN_CHECKS.find((check) => check.fails(facts, input))?.reason;
}

/** Whether a key that meshid wrote, other than the public documents, was changed by someone else. */
export function isRewritten(secret: ObservedSecret): boolean {
  const issued = Object.entries(issuedHashes(secret));
  return issued.length === 0 || issued.some(([key, hash]) => secret.hashes[key] !== hash);
}

/** What meshid noted when it wrote the Secret. */
export function issuedHashes(secret: ObservedSecret): KeyHashes {
  return decodeKeyHashes(secret.annotations[CONTENT_ANNOTATION]);
}

export function x509RenewAt(entry: RegistrationEntry, facts: X509Facts): Seconds {
  return renewAt(lifeOf(facts.notBefore, facts.notAfter), entry.x509.renewAfterPercent, entry.uid);
}

export function tokenRenewAt(entry: RegistrationEntry, facts: TokenFacts): Seconds {
  return renewTokenAt({ issuedAt: facts.issuedAt, notAfter: facts.expiresAt }, entry.uid);
}

function sameSet(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && wanted.every((item) => found.includes(item));
}
