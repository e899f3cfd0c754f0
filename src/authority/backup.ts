/**
 * A backup of the authority: the journal and every key that it signs with, as of one instant. Pure but for what the stores
 * are asked.
 *
 * A backup is older than the truth when it comes back, and nobody can tell what was signed since. So whatever its active keys
 * may have signed counts as signed, and every counter begins well above where the lost journal can have been.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { parseTrustDomain } from "../spiffe/trust-domain.ts";
import { encodePrivateKey, type KeyId, keysMatch, parsePrivateKey, parsePublicKey } from "../x509/keys.ts";
import { checkMaterial, findKey, requireKey } from "./key-material.ts";
import type { FoundJournal, JournalPlace, KeyStore } from "./ports.ts";
import { type AuthorityKind, endOfUse, hasPrivateKey, type Journal, type Slot } from "./slot.ts";

export interface Backup {
  readonly createdAt: Seconds;
  /** The version of meshid that made it. */
  readonly madeBy: string;
  readonly journal: Journal;
  /** As it was stored. */
  readonly journalText: string;
  /** PKCS#8 PEM, not encrypted: one for each slot that `keepsKey`, but for prepared ones whose key was lost. */
  readonly keys: ReadonlyMap<KeyId, Secret>;
  /** Local mode: what else of STATE cannot be made anew, by file name. */
  readonly records: Readonly<Record<string, string>>;
}

/** A public key that consumers are served at present, as the TrustDomain's status shows it. */
export interface PublishedKey {
  readonly kind: AuthorityKind;
  readonly keyID: string;
  readonly state: string;
  readonly signedUntil: Seconds;
}

/** What a return to a backup costs, because its journal is older than what is published. */
export interface Loss {
  readonly kind: AuthorityKind;
  readonly keyID: string;
  /**
   * `Dropped`: published, has signed, and the backup does not know it. `Unknown`: it will sign, and is not published. `Returned`:
   * it was published while something that it signed may be alive, and is no more: perhaps since nobody is to trust it.
   */
  readonly what: "Dropped" | "Unknown" | "Returned";
}

/** How far the lost journal may have been ahead of its backup: more than anyone has. A save or a start a minute for two years. */
const AHEAD = 1_000_000;
/** The same for publications; the status may also have told of the last few too late. */
const SEQUENCE_AHEAD = 1000;
const MAX_ATTEMPTS = 5;

/** Whether a slot's private key has to be in the key store. */
function keepsKey(slot: Slot): boolean {
  return slot.state !== "Retired" && hasPrivateKey(slot);
}

export interface SnapshotDeps {
  readonly journals: Pick<JournalPlace, "look">;
  readonly keyStore: KeyStore;
}

/**
 * Journal and keys of one instant, checked as thoroughly as for signing: what is saved can be restored.
 * @throws NOT_FOUND where there is no journal, JOURNAL_CORRUPT, JOURNAL_VERSION_UNSUPPORTED, AUTHORITY_NOT_READY (the key of
 * an active slot is gone), CONFLICT (retryable), STORAGE_FAILED.
 */
export async function takeSnapshot({
  journals,
  keyStore,
}: SnapshotDeps): Promise<Pick<Backup, "journal" | "journalText" | "keys">> {
  let before = requireGood(await journals.look());
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { journal, text } = before;
    const read = await readKeys(journal, keyStore).catch((error: unknown) => error);
    const after = requireGood(await journals.look());
    if (after.text === text) {
      if (!(read instanceof Map)) throw read;
      checkMaterial(journal, parseTrustDomain(journal.trustDomain));
      return { journal, journalText: text, keys: read };
    }
    before = after;
  }
  throw new OperatorError("CONFLICT", "reading journal and keys: they keep changing; try again", {
    retryable: true,
  });
}

/** @throws VERIFICATION_FAILED when journal and keys do not fit together, or an active key is missing. */
export function checkBackup({ journal, keys }: Pick<Backup, "journal" | "keys">): void {
  try {
    checkMaterial(journal, parseTrustDomain(journal.trustDomain));
  } catch (cause) {
    throw new OperatorError(
      "VERIFICATION_FAILED",
      `the journal in the backup does not hold together: ${messageOf(cause)}`,
      { cause },
    );
  }
  const slots = journal.slots.filter(keepsKey);
  for (const slot of slots) {
    const { kind, keyID, state, publicKey } = slot;
    const key = keys.get(keyID);
    if (key === undefined && state === "Active")
      throw unfit(`lacks the key ${keyID} of its active ${kind} authority`);
    if (key !== undefined && !fits(key, publicKey))
      throw unfit(`holds another key than that of its ${kind} authority ${keyID}`);
  }
  const stray = [...keys.keys()].find((keyID) => !slots.some((slot) => slot.keyID === keyID));
  if (stray !== undefined) throw unfit(`holds a key ${stray} that its journal has no use for`);
}

