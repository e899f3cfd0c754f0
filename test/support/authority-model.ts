/**
 * A trust domain as the rotation sees it: consumers that follow the bundle late or never, credentials that live on
 * after their key was replaced, a clock that jumps, and a process that can die between any two steps. Only the encoded
 * journal survives a crash.
 */

import type { ExternalAuthority } from "../../src/authority/external-authority.ts";
import { decodeJournal, encodeJournal } from "../../src/authority/journal.ts";
import { planRotation } from "../../src/authority/rotation.ts";
import type {
  Observation,
  Requests,
  RotationPlan,
  RotationPolicy,
} from "../../src/authority/rotation-plan.ts";
import type {
  DistrustStep,
  JournalStep,
  MadeStep,
  PrepareStep,
  RotationStep,
  SlotMaterial,
} from "../../src/authority/rotation-step.ts";
import {
  AUTHORITY_KINDS,
  type AuthorityKind,
  activeSlot,
  clockFault,
  instantOfLife,
  type Journal,
  latestInstant,
  type Slot,
} from "../../src/authority/slot.ts";
import { applyStep, raiseSignedUntil, takeOver } from "../../src/authority/transitions.ts";
import { type Seconds, seconds } from "../../src/core/brand.ts";
import type { KeyId } from "../../src/x509/keys.ts";
import { certificatePem, fakeMaterial, journalOf, POLICY, START } from "./authority-fakes.ts";

interface Credential {
  /** What a verifier must carry to accept it: a root or a JWT key. */
  readonly anchor: KeyId;
  readonly signer: KeyId;
  readonly end: number;
}

interface Consumer {
  readonly name: string;
  holds: ReadonlySet<KeyId>;
  /** It refuses what we write, and has done so for long enough. */
  refuses: boolean;
}

export class Violation extends Error {}

export class AuthorityModel {
  policy: RotationPolicy = { ...POLICY, crossSignRoots: true };
  requests: Requests = {};
  readonly distrusted: Set<KeyId> = new Set();
  #now: number = START;
  #journal: Journal = journalOf();
  readonly #consumers: Consumer[] = [];
  #credentials: Credential[] = [];
  #last: Observation | undefined;
  #made = 0;
  #born = 0;

  get journal(): Journal {
    return this.#journal;
  }

