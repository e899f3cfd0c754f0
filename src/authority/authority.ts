/**
 * The signing authority of the trust domain: its slots, its journal, and the keys that sign at present.
 *
 * Every change is saved by compare-and-swap before it takes effect, so that a crash at any point repeats safely and a
 * process that was replaced changes nothing any more. Private keys are in memory only for the slots that sign leaves and
 * tokens; the root's is read while it signs and dropped.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { isOperatorError, OperatorError, unreachable } from "../core/errors.ts";
import type { KeyId } from "../x509/keys.ts";
import { readAdditionalRoots } from "./additional-roots.ts";
import { type AuthorityState, type AuthorityView, requireClock, stateOf } from "./authority-state.ts";
import { requireSound } from "./journal-rules.ts";
import { findKey } from "./key-material.ts";
import { type MakeSlotsDeps, makeFresh, makePrepared } from "./make-slots.ts";
import { type AuthorityDeps, missing, openJournal } from "./opening.ts";
import { planRotation } from "./rotation.ts";
import type { Observation, Requests, RotationInput, RotationPlan } from "./rotation-plan.ts";
import type { ActivateStep, DistrustStep, JournalStep, PrepareStep, RotationStep } from "./rotation-step.ts";
import { Serial } from "./serial.ts";
import {
  type Grant,
  type IssuedJwtSvid,
  type IssuedX509Svid,
  type JwtSvidRequest,
  signToken,
  signX509,
  type X509SvidRequest,
} from "./signer.ts";
import { activeSlot, hasPrivateKey, type Journal } from "./slot.ts";
import { applyStep, raiseSignedUntil, republish } from "./transitions.ts";

export type { AuthorityView } from "./authority-state.ts";

/** What `Authority.step` did, and what it left undone. */
export interface RotationOutcome extends Omit<RotationPlan, "steps"> {
  /** Saved in the journal, in this order. */
  readonly taken: readonly JournalStep[];
}

interface Raise {
  end: Seconds;
  done: Promise<unknown>;
}

type Asked = Pick<RotationInput, "observation" | "requests" | "distrusted">;

type Transition = (journal: Journal) => Journal | undefined;

/** More than any cascade of steps has. */
const MAX_ROUNDS = 12;
const MAX_ATTEMPTS = 5;
const NOTHING: ReadonlySet<string> = new Set();

export class Authority {
  readonly #deps: AuthorityDeps;
  readonly #saves = new Serial();
  readonly #steps = new Serial();
  /** Keys that no slot may need any more; swept when the journal is known to be current. */
  readonly #leftovers = new Set<KeyId>();
  /** The raise of `signedUntil` that is under way, by slot. */
  readonly #raises = new Map<KeyId, Raise>();
  #state: AuthorityState | undefined;

  constructor(deps: AuthorityDeps) {
    this.#deps = deps;
  }

