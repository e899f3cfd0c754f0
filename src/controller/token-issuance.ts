/**
 * Carries out the JWT part of a plan: the tokens that are due, and the public documents beside them.
 */

import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { Secret } from "../core/secret.ts";
import type { KeyHashes } from "../reconcile/annotations.ts";
import { issuedHashes, REWRITE_REASONS, tokenRenewAt } from "../reconcile/checks.ts";
import { publicHash } from "../reconcile/facts.ts";
import {
  issuedAnnotations,
  jwtContent,
  jwtPublicContent,
  jwtSecretManifest,
  jwtSecretRef,
} from "../reconcile/manifests/secret.ts";
import type { Plan } from "../reconcile/plan.ts";
import { renewTokenAt } from "../reconcile/renewal.ts";
import { refreshID } from "./rewrite-guard.ts";
import type { IdentityReconcilerDeps, PartResult, Work } from "./work.ts";
import { rewritten } from "./x509-issuance.ts";

/** @throws NOT_OWNED, AUTHORITY_NOT_READY, SIGNING_FAILED, STORAGE_FAILED. */
export async function issueTokens(
  deps: IdentityReconcilerDeps,
  work: Work,
  signal: AbortSignal,
): Promise<PartResult> {
  const { entry, plan, jwtSecret } = work;
  const secretName = entry.jwt?.secretName;
  if (entry.jwt === undefined || secretName === undefined) return { changed: false };
  const repair = documentsRepair(work, secretName);
  const heldUntil = isRepair(deps, work)
    ? deps.rewrites.take(`${entry.uid}/jwt`)
    : repair !== undefined && isDocumentsOnly(plan)
      ? deps.rewrites.heldUntil(repair)
      : undefined;
  if (heldUntil !== undefined) return rewritten(secretName, heldUntil);

  const issued = await sign(deps, work);
  const { bundleJson, jwksJson } = deps.authority.view();
  if (plan.jwt.recreate || jwtSecret === undefined) {
    await deps.applier.apply(
      jwtSecretManifest({ entry, secretName, tokens: issued.tokens, bundleJson, jwksJson }),
      signal,
    );
  } else if (issued.tokens.size > 0 || plan.jwt.refresh || plan.jwt.removeKeys.length > 0) {
    const content = jwtContent({ tokens: issued.tokens, bundleJson, jwksJson });
    const kept = without(issuedHashes(jwtSecret), plan.jwt.removeKeys);
    await deps.applier.amend(
      {
        ref: jwtSecretRef(entry.namespace, secretName),
        ownerUid: entry.uid,
        set: new Secret(content),
        remove: plan.jwt.removeKeys,
        annotations: issuedAnnotations(entry, content, kept),
      },
      signal,
    );
    if (repair !== undefined) deps.rewrites.repaired(repair);
  }
  for (const record of issued.records) deps.audit.tokenIssued(record);
  const changed = issued.tokens.size > 0 || plan.jwt.refresh || plan.jwt.removeKeys.length > 0;
  return { changed, requeueAt: nextRenewal(work, issued.ends) };
}

/** Whether someone else's hand is what asks for tokens that were issued before. */
function isRepair({ rewrites }: IdentityReconcilerDeps, { identity, entry, plan, jwtSecret }: Work): boolean {
  const written = jwtSecret && issuedHashes(jwtSecret);
  return (
    rewrites.wasIssued(entry.uid, "jwt", identity.status) &&
    plan.jwt.issue.some(({ reason, token }) => {
      // A token that the Secret never held is missing because the spec is new.
      const isNew = reason === "Missing" && written !== undefined && !(token.key in written);
      return REWRITE_REASONS.has(reason) && !isNew;
    })
  );
}

/** Where bundle and JWKS have to be written anew. */
function documentsRepair({ plan, entry, view }: Work, secretName: string): string | undefined {
  if (!plan.jwt.refresh) return undefined;
  const content = jwtPublicContent(view.bundleJson, view.jwksJson);
  return refreshID(jwtSecretRef(entry.namespace, secretName), publicHash(content));
}

/** Nothing is due but what others may have put into their place. */
function isDocumentsOnly({ jwt }: Plan): boolean {
  return !jwt.recreate && jwt.issue.length === 0 && jwt.removeKeys.length === 0;
}

interface SignedTokens {
  readonly tokens: ReadonlyMap<string, Secret>;
  readonly ends: ReadonlyMap<string, Seconds>;
  readonly records: readonly Parameters<IdentityReconcilerDeps["audit"]["tokenIssued"]>[0][];
}

async function sign(deps: IdentityReconcilerDeps, { entry, plan }: Work): Promise<SignedTokens> {
  const tokens = new Map<string, Secret>();
  const ends = new Map<string, Seconds>();
  const records: SignedTokens["records"][number][] = [];
  for (const { token, reason } of plan.jwt.issue) {
    const started = deps.clock.monotonic();
    const svid = await deps.authority.signJwtSvid({
      spiffeId: entry.spiffeId,
      audience: token.audience,
      ttl: token.ttl,
    });
    tokens.set(token.key, svid.token);
    ends.set(token.key, svid.expiresAt);
    records.push({
      serviceIdentity: entry.key,
      spiffeId: entry.spiffeId,
      audience: token.audience,
      jti: svid.jti,
      authorityKeyID: svid.keyID,
      notAfter: svid.expiresAt,
      reason,
      duration: milliseconds(deps.clock.monotonic() - started),
    });
  }
  return { tokens, ends, records };
}

function nextRenewal({ entry, jwtSecret, now }: Work, ends: ReadonlyMap<string, Seconds>): Seconds {
  const instants = (entry.jwt?.tokens ?? []).map((token) => {
    const end = ends.get(token.key);
    if (end !== undefined) return renewTokenAt({ issuedAt: now, notAfter: end }, entry.uid);
    const facts = jwtSecret?.tokens[token.key];
    return facts === undefined ? now : tokenRenewAt(entry, facts);
  });
  return seconds(Math.min(...instants));
}

function without(hashes: KeyHashes, keys: readonly string[]): KeyHashes {
  return Object.fromEntries(Object.entries(hashes).filter(([key]) => !keys.includes(key)));
}