  get now(): Seconds {
    return seconds(this.#now);
  }

  /** Time goes on, or the clock is set back. */
  move(by: number): void {
    this.#now = Math.max(START - 100_000, this.#now + by);
    // What ended cannot be hurt; a clock that is set back must not bring it to life again.
    this.#credentials = this.#credentials.filter(({ end }) => end + 60 >= this.#now);
  }

  /** A person has set the clock. */
  setClockRight(): void {
    this.#now = Math.max(this.#now, latestInstant(this.journal));
  }

  addConsumer(): void {
    if (this.#consumers.length < 6) {
      this.#consumers.push({
        name: `Secret ns/${this.#born++}`,
        holds: publishedIn(this.journal),
        refuses: false,
      });
    }
  }

  removeConsumer(index: number): void {
    this.#consumers.splice(index % 6, 1);
  }

  /** A consumer refuses what we write, or takes it again. */
  refuse(index: number, refuses: boolean): void {
    const consumer = this.#consumers[index % 6];
    if (consumer !== undefined) consumer.refuses = refuses;
  }

  /** Somebody says that the active key of a kind was stolen. */
  distrust(kind: "Root" | "JWT"): void {
    const active = activeSlot(this.journal, kind);
    if (active !== undefined) this.distrusted.add(active.keyID);
  }

  /** Somebody says that roots were stolen which have vouched for others, and may be gone by now. */
  distrustFormer(): void {
    for (const { crossCertificate } of this.journal.slots)
      if (crossCertificate !== undefined) this.distrusted.add(crossCertificate.issuerKeyID);
  }

  /** Someone else's CA makes roots and issuing certificates from now on, each named for its key and for its certificate. */
  bring(root: string, issuing: string, ttl: number): void {
    const life = { notBefore: seconds(this.#now - 60), notAfter: seconds(this.#now + ttl) };
    const made = (kind: "Root" | "Issuing", name: string): ExternalAuthority["root"] => ({
      ...(fakeMaterial(kind, name) as ExternalAuthority["root"]),
      ...life,
      algorithm: "RSA-2048",
      certificate: certificatePem(`${name} ${this.#now} ${ttl}`),
    });
    const authority = {
      root: made("Root", root),
      issuing: { ...made("Issuing", issuing), intermediates: [] },
    };
    this.policy = { ...this.policy, external: { place: "Secret meshid-system/byo", authority } };
  }

  /** What was brought cannot be used any more. */
  spoil(): void {
    if (this.policy.external !== undefined)
      this.policy = { ...this.policy, external: { place: "Secret meshid-system/byo", problem: "is gone" } };
  }

  bringNothing(): void {
    const { external: _, ...rest } = this.policy;
    this.policy = rest;
  }

  /** The bundle as it is now reaches a consumer. */
  deliver(index: number): void {
    const consumer = this.#consumers[index % 6];
    if (consumer !== undefined && !consumer.refuses) consumer.holds = publishedIn(this.journal);
  }

  deliverToAll(): void {
    for (const index of this.#consumers.keys()) this.deliver(index);
  }

  /** What an honest look at all consumers shows for all keys of the journal. */
  look(): Observation {
    const lacking = new Map(
      [...publishedIn(this.journal)].map((key): [KeyId, readonly string[]] => [
        key,
        this.#consumers.filter(({ holds, refuses }) => !refuses && !holds.has(key)).map(({ name }) => name),
      ]),
    );
    const excluded = this.#consumers.filter(({ refuses }) => refuses).map(({ name }) => name);
    this.#last = { consumers: this.#consumers.length, lacking, excluded };
    return this.#last;
  }

  /** The observation of some time ago. */
  get stale(): Observation | undefined {
    return this.#last;
  }

  /** Another process takes over what is stored. */
  restart(): void {
    this.#save(takeOver(this.journal, [], this.now), undefined);
  }

  /** Plans and carries out, until nothing is left or the process dies after `limit` saves. */
  step(observation: Observation | undefined, limit: number = Number.POSITIVE_INFINITY): RotationPlan {
    let saves = 0;
    for (let round = 0; round < 20; round++) {
      const { journal, now, policy, requests, distrusted } = this;
      const plan = planRotation({ journal, now, policy, observation, requests, distrusted });
      this.#checkPlan(plan);
      if (plan.steps.length === 0) {
        this.#checkDistrusted(plan);
        return plan;
      }
      for (const step of plan.steps) {
        if (saves++ >= limit) return plan;
        this.#carryOut(step, observation);
      }
    }
    throw new Violation("the steps never end");
  }

  /** Issues as `Authority` does: the journal first. */
  sign(kind: "Issuing" | "JWT", ttl: number): void {
    const { journal, now } = this;
    const slot = activeSlot(journal, kind);
    if (slot === undefined || clockFault(journal, now) !== undefined) return;
    if (now < slot.notBefore || now >= slot.notAfter) return;
    const end = seconds(Math.min(now + ttl, slot.notAfter));
    const raised = raiseSignedUntil(journal, { keyID: slot.keyID, end }, now);
    if (raised !== undefined) this.#save(raised, undefined);
    if ((this.#slot(slot.keyID)?.signedUntil ?? 0) < end) throw new Violation("signed beyond signedUntil");
    this.#credentials.push({ anchor: slot.issuerKeyID ?? slot.keyID, signer: slot.keyID, end });
  }

  /** Whether a rotation is under way or a request is open. */
  isBusy(): boolean {
    const { journal, requests } = this;
    const isOpen = AUTHORITY_KINDS.some((kind) => {
      // Someone else's CA cannot be asked.
      if (kind !== "JWT" && this.policy.external !== undefined) return false;
      return requests[kind] !== undefined && requests[kind] !== journal.honoured[kind];
    });
    return isOpen || journal.slots.some(({ state }) => state === "Prepared");
  }

  #carryOut(step: RotationStep, observation: Observation | undefined): void {
    const before = this.journal;
    const full = this.#make(step);
    const after = applyStep(before, full, this.now);
    if (after === undefined)
      throw new Violation(`${step.step} does not apply to the journal it was planned for`);
    if (step.step === "Distrust") this.#forget(step);
    if (step.step === "Activate")
      this.#checkActivation(before, step.keyID, observation, step.forced !== undefined);
    this.#save(after, before);
  }

  #make(step: RotationStep): JournalStep {
    if (step.step === "Prepare") return this.#makeOne(step);
    if (step.step !== "Distrust") return step;
    const replacements: MadeStep[] = [];
    for (const one of step.replacements) {
      const issuerKeyID =
        one.issuerKeyID ?? (one.kind === "Issuing" ? replacements[0]?.made.keyID : undefined);
      replacements.push(this.#makeOne({ ...one, ...(issuerKeyID === undefined ? {} : { issuerKeyID }) }));
    }
    return { ...step, replacements };
  }

  #makeOne(step: PrepareStep): MadeStep {
    const brought = this.policy.external?.authority;
    const found = [brought?.root, brought?.issuing].find((one) => one?.keyID === step.external);
    if (step.external === undefined) {
      const made = fakeMaterial(step.kind, `${step.kind}${++this.#made}`);
      return { ...step, made: { ...made, ...this.#cross(step) } };
    }
    if (found === undefined) throw new Violation("prepares what nobody brought");
    const { keyID, publicKey, certificate } = found;
    return { ...step, made: { keyID, publicKey, certificate } };
  }

  #cross({ crossedBy, notAfter }: PrepareStep): Pick<SlotMaterial, "crossCertificate"> {
    if (crossedBy === undefined) return {};
    const slot = this.#slot(crossedBy);
    if (slot === undefined || slot.external === true || slot.state !== "Active")
      throw new Violation("a root is to vouch for another, but does not sign");
    if (this.distrusted.has(crossedBy)) throw new Violation("a distrusted root vouches for another");
    const certificate = certificatePem(`cross ${crossedBy}`);
    const end = seconds(Math.min(notAfter, slot.notAfter));
    return { crossCertificate: { issuerKeyID: crossedBy, notAfter: end, certificate } };
  }

  /** What a stolen key has signed is meant to be refused, and so is whoever has vouched for it. */
  #forget({ keyIDs }: DistrustStep): void {
    const gone = keyIDs.flatMap((key) => this.#slot(key) ?? []);
    const vouchers = new Set(gone.flatMap(({ crossCertificate }) => crossCertificate?.issuerKeyID ?? []));
    for (const { keyID, state } of gone) {
      if (state !== "Prepared" && !this.distrusted.has(keyID) && !vouchers.has(keyID))
        throw new Violation("drops a key that nobody named");
    }
    const left = this.journal.slots.filter(({ keyID }) => !keyIDs.includes(keyID));
    const isVouching = gone.some(
      ({ crossCertificate: cross }) =>
        cross !== undefined &&
        cross.notAfter >= this.#now &&
        left.some(({ keyID }) => keyID === cross.issuerKeyID),
    );
    if (isVouching) throw new Violation("leaves a root that has vouched for a stolen one");
    this.#credentials = this.#credentials.filter(({ anchor }) => !keyIDs.includes(anchor));
  }

  #save(journal: Journal, before: Journal | undefined): void {
    const text = encodeJournal(journal);
    const read = decodeJournal(text);
    this.#journal = read;
    if (encodeJournal(read) !== text) throw new Violation("the journal does not read as it was written");
    this.#checkCredentials(read);
    checkCrosses(read);
    if (before !== undefined) checkBundle(before, read);
  }

  #checkPlan(plan: RotationPlan): void {
    if (plan.wakeAt <= this.#now) throw new Violation("wakes in the past");
    const isBehind = clockFault(this.journal, this.now) !== undefined;
    if (isBehind && plan.steps.length > 0) throw new Violation("acts on a clock that went back");
  }

  /** Nothing is left of a stolen key, unless only someone else's CA could take its place. */
  #checkDistrusted({ fault }: RotationPlan): void {
    const { slots } = this.journal;
    const isForeign = this.policy.external !== undefined || slots.some(({ external }) => external === true);
    if (fault !== undefined || isForeign) return;
    for (const { keyID, crossCertificate } of slots) {
      for (const key of [keyID, crossCertificate?.issuerKeyID ?? keyID])
        if (this.distrusted.has(key)) throw new Violation("a stolen key is still of use");
    }
  }

  /** Never sign with what an observed consumer lacks, unless the latest instant has come. */
  #checkActivation(
    journal: Journal,
    key: KeyId,
    observation: Observation | undefined,
    isForced: boolean,
  ): void {
    const slot = journal.slots.find(({ keyID }) => keyID === key);
    const active = slot === undefined ? undefined : activeSlot(journal, slot.kind);
    if (slot === undefined || active === undefined) throw new Violation("activates nothing");
    if (isForced) {
      const issuing = activeSlot(journal, "Issuing") ?? active;
      const isForeign = active.kind === "Root" && active.external === true;
      const limits = [instantOfLife(active, 3 / 4), ...(isForeign ? [instantOfLife(issuing, 5 / 8)] : [])];
      if (this.#now < Math.min(...limits)) throw new Violation("forced before 3/4 of the old life");
      if (slot.kind !== "Issuing" && this.#now < slot.since + this.policy.propagation) {
        throw new Violation("forced without its propagation time");
      }
      return;
    }
    const lacking = observation?.lacking.get(slot.issuerKeyID ?? slot.keyID);
    if (lacking?.length !== 0)
      throw new Violation("activated although a consumer lacks it, or nobody looked");
    const from = slot.kind === "Issuing" ? slot.since : slot.observedAt;
    if (from === undefined) throw new Violation("activated unobserved");
    const isPropagated = this.#now >= from + this.policy.propagation;
    if (!isPropagated && this.#now < active.notAfter)
      throw new Violation("activated before it could propagate");
  }

  /** Never drop a key that a live credential needs. */
  #checkCredentials(journal: Journal): void {
    const published = publishedIn(journal);
    for (const { anchor, signer, end } of this.#credentials) {
      if (end + 60 < this.#now) continue;
      if (!published.has(anchor))
        throw new Violation(`${anchor} was dropped while something it signed lives`);
      const slot = journal.slots.find(({ keyID }) => keyID === signer);
      if (slot === undefined || slot.signedUntil < end) throw new Violation("signedUntil went back");
    }
  }

  #slot(key: KeyId): Slot | undefined {
    return this.journal.slots.find(({ keyID }) => keyID === key);
  }
}

/** The sequence rises exactly when the content changes; epoch and revision never fall. */
function checkBundle(before: Journal, after: Journal): void {
  const isSame = sameSet(contentOf(before), contentOf(after));
  const rise = after.bundle.sequence - before.bundle.sequence;
  if (rise !== (isSame ? 0 : 1)) throw new Violation("the sequence does not follow the content");
  if (after.revision !== before.revision + 1) throw new Violation("the revision does not count the saves");
}

/** Nobody who was distrusted may vouch for a root, ever. */
function checkCrosses({ slots, distrusted = [] }: Journal): void {
  for (const { crossCertificate: cross } of slots) {
    if (distrusted.some(({ keyID }) => keyID === cross?.issuerKeyID))
      throw new Violation("a distrusted root still vouches for another");
  }
}

function publishedIn(journal: Journal): ReadonlySet<KeyId> {
  const kinds: readonly AuthorityKind[] = ["Root", "JWT"];
  return new Set(journal.slots.filter(({ kind }) => kinds.includes(kind)).map(({ keyID }) => keyID));
}

function contentOf(journal: Journal): ReadonlySet<string> {
  const shown = journal.slots.filter(({ kind }) => kind !== "Issuing");
  return new Set(shown.map(({ keyID, certificate }) => `${keyID} ${certificate ?? ""}`));
}

function sameSet(a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}