  /**
   * Takes the journal over, or writes the first one of a new trust domain. May be called again after a failure.
   * @throws as `openJournal`.
   */
  async open(): Promise<void> {
    const journal = await openJournal(this.#deps);
    const state = await stateOf(journal, this.#deps);
    for (const keyID of await this.#deps.keyStore.list()) {
      if (!needsKey(journal, keyID)) await this.#deps.keyStore.delete(keyID);
    }
    this.#state = state;
  }

  /** Whether there is a view. Signing can fail all the same: an expired key, a wrong clock. */
  isReady(): boolean {
    return this.#state !== undefined;
  }

  /** The slots and published documents as of the last save. @throws AUTHORITY_NOT_READY before `open` and after `close`. */
  view(): AuthorityView {
    return this.#current().view;
  }

  /** @throws AUTHORITY_NOT_READY, CLOCK_SKEW (retryable), SIGNING_FAILED, STORAGE_FAILED. */
  async signX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid> {
    const { state, grant } = await this.#allow("x509", request.ttl);
    const { policy, random } = this.#deps;
    const crossCertificate = policy().crossSignRoots === true ? state.x509.crossCertificate : undefined;
    return signX509({ ...state.x509, crossCertificate }, request, grant, random);
  }

  /** @throws AUTHORITY_NOT_READY, CLOCK_SKEW (retryable), SIGNING_FAILED, STORAGE_FAILED. */
  async signJwtSvid(request: JwtSvidRequest): Promise<IssuedJwtSvid> {
    const { state, grant } = await this.#allow("jwt", request.ttl);
    const { trustDomain, issuer } = state.view;
    return signToken(state.jwt, request, grant, { trustDomain, issuer, random: this.#deps.random });
  }

  /**
   * Takes all rotation steps that are due. When `observe` comes back with keys, look at the consumers for them and call
   * again. A failure is thrown only by a call that has taken no step; otherwise the next call, due at `wakeAt`, meets it.
   * @throws SIGNING_FAILED, STORAGE_FAILED, CONFLICT, AUTHORITY_NOT_READY.
   */
  step(
    observation: Observation | undefined,
    requests: Requests,
    distrusted: ReadonlySet<string> = NOTHING,
  ): Promise<RotationOutcome> {
    return this.#steps.run(() => this.#takeSteps({ observation, requests, distrusted }));
  }

  /**
   * Publishes `additionalRoots` (PEM, or empty) beside our own roots, and the policy's refresh hint. Whether anything changed.
   * @throws INVALID_INPUT naming spec.bundle.additionalRoots; STORAGE_FAILED, CONFLICT, AUTHORITY_NOT_READY.
   */
  async rebundle(additionalRoots: string): Promise<boolean> {
    const publication = {
      refreshHint: this.#deps.policy().refreshHint,
      additionalRoots: readAdditionalRoots(additionalRoots),
    };
    return this.#change((journal) => republish(journal, publication, this.#deps.clock.now()));
  }

  /**
   * Whether the journal is still as this process saved it last; to be called where it is said to be gone.
   * @throws JOURNAL_MISSING, AUTHORITY_NOT_READY where it is not.
   */
  confirm(): Promise<void> {
    return this.#saves.run(async () => {
      const state = this.#current();
      if (!isSame(state.journal, await this.#deps.journalStore.read())) await this.#reload(state);
    });
  }

  /** Drops the keys. What is being signed ends as it would have. */
  async close(): Promise<void> {
    this.#state = undefined;
    await this.#steps.run(() => this.#saves.run(async () => {}));
  }

  #current(): AuthorityState {
    if (this.#state !== undefined) return this.#state;
    throw new OperatorError("AUTHORITY_NOT_READY", "the authority is not open", { retryable: true });
  }

  /** Until what is to be signed now may end, with the journal saved accordingly. */
  async #allow(
    signer: "x509" | "jwt",
    ttl: Seconds,
  ): Promise<{ readonly state: AuthorityState; readonly grant: Grant }> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const state = this.#current();
      const { slot } = state[signer];
      const now = this.#deps.clock.now();
      requireClock(state, slot, now);
      const end = seconds(Math.min(now + ttl, slot.notAfter));
      if (end <= slot.signedUntil) return { state, grant: { now, end } };
      await this.#raiseTo(slot.keyID, end);
    }
    throw new OperatorError("CONFLICT", "raising signedUntil: the active key keeps changing", {
      retryable: true,
    });
  }

  /** One save serves all who ask before it is made; each looks afterwards whether it was enough. */
  #raiseTo(keyID: KeyId, end: Seconds): Promise<unknown> {
    const known = this.#raises.get(keyID);
    if (known !== undefined) {
      known.end = seconds(Math.max(known.end, end));
      return known.done;
    }
    const raise: Raise = { end, done: Promise.resolve() };
    raise.done = this.#change((journal) =>
      raiseSignedUntil(journal, { keyID, end: raise.end }, this.#deps.clock.now()),
    ).finally(() => this.#raises.delete(keyID));
    this.#raises.set(keyID, raise);
    return raise.done;
  }

  /**
   * Saves what `transition` makes of the journal, then lets it take effect. False: there was nothing to change.
   */
  #change(transition: Transition): Promise<boolean> {
    return this.#saves.run(async () => {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const state = this.#current();
        const journal = transition(state.journal);
        if (journal === undefined) return false;
        requireSound(journal);
        const following = await stateOf(journal, this.#deps, state);
        try {
          await this.#deps.journalStore.save(journal, state.journal.revision);
        } catch (error) {
          if (!isOperatorError(error, "CONFLICT")) throw error;
          await this.#reload(state);
          continue;
        }
        this.#adopt(state, following);
        return true;
      }
      throw new OperatorError("CONFLICT", "saving the journal: another process keeps changing it", {
        retryable: true,
      });
    });
  }

  /** After a conflict: an earlier save of ours arrived although it seemed to fail, or another process took over. */
  async #reload(state: AuthorityState): Promise<void> {
    const stored = await this.#deps.journalStore.read();
    if (stored?.epoch === state.journal.epoch) {
      return this.#adopt(state, await stateOf(stored, this.#deps, state));
    }
    this.#state = undefined;
    this.#deps.onLost?.();
    if (stored === undefined) throw missing(this.#deps);
    throw new OperatorError(
      "AUTHORITY_NOT_READY",
      `another process has taken the journal over (epoch ${stored.epoch}, ours was ${state.journal.epoch})`,
      { details: { epoch: stored.epoch } },
    );
  }

  /** Closed in the meantime: stays closed. */
  #adopt(before: AuthorityState, after: AuthorityState): void {
    if (this.#state === before) this.#state = after;
  }

  async #takeSteps(asked: Asked): Promise<RotationOutcome> {
    const taken: JournalStep[] = [];
    for (let round = 1; ; round++) {
      const { journal } = this.#current();
      const { policy, clock } = this.#deps;
      const now = clock.now();
      const { steps, ...plan } = planRotation({ ...asked, journal, now, policy: policy() });
      try {
        if (steps.length === 0 || round > MAX_ROUNDS) {
          await this.#sweep();
          return { taken, ...plan };
        }
        for (const step of steps) taken.push(...(await this.#take(step)));
      } catch (error) {
        if (taken.length === 0) throw error;
        return { taken, ...plan, wakeAt: seconds(now + 1) };
      }
    }
  }

  /** The step as it was saved; nothing when it does not apply any more. */
  async #take(step: RotationStep): Promise<readonly JournalStep[]> {
    switch (step.step) {
      case "Prepare":
        return this.#prepare(step);
      case "Activate":
        return this.#activate(step);
      case "Discard":
      case "Remove":
        this.#leftovers.add(step.keyID);
        return this.#save(step);
      case "Distrust":
        return this.#distrust(step);
      case "Observe":
      case "Honour":
      case "Recertify":
        return this.#save(step);
      default:
        return unreachable(step);
    }
  }

  async #save(step: JournalStep): Promise<readonly JournalStep[]> {
    const isSaved = await this.#change((journal) => applyStep(journal, step, this.#deps.clock.now()));
    return isSaved ? [step] : [];
  }

  async #prepare(step: PrepareStep): Promise<readonly JournalStep[]> {
    return this.#save(await makePrepared(step, this.#current().journal.slots, this.#making()));
  }

  async #distrust(step: DistrustStep): Promise<readonly JournalStep[]> {
    const { slots } = this.#current().journal;
    const replacements = await makeFresh(step.replacements, slots, this.#making());
    const saved = await this.#save({ ...step, replacements });
    for (const { keyID } of slots) this.#leftovers.add(keyID);
    return saved;
  }

  #making(): MakeSlotsDeps {
    return { ...this.#deps, onKey: (keyID) => this.#leftovers.add(keyID) };
  }

  /** Without its key a slot could not sign: it is given up before its predecessor is. */
  async #activate(step: ActivateStep): Promise<readonly JournalStep[]> {
    const { slots } = this.#current().journal;
    const slot = slots.find(({ keyID }) => keyID === step.keyID);
    if (slot === undefined) return [];
    if (hasPrivateKey(slot) && (await findKey(this.#deps.keyStore, slot)) === undefined) {
      return this.#save({ step: "Discard", kind: slot.kind, keyID: slot.keyID, reason: "KeyMissing" });
    }
    const predecessor = activeSlot(this.#current().journal, slot.kind);
    const saved = await this.#save(step);
    if (predecessor !== undefined) this.#leftovers.add(predecessor.keyID);
    return saved;
  }

  /**
   * Deletes keys that sign no more. What fails here is tried again by the next call and by the next `open`, and only a
   * journal as it is stored can tell what is needed.
   */
  #sweep(): Promise<void> {
    return this.#saves.run(async () => {
      if (this.#leftovers.size === 0) return;
      const state = this.#current();
      const stored = await this.#deps.journalStore.read();
      if (stored === undefined || !isSame(state.journal, stored)) return this.#reload(state);
      for (const keyID of this.#leftovers) {
        if (!needsKey(stored, keyID)) await this.#deps.keyStore.delete(keyID);
        this.#leftovers.delete(keyID);
      }
    });
  }
}

function isSame({ epoch, revision }: Journal, stored: Journal | undefined): boolean {
  return stored?.epoch === epoch && stored.revision === revision;
}

/** Retired slots sign nothing: their keys are of use to a thief only. */
function needsKey(journal: Journal, keyID: KeyId): boolean {
  return journal.slots.some((slot) => slot.keyID === keyID && slot.state !== "Retired");
}
