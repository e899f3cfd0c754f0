/**
 * From what is wanted and what is there to what is to be done: pure, and without any key.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { parseRfc3339 } from "../core/clock.ts";
import type { RegistrationEntry, TokenEntry } from "../registration/registration-entry.ts";
import type { KeyId } from "../x509/keys.ts";
import { ISSUED_SINCE_ANNOTATION, revisionIn } from "./annotations.ts";
import { checkToken, checkX509, type IssueReason, isRewritten, issuedHashes } from "./checks.ts";
import { publicHash } from "./facts.ts";
import { peerAuthenticationRef } from "./manifests/peer-authentication.ts";
import { jwtPublicContent, jwtSecretRef, x509PublicContent, x509SecretRef } from "./manifests/secret.ts";
import type { ObjectRef, ObservedSecret } from "./state.ts";

export interface PlanInput {
  readonly entry: RegistrationEntry;
  readonly x509Secret: ObservedSecret | undefined;
  readonly jwtSecret: ObservedSecret | undefined;
  /** Everything that the identity owns. */
  readonly owned: readonly ObjectRef[];
  readonly authority: {
    readonly issuers: ReadonlySet<KeyId>;
    readonly distrusted: ReadonlySet<string>;
    readonly jwtKeyIDs: ReadonlySet<string>;
    readonly issuer: string;
    readonly caPem: string;
    readonly bundleJson: string;
    readonly jwksJson: string;
  };
  /** The last manual renewal that was honoured. */
  readonly lastManualRenewal: string | undefined;
  /** The parts that have been renewed already for the one that is asked for now. */
  readonly renewed?: ReadonlySet<"x509" | "jwt">;
  readonly now: Seconds;
}

interface TokenIssue {
  readonly token: TokenEntry;
  readonly reason: IssueReason;
}

export interface Plan {
  readonly x509: {
    readonly issue: IssueReason | undefined;
    /** Of the Secret after an issuance. */
    readonly revision: number;
    readonly issuedSince: Seconds;
    /** The certificate stays, the public documents are written anew. */
    readonly refresh: boolean;
  };
  readonly jwt: {
    readonly issue: readonly TokenIssue[];
    /** Make the whole Secret anew in place of amending it. */
    readonly recreate: boolean;
    readonly removeKeys: readonly string[];
    readonly refresh: boolean;
  };
  readonly prune: readonly ObjectRef[];
  /** A manual renewal asked for that must wait: at most one a second. */
  readonly renewNotBefore: Seconds | undefined;
}

export function planIdentity(input: PlanInput): Plan {
  const { entry, now } = input;
  const isRenewalAsked = entry.renew !== undefined && entry.renew !== input.lastManualRenewal;
  const lastIssue = issuedAtOf(input.x509Secret);
  const isTooSoon = isRenewalAsked && lastIssue !== undefined && lastIssue >= now;
  const isManualRenewalDue = isRenewalAsked && !isTooSoon;
  return {
    x509: planX509(input, isManualRenewalDue && input.renewed?.has("x509") !== true),
    jwt: planTokens(input, isManualRenewalDue && input.renewed?.has("jwt") !== true),
    // In another namespace someone only says that it is ours, and would have us stumble over it.
    prune: input.owned.filter((ref) => ref.namespace === entry.namespace && !isWanted(entry, ref)),
    renewNotBefore: isTooSoon ? seconds(now + 1) : undefined,
  };
}

function planX509(input: PlanInput, isManualRenewalDue: boolean): Plan["x509"] {
  const { entry, now, authority } = input;
  const secret = input.x509Secret?.ownerUid === entry.uid ? input.x509Secret : undefined;
  const { issuers, distrusted } = authority;
  const issue = checkX509({ entry, secret, issuers, distrusted, now, isManualRenewalDue });
  const wanted = publicHash(x509PublicContent(entry, authority.caPem, undefined));
  const wasValid = secret?.x509 !== undefined && secret.x509.notAfter > now;
  const since = wasValid ? parseRfc3339(secret.annotations[ISSUED_SINCE_ANNOTATION] ?? "") : undefined;
  return {
    issue,
    revision: revisionIn(secret?.annotations ?? {}) + 1,
    issuedSince: since !== undefined && since <= now ? since : now,
    refresh: issue === undefined && secret?.bundleHash !== wanted,
  };
}

function planTokens(input: PlanInput, isManualRenewalDue: boolean): Plan["jwt"] {
  const { entry, authority, now } = input;
  if (entry.jwt === undefined) return { issue: [], recreate: false, removeKeys: [], refresh: false };
  const secret = input.jwtSecret?.ownerUid === entry.uid ? input.jwtSecret : undefined;
  const recreate = secret === undefined || isRewritten(secret);
  const issue = entry.jwt.tokens.flatMap((token): readonly TokenIssue[] => {
    const reason = checkToken({
      entry,
      token,
      facts: secret?.tokens[token.key],
      issuer: authority.issuer,
      keyIDs: authority.jwtKeyIDs,
      now,
      isManualRenewalDue,
    });
    if (reason !== undefined) return [{ token, reason }];
    return recreate ? [{ token, reason: "Rewritten" }] : [];
  });
  const wanted = new Set(entry.jwt.tokens.map((token) => token.key));
  const written = secret === undefined ? [] : Object.keys(issuedHashes(secret));
  return {
    issue,
    recreate,
    removeKeys: written.filter((key) => !wanted.has(key)),
    refresh: secret?.bundleHash !== publicHash(jwtPublicContent(authority.bundleJson, authority.jwksJson)),
  };
}

/** Whether the entry still asks for an object that it owns. */
function isWanted(entry: RegistrationEntry, ref: ObjectRef): boolean {
  const wanted = [x509SecretRef(entry)];
  if (entry.jwt !== undefined) wanted.push(jwtSecretRef(entry.namespace, entry.jwt.secretName));
  if (entry.mtls !== undefined) wanted.push(peerAuthenticationRef(entry.namespace, entry.name));
  return wanted.some((want) => want.kind === ref.kind && want.name === ref.name);
}

function issuedAtOf(secret: ObservedSecret | undefined): Seconds | undefined {
  return secret?.x509 === undefined ? undefined : seconds(secret.x509.notBefore + 60);
}