/**
 * The journal to go on with. What was signed since the backup stays inside `signedUntil`; a prepared slot is published and
 * observed anew. `above`: the highest sequence that was ever seen published.
 */
export function restoredJournal(
  journal: Journal,
  { now, above }: { readonly now: Seconds; readonly above: number },
): Journal {
  const { bundle } = journal;
  return {
    ...journal,
    epoch: journal.epoch + AHEAD,
    takenOverAt: now,
    revision: journal.revision + AHEAD,
    savedAt: seconds(Math.max(journal.savedAt, now)),
    bundle: {
      ...bundle,
      sequence: sequenceAbove(Math.max(bundle.sequence, above)),
      publishedAt: seconds(Math.max(bundle.publishedAt, now)),
    },
    slots: journal.slots.map((slot) => restoredSlot(slot, now)),
  };
}

/** A sequence that no consumer can have seen, where `seen` is the highest that is known of. */
export function sequenceAbove(seen: number): number {
  return seen + SEQUENCE_AHEAD;
}

/** For roots and JWT keys: an issuing certificate travels with each leaf, and is published nowhere. */
export function lossesOf(
  journal: Journal,
  published: readonly PublishedKey[],
  now: Seconds,
): readonly Loss[] {
  const known = new Set<string>(journal.slots.map(({ keyID }) => keyID));
  const served = new Set(published.map(({ keyID }) => keyID));
  const dropped = published.filter(
    ({ kind, keyID, state, signedUntil }) =>
      kind !== "Issuing" &&
      !known.has(keyID) &&
      // What an active one signs is in the status a little later.
      (state === "Active" || (state === "Retired" && signedUntil >= now)),
  );
  const unserved = journal.slots.filter(({ kind, keyID }) => kind !== "Issuing" && !served.has(keyID));
  const unknown = unserved.filter(({ state }) => state === "Active");
  const returned = unserved.filter((slot) => slot.state === "Retired" && mayBeAlive(journal, slot, now));
  return [
    ...dropped.map(({ kind, keyID }): Loss => ({ kind, keyID, what: "Dropped" })),
    // Where nothing is known to be published there is nothing to compare with.
    ...(served.size === 0 ? [] : unknown.map(({ kind, keyID }): Loss => ({ kind, keyID, what: "Unknown" }))),
    ...(served.size === 0
      ? []
      : returned.map(({ kind, keyID }): Loss => ({ kind, keyID, what: "Returned" }))),
  ];
}

/** Whether something that a retired key has signed can be in use: for a root, a leaf under what it certified. */
function mayBeAlive({ slots }: Journal, slot: Slot, now: Seconds): boolean {
  const signers =
    slot.kind === "Root" ? slots.filter(({ issuerKeyID }) => issuerKeyID === slot.keyID) : [slot];
  return signers.some((one) => one.state === "Active" || endOfUse(one) > now);
}

/** Slots whose key the store should have and has not, or not as it should be. @throws STORAGE_FAILED */
export async function slotsWithoutKey(journal: Journal, keyStore: KeyStore): Promise<readonly Slot[]> {
  const lacking: Slot[] = [];
  for (const slot of journal.slots.filter(keepsKey))
    if ((await findKey(keyStore, slot)) === undefined) lacking.push(slot);
  return lacking;
}

function restoredSlot(slot: Slot, now: Seconds): Slot {
  if (slot.state === "Retired") return slot;
  const { observedAt: _, ...rest } = slot;
  // It may have been activated since, and given up again is nobody's loss then.
  return slot.state === "Prepared"
    ? { ...rest, since: seconds(Math.max(slot.since, now)), signedUntil: slot.notAfter }
    : { ...slot, signedUntil: slot.notAfter };
}

async function readKeys(journal: Journal, keyStore: KeyStore): Promise<ReadonlyMap<KeyId, Secret>> {
  const keys = new Map<KeyId, Secret>();
  for (const slot of journal.slots.filter(keepsKey)) {
    // The authority gives up a prepared slot whose key is lost: no reason to have no backup.
    const find = slot.state === "Active" ? requireKey : findKey;
    const key = await find(keyStore, slot);
    if (key !== undefined) keys.set(slot.keyID, encodePrivateKey(key));
  }
  return keys;
}

function requireGood(found: FoundJournal): FoundJournal & { readonly kind: "good" } {
  if (found.kind === "good") return found;
  if (found.kind === "damaged") throw found.fault;
  throw new OperatorError("NOT_FOUND", "there is no journal: nothing can be backed up");
}

function fits(key: Secret, publicKey: string): boolean {
  try {
    return keysMatch(parsePrivateKey(key), parsePublicKey(publicKey));
  } catch {
    return false; // nothing of a key may travel with an error
  }
}

function unfit(message: string): OperatorError {
  return new OperatorError("VERIFICATION_FAILED", `the backup ${message}`);
}
