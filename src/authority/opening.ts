/**
 * How a process comes to own the journal: it takes over the one that is there, or writes the first.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW, type Clock } from "../core/clock.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { KeyId } from "../x509/keys.ts";
import { makeIssuer } from "../x509/template.ts";
import { requireOwn } from "./journal.ts";
import { checkMaterial, findKey, makeSlot, requireKey, storeKey } from "./key-material.ts";
import type { JournalStore, KeyStore } from "./ports.ts";
import type { RotationPolicy } from "./rotation-plan.ts";
import type { PrepareStep } from "./rotation-step.ts";
import type { Journal } from "./slot.ts";
import { firstJournal, takeOver } from "./transitions.ts";

export interface AuthorityPolicy extends RotationPolicy {
  readonly trustDomain: TrustDomain;
  /** The `iss` of every token. */
  readonly issuer: string;
  /** How often consumers should fetch the bundle again: at most a fifth of `propagation`. */
  readonly refreshHint: Seconds;
}

export interface AuthorityDeps {
  readonly journalStore: JournalStore;
  readonly keyStore: KeyStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Asked anew for each decision. Trust domain and issuer never change. */
  readonly policy: () => AuthorityPolicy;
  /** How a person gets out when the journal is missing, in the words of this mode; a clause for a message. */
  readonly wayOut?: string;
}

/** Another process may save once between our read and our save, hardly again and again. */
const MAX_ATTEMPTS = 5;

/**
 * The journal, saved under an epoch of our own.
 * @throws JOURNAL_MISSING, JOURNAL_CORRUPT, JOURNAL_FOREIGN, JOURNAL_VERSION_UNSUPPORTED, AUTHORITY_NOT_READY (a key of an
 * active slot is gone), CONFLICT (retryable), STORAGE_FAILED. Nothing was changed then, but for keys that nobody knows.
 */
export async function openJournal(deps: AuthorityDeps): Promise<Journal> {
  const { journalStore, clock, policy } = deps;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const found = await journalStore.read();
    let journal: Journal;
    if (found === undefined) {
      if (await journalStore.hasEvidence()) throw missing(deps);
      journal = await bootstrap(deps);
    } else {
      requireOwn(found, policy());
      checkMaterial(found, policy().trustDomain);
      journal = takeOver(found, await lostKeys(deps.keyStore, found), clock.now());
    }
    try {
      await journalStore.save(journal, found?.revision);
      return journal;
    } catch (error) {
      if (!isOperatorError(error, "CONFLICT")) throw error;
    }
  }
  throw new OperatorError("CONFLICT", "taking over the journal: another process keeps changing it", {
    retryable: true,
  });
}

/** JOURNAL_MISSING with the ways out. */
export function missing({ policy, wayOut }: Pick<AuthorityDeps, "policy" | "wayOut">): OperatorError {
  const { trustDomain } = policy();
  const ways =
    wayOut ??
    `restore the journal and the keys from a backup (meshid restore); only if there is none, begin anew with a root that no peer knows yet (meshid bootstrap --new-root --confirm ${trustDomain})`;
  return new OperatorError(
    "JOURNAL_MISSING",
    `the journal of ${trustDomain} is missing although its bundle has been published: ${ways}`,
    { details: { trustDomain } },
  );
}

/** The keys are durable when it returns; until the journal is saved nobody knows of them. */
async function bootstrap({ keyStore, clock, random, policy }: AuthorityDeps): Promise<Journal> {
  const { trustDomain, issuer, refreshHint, rootTTL, issuingTTL, keyTTL, keyAlgorithm, jwtAlgorithm } =
    policy();
  const now = clock.now();
  const base = { step: "Prepare", reason: "Bootstrap", notBefore: seconds(now - CLOCK_SKEW) } as const;
  const context = { trustDomain, random, now };
  const rootEnd = seconds(now + rootTTL);
  const issuingEnd = seconds(Math.min(now + issuingTTL, rootEnd));
  const rootStep = { ...base, kind: "Root", algorithm: keyAlgorithm, notAfter: rootEnd } as const;
  const root = await makeSlot(rootStep, context);
  const { certificate, keyID: issuerKeyID } = root.made;
  if (certificate === undefined) throw new TypeError("bootstrap: a root without a certificate");
  const issuingStep = {
    ...base,
    kind: "Issuing",
    algorithm: keyAlgorithm,
    notAfter: issuingEnd,
    issuerKeyID,
  } as const satisfies PrepareStep;
  const issuing = await makeSlot(issuingStep, { ...context, root: makeIssuer(certificate, root.key) });
  const jwtStep = { ...base, kind: "JWT", algorithm: jwtAlgorithm, notAfter: seconds(now + keyTTL) } as const;
  const jwt = await makeSlot(jwtStep, context);
  for (const made of [root, issuing, jwt]) await storeKey(keyStore, made);
  const slots = [
    { ...rootStep, made: root.made },
    { ...issuingStep, made: issuing.made },
    { ...jwtStep, made: jwt.made },
  ];
  return firstJournal({ trustDomain, issuer, refreshHint, slots }, now);
}

/** Prepared slots without their key are given up; an active one without is for a person. */
async function lostKeys(keyStore: KeyStore, journal: Journal): Promise<readonly KeyId[]> {
  const lost: KeyId[] = [];
  for (const slot of journal.slots) {
    if (slot.state === "Active") await requireKey(keyStore, slot);
    else if (slot.state === "Prepared" && (await findKey(keyStore, slot)) === undefined)
      lost.push(slot.keyID);
  }
  return lost;
}
