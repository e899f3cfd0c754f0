/**
 * How a process comes to own the journal: it takes over the one that is there, or writes the first.
 */

import type { Clock } from "../core/clock.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { KeyId } from "../x509/keys.ts";
import {
  broughtIssuing,
  broughtRoot,
  type FreshSlots,
  freshIssuing,
  freshJwt,
  freshRoot,
} from "./fresh-slots.ts";
import { requireOwn } from "./journal.ts";
import { requireSound } from "./journal-rules.ts";
import { checkMaterial, findKey, requireKey } from "./key-material.ts";
import { makeFresh } from "./make-slots.ts";
import type { AuthorityPolicy } from "./policy.ts";
import type { JournalStore, KeyStore } from "./ports.ts";
import type { PrepareStep } from "./rotation-step.ts";
import { hasPrivateKey, type Journal } from "./slot.ts";
import { type FirstJournal, firstJournal, takeOver } from "./transitions.ts";

export interface AuthorityDeps {
  readonly journalStore: JournalStore;
  readonly keyStore: KeyStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Asked anew for each decision. Trust domain and issuer never change. */
  readonly policy: () => AuthorityPolicy;
  /** Told when an open authority has found its journal gone or another's: it is closed now, and to be opened again. */
  readonly onLost?: () => void;
  /** What meshid's commands need to find this authority, as `--state DIR`; absent: nothing. */
  readonly cliFlags?: string;
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
      journal = await newJournal(deps);
    } else {
      requireOwn(found, policy());
      checkMaterial(found, policy().trustDomain);
      journal = takeOver(found, await lostKeys(deps.keyStore, found), clock.now());
    }
    requireSound(journal);
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
export function missing({ policy, cliFlags }: Pick<AuthorityDeps, "policy" | "cliFlags">): OperatorError {
  const { trustDomain } = policy();
  const flags = cliFlags === undefined ? "" : ` ${cliFlags}`;
  return new OperatorError(
    "JOURNAL_MISSING",
    `the journal of ${trustDomain} is missing although its bundle has been published: put it back from a backup (meshid restore FILE${flags}); only where there is none, begin anew with a root that no peer knows yet (meshid bootstrap --new-root --confirm ${trustDomain}${flags})`,
    { details: { trustDomain } },
  );
}

/**
 * The first journal of a trust domain, with a root of its own. The keys are durable when it returns; until the journal is
 * saved nobody knows of them. `before`: what is known of the journal that it takes the place of.
 */
export async function newJournal(
  { keyStore, clock, random, policy }: Omit<AuthorityDeps, "journalStore">,
  before: Pick<FirstJournal, "above" | "honoured"> = {},
): Promise<Journal> {
  const { trustDomain, issuer, refreshHint, external } = policy();
  const fresh = { now: clock.now(), policy: policy(), reason: "Bootstrap" } as const;
  const making = { keyStore, clock, random, policy, onKey: () => {} };
  const steps = [...firstAuthorities(fresh, external), freshJwt(fresh)];
  const slots = await makeFresh(steps, [], making);
  return firstJournal({ trustDomain, issuer, refreshHint, slots, ...before }, fresh.now);
}

/** @throws SECRET_INVALID where they are to come from someone else's CA and cannot be had. */
function firstAuthorities(fresh: FreshSlots, external: AuthorityPolicy["external"]): readonly PrepareStep[] {
  if (external === undefined) {
    const root = freshRoot(fresh);
    return [root, freshIssuing(fresh, { notAfter: root.notAfter })];
  }
  const { authority, place, problem } = external;
  if (authority === undefined)
    throw new OperatorError("SECRET_INVALID", problem ?? `${place} has not been read yet`, {
      retryable: true,
    });
  return [broughtRoot(authority, fresh.reason), broughtIssuing(authority, fresh.reason)];
}

/** Prepared slots without their key are given up; an active one without is for a person. */
async function lostKeys(keyStore: KeyStore, journal: Journal): Promise<readonly KeyId[]> {
  const lost: KeyId[] = [];
  for (const slot of journal.slots) {
    if (!hasPrivateKey(slot)) continue;
    if (slot.state === "Active") await requireKey(keyStore, slot);
    else if (slot.state === "Prepared" && (await findKey(keyStore, slot)) === undefined)
      lost.push(slot.keyID);
  }
  return lost;
}
