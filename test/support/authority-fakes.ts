/**
 * The authority without a disk: journals as data, and stores in memory that can fail or die at any call.
 */

import { decodeJournal, encodeJournal } from "../../src/authority/journal.ts";
import type { AuthorityPolicy } from "../../src/authority/policy.ts";
import type { JournalStore, KeyStore } from "../../src/authority/ports.ts";
import type { PrepareStep, SlotMaterial } from "../../src/authority/rotation-step.ts";
import type { AuthorityKind, Journal, Slot } from "../../src/authority/slot.ts";
import { firstJournal } from "../../src/authority/transitions.ts";
import { type Seconds, seconds } from "../../src/core/brand.ts";
import { OperatorError } from "../../src/core/errors.ts";
import { Secret } from "../../src/core/secret.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import type { KeyId } from "../../src/x509/keys.ts";
import type { CertificatePem } from "../../src/x509/pem.ts";

export const START: Seconds = seconds(1_800_000_000);

/** Root 10 h, issuing 2 h, JWT 1 h, propagation 10 min. */
export const POLICY: AuthorityPolicy = {
  trustDomain: parseTrustDomain("example.org"),
  issuer: "https://meshid.example.org",
  refreshHint: seconds(120),
  rootTTL: seconds(36_000),
  issuingTTL: seconds(7200),
  keyTTL: seconds(3600),
  propagation: seconds(600),
  keyAlgorithm: "ECDSA-P256",
  jwtAlgorithm: "ES256",
};

/** A key ID that a person can tell apart: `root1` → 40 hex digits. */
export function keyID(name: string): KeyId {
  return Buffer.from(name).toString("hex").padEnd(40, "0") as KeyId;
}

/** What a real key would bring, in the right form and with nothing in it. */
export function fakeMaterial(kind: AuthorityKind, name: string): SlotMaterial {
  const body = Buffer.from(name).toString("base64");
  return {
    keyID: keyID(name),
    publicKey: `-----BEGIN PUBLIC KEY-----\n${body}\n-----END PUBLIC KEY-----\n`,
    ...(kind === "JWT" ? {} : { certificate: certificatePem(name) }),
  };
}

/** In the right form, and with nothing in it but `name`. */
export function certificatePem(name: string): CertificatePem {
  const body = Buffer.from(name).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n` as CertificatePem;
}

export const ROOT: KeyId = keyID("root1");
export const ISSUING: KeyId = keyID("issuing1");
export const JWT: KeyId = keyID("jwt1");

/** The journal of a trust domain that began at `START`: slots root1, issuing1, jwt1, all active. */
export function journalOf(changes: Partial<Journal> = {}, policy: AuthorityPolicy = POLICY): Journal {
  const base = { step: "Prepare", reason: "Bootstrap", notBefore: seconds(START - 60) } as const;
  const { trustDomain, issuer, refreshHint, keyAlgorithm: algorithm } = policy;
  const slots: readonly (PrepareStep & { readonly made: SlotMaterial })[] = [
    {
      ...base,
      kind: "Root",
      algorithm,
      notAfter: seconds(START + policy.rootTTL),
      made: fakeMaterial("Root", "root1"),
    },
    {
      ...base,
      kind: "Issuing",
      algorithm,
      notAfter: seconds(START + Math.min(policy.issuingTTL, policy.rootTTL)),
      issuerKeyID: ROOT,
      made: fakeMaterial("Issuing", "issuing1"),
    },
    {
      ...base,
      kind: "JWT",
      algorithm: policy.jwtAlgorithm,
      notAfter: seconds(START + policy.keyTTL),
      made: fakeMaterial("JWT", "jwt1"),
    },
  ];
  return { ...firstJournal({ trustDomain, issuer, refreshHint, slots }, START), ...changes };
}

/** `journal` with one more slot, like the active one of its kind but for what is given. */
export function withSlot(journal: Journal, name: string, slot: Partial<Slot> & Pick<Slot, "kind">): Journal {
  const like = journal.slots.find(({ kind, state }) => kind === slot.kind && state === "Active");
  if (like === undefined) throw new TypeError(`no active ${slot.kind}`);
  const added = { ...like, ...fakeMaterial(slot.kind, name), state: "Prepared" as const, ...slot };
  return { ...journal, slots: [...journal.slots, added] };
}

/** `journal` with some members of the slot `id` changed. */
export function changeSlot(journal: Journal, id: KeyId, changes: Partial<Slot>): Journal {
  const slots = journal.slots.map((slot) => (slot.keyID === id ? { ...slot, ...changes } : slot));
  return { ...journal, slots };
}

/** Where a call dies: before the store did it, or after it without the caller hearing of it. */
export interface Crash {
  /** Counts the calls of both stores together, from 1. */
  readonly call: number;
  readonly when: "before" | "after";
}

/** A journal store and a key store over one memory, which outlives any process. */
export class MemoryStores {
  /** What is stored; a test may change it. */
  journalText: string | undefined;
  readonly keys: Map<KeyId, string> = new Map();
  evidence = false;
  saves = 0;
  calls = 0;
  crash: Crash | undefined;
  /** Runs before each save is compared: another process may come in between. */
  beforeSave: () => void = () => {};

  readonly journalStore: JournalStore = {
    read: () => this.#call(() => this.journal()),
    save: (journal, expectedRevision) =>
      this.#call(() => {
        this.beforeSave();
        if (this.journal()?.revision !== expectedRevision) {
          throw new OperatorError("CONFLICT", "another revision is stored");
        }
        this.saves++;
        this.journalText = encodeJournal(journal);
      }),
    hasEvidence: () => this.#call(() => this.evidence),
  };

  readonly keyStore: KeyStore = {
    put: (id, key) => this.#call(() => void this.keys.set(id, key.reveal())),
    get: (id) =>
      this.#call(() => {
        const pem = this.keys.get(id);
        return pem === undefined ? undefined : new Secret(pem);
      }),
    delete: (id) => this.#call(() => void this.keys.delete(id)),
    list: () => this.#call(() => [...this.keys.keys()]),
  };

  journal(): Journal | undefined {
    return this.journalText === undefined ? undefined : decodeJournal(this.journalText);
  }

  async #call<T>(act: () => T): Promise<T> {
    await Promise.resolve();
    this.calls++;
    const crash = this.crash?.call === this.calls ? this.crash.when : undefined;
    if (crash === "before") throw crashed();
    const result = act();
    if (crash === "after") throw crashed();
    return result;
  }
}

function crashed(): OperatorError {
  return new OperatorError("STORAGE_FAILED", "the store died", { retryable: true });
}
