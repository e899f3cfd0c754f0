/**
 * What a restore would do, and the doing of it: puts back what is missing or damaged, and leaves alone whatever is good.
 */

import {
  type Backup,
  type Loss,
  lossesOf,
  restoredJournal,
  slotsWithoutKey,
} from "../../authority/backup.ts";
import type { FoundJournal } from "../../authority/ports.ts";
import type { Journal, Slot } from "../../authority/slot.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { OperatorError, quoted, unreachable } from "../../core/errors.ts";
import { DEFAULT_OPERATOR_NAMESPACE, defaultIssuer } from "../../registration/trust-domain-policy.ts";
import { type Published, publishedKeys, type Vault } from "./vault.ts";

export interface RestorePlan {
  readonly found: FoundJournal;
  /** Undefined: the one in place is good and stays. */
  readonly journal: Journal | undefined;
  /** Slots whose key is put back. */
  readonly keys: readonly Slot[];
  /** Names of records that are put back. */
  readonly records: readonly string[];
  readonly losses: readonly Loss[];
  /** Whether anything is known to be published, to compare with. */
  readonly isCompared: boolean;
}

/**
 * Writes nothing. @throws JOURNAL_FOREIGN; CONFLICT when there is nothing to restore; AUTHORITY_NOT_READY when the journal in
 * place needs an active key that the backup has not; STORAGE_FAILED, CLUSTER_UNREACHABLE.
 */
export async function planRestore(vault: Vault, backup: Backup): Promise<RestorePlan> {
  const published = await vault.published();
  requireServed(backup.journal, published, vault);
  const found = await vault.journals.look();
  const restored =
    found.kind === "good"
      ? undefined
      : restoredJournal(backup.journal, { now: vault.clock.now(), above: published.sequence });
  if (found.kind === "good") requireSame(backup.journal, found.journal, vault);
  const journal = found.kind === "good" ? found.journal : (restored ?? backup.journal);
  const lacking = await slotsWithoutKey(journal, vault.keyStore);
  const records = (await vault.records.lacking()).filter((name) => backup.records[name] !== undefined);
  const keys = lacking.filter(({ keyID }) => backup.keys.has(keyID));
  const lost = lacking.find(({ keyID, state }) => state === "Active" && !backup.keys.has(keyID));
  if (lost !== undefined) throw lostKey(lost, vault);
  if (found.kind === "good" && keys.length === 0 && records.length === 0)
    throw nothingToRestore(found.journal, vault);
  const current = publishedKeys(published);
  return {
    found,
    journal: restored,
    keys,
    records,
    losses: restored === undefined ? [] : lossesOf(backup.journal, current, vault.clock.now()),
    isCompared: restored === undefined || current.length > 0,
  };
}

/** Keys first, the journal last: a crash in between leaves keys that nobody asks for. Where a damaged journal is kept. */
export async function carryOut(
  vault: Vault,
  backup: Backup,
  plan: RestorePlan,
): Promise<{ readonly kept: string | undefined }> {
  for (const { keyID } of plan.keys) {
    const key = backup.keys.get(keyID);
    if (key === undefined) continue;
    // What is there does not fit its ID: stores refuse to write over it.
    if ((await vault.keyStore.get(keyID)) !== undefined) await vault.keyStore.delete(keyID);
    await vault.keyStore.put(keyID, key);
  }
  for (const name of plan.records) await vault.records.write(name, backup.records[name] ?? "");
  if (plan.journal === undefined) return { kept: undefined };
  return { kept: await vault.journals.replace(plan.found, plan.journal) };
}

/** What a loss means, for the person who has to decide. */
export function describeLoss({ kind, keyID, what }: Loss): string {
  const word = kind === "JWT" ? "JWT" : kind.toLowerCase();
  const signs = kind === "JWT" ? "tokens" : "certificates";
  switch (what) {
    case "Dropped":
      return `the ${word} key ${keyID} is published and not in the backup: ${signs} under it lose their verifiers, and are refused until they are issued anew`;
    case "Unknown":
      return `the ${word} key ${keyID} of the backup will sign, and is not published: ${signs} under it are refused until every peer has the new bundle`;
    case "Returned":
      return `the ${word} key ${keyID} of the backup was taken out of the bundles since and comes back: if it was distrusted (meshid rotate ${word} --compromised), who has stolen it is believed again`;
    default:
      return unreachable(what);
  }
}

function requireServed(journal: Journal, { trustDomain }: Published, vault: Vault): void {
  if (trustDomain === undefined) return;
  const namespace = vault.context.operatorNamespace ?? DEFAULT_OPERATOR_NAMESPACE;
  const issuer = trustDomain.spec.jwt?.issuer ?? defaultIssuer(namespace);
  requireSame(journal, { trustDomain: trustDomain.metadata.name, issuer }, vault);
}

/** @throws JOURNAL_FOREIGN when the backup is of another trust domain or issuer than the one that is served. */
function requireSame(
  journal: Journal,
  served: { readonly trustDomain: string; readonly issuer: string },
  { place }: Vault,
): void {
  for (const [field, what] of [
    ["trustDomain", "trust domain"],
    ["issuer", "token issuer"],
  ] as const) {
    const [found, expected] = [journal[field], served[field]];
    if (found === expected) continue;
    throw new OperatorError(
      "JOURNAL_FOREIGN",
      `nothing was restored: the backup is of the ${what} ${quoted(found)}, and in ${place} that is ${quoted(expected)}; expected a backup of the same`,
      { details: { found, expected, field } },
    );
  }
}

function lostKey({ kind, keyID }: Slot, { place }: Vault): OperatorError {
  return new OperatorError(
    "AUTHORITY_NOT_READY",
    `nothing was restored: the journal in ${place} is good, and the key ${keyID} of its active ${kind} authority is neither there nor in the backup; expected a newer backup, or a new root (meshid bootstrap --new-root)`,
    { details: { kind, keyID } },
  );
}

function nothingToRestore({ revision, savedAt }: Journal, { place, moveAway }: Vault): OperatorError {
  return new OperatorError(
    "CONFLICT",
    `nothing was restored: the journal in ${place} is good (revision ${revision}, saved at ${toRfc3339(savedAt)}), and so are its keys; a backup replaces only what is missing or damaged. To go back to the backup all the same, keep a backup of what is there, move its journal away (${moveAway}) and restore again`,
  );
}
