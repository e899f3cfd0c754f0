/**
 * The authority's own loop: takes the rotation steps that are due, has consumers looked at where a step waits for them,
 * publishes, and reports in the TrustDomain's status.
 */

import type { RotationOutcome } from "../authority/authority.ts";
import type { Observation } from "../authority/rotation-plan.ts";
import type { JournalStep } from "../authority/rotation-step.ts";
import type { AuthorityKind, Slot } from "../authority/slot.ts";
import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { sleepUntil } from "../core/clock.ts";
import type { CertificatePem } from "../x509/pem.ts";
import type { ObservedState, Observer, RotationRequests } from "./ports.ts";
import { withoutRefusing } from "./refusals.ts";
import { TrustDomainReporter, type TrustDomainReporterDeps } from "./trust-domain-reporter.ts";
import { isForPerson } from "./trust-domain-status.ts";

export interface AuthorityReconcilerDeps extends TrustDomainReporterDeps {
  readonly observed: ObservedState;
  readonly observer: Observer;
  readonly requests: RotationRequests;
  /** Called when the published documents changed: every consumer has to be brought up to date. */
  readonly onPublished: () => void;
  readonly onStep: (taken: { readonly step: JournalStep; readonly keyID: string | undefined }) => void;
  /** The issuing certificate that someone else's CA has made, where there is one. */
  readonly brought: {
    refresh(signal: AbortSignal): Promise<void>;
    readonly otherRoots: readonly CertificatePem[] | undefined;
  };
  /** Called at the end of each round: what was asked for may be done. */
  readonly onRound: () => void;
  readonly onError: (error: unknown) => void;
}

/** While consumers lag, they are looked at again after a tenth of the propagation, within these bounds. */
const LOOK_AGAIN = { min: 1, max: 30 } as const;
const RETRY = seconds(5);
/** Each bundle that is written wakes the loop, and each round may write the status: many bundles are one round. */
const REST = milliseconds(250);

export class AuthorityReconciler {
  readonly #deps: AuthorityReconcilerDeps;
  readonly #reporter: TrustDomainReporter;
  #publishedHash = "";
  #publishedSequence = -1;
  #wake: (() => void) | undefined;
  #isWoken = false;

  constructor(deps: AuthorityReconcilerDeps) {
    this.#deps = deps;
    this.#reporter = new TrustDomainReporter(deps);
  }

  /** By kind, since when the next key is there and waits for consumers or for time. */
  get waitingSince(): ReadonlyMap<AuthorityKind, Seconds> {
    return this.#reporter.waitingSince;
  }

  /** Has the loop look at once: a request, a changed TrustDomain, a bundle that reached a namespace. */
  wake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /** Returns when the authority is open, or when what stands in the way is for a person to mend. */
  async open(signal: AbortSignal, working: AbortSignal): Promise<void> {
    const { authority, clock, onError } = this.#deps;
    while (!signal.aborted && !authority.isReady()) {
      try {
        await this.#deps.brought.refresh(working);
        await this.#open(working);
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        if (isForPerson(error)) return;
        await clock.sleep(milliseconds(RETRY * 1000), signal);
      }
    }
  }

  /** Until `signal` aborts; a round that is under way then is finished, as long as `working` lets it. */
  async run(signal: AbortSignal, working: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#isWoken = false;
      const wakeAt = await this.#tick(working);
      await this.#deps.clock.sleep(REST, signal);
      await this.#sleepUntil(wakeAt, signal);
    }
  }

  /** One round, whatever is due; the instant of the next. Failures are reported and tried again. */
  async #tick(signal: AbortSignal): Promise<Seconds> {
    const { authority, clock, onError } = this.#deps;
    try {
      return await this.reconcile(signal);
    } catch (error) {
      if (!signal.aborted) onError(error);
      // An authority that is open and can save nothing, or misses a key, goes on for a while and needs a person all the same.
      if (!signal.aborted && authority.isReady())
        await this.#reporter.reportFault(error, signal).catch(onError);
      return seconds(clock.now() + RETRY);
    }
  }

  /** @throws as `Authority.step`, and what the status writer throws. */
  async reconcile(signal: AbortSignal): Promise<Seconds> {
    const { authority, clock, policy, brought } = this.#deps;
    await brought.refresh(signal);
    if (!authority.isReady()) await this.#open(signal);
    const { otherRoots } = brought;
    // Until they are known those that are published stay.
    if (otherRoots !== undefined)
      await authority.rebundle([...policy().bundle.additionalRoots, ...otherRoots].join(""));
    let outcome = await this.#step(undefined);
    let seen: Observation | undefined;
    if (outcome.observe.length > 0) {
      const wanted = new Set<string>(outcome.observe);
      seen = await this.#look(({ keyID }) => wanted.has(keyID));
      outcome = await this.#step(seen);
    }
    this.#announce();
    const excluded = seen?.excluded ?? (await this.#leftBehind());
    const progressAt = await this.#reporter.report(outcome, excluded, signal);
    this.#deps.onRound();
    const isWaiting = excluded.length > 0 || outcome.waiting.some((one) => one.for === "consumers");
    const lookAt = seconds(clock.now() + clamp(Math.floor(policy().rotation.propagation / 10), LOOK_AGAIN));
    const instants = [outcome.wakeAt, progressAt, isWaiting ? lookAt : undefined];
    return seconds(Math.min(...instants.filter((instant) => instant !== undefined)));
  }

  /** Takes the journal over; what stands in the way is for a person to read in the TrustDomain. */
  async #open(signal: AbortSignal): Promise<void> {
    const { authority, onError } = this.#deps;
    await this.#reporter.reportBootstrapping(signal).catch(onError);
    try {
      await authority.open();
    } catch (error) {
      await this.#reporter.reportFault(error, signal);
      throw error;
    }
    this.#publishedSequence = -1;
  }

  async #step(observation: Observation | undefined): Promise<RotationOutcome> {
    const { authority, requests, onStep } = this.#deps;
    const outcome = await authority.step(observation, requests.pending(), requests.distrusted());
    for (const step of outcome.taken) {
      const keyID = "keyID" in step ? step.keyID : "made" in step ? step.made.keyID : undefined;
      onStep({ step, keyID });
    }
    // Consumers are told before they are looked at.
    if (outcome.taken.length > 0) this.#announce();
    // A root that left the bundle long ago may vouch in chains still, and no document tells of that.
    if (outcome.taken.some(({ step }) => step === "Distrust")) this.#deps.onPublished();
    return outcome;
  }

  async #look(isWanted: (slot: Slot) => boolean): Promise<Observation> {
    const { authority, observer, refusals, policy, desired } = this.#deps;
    const seen = await observer.look(authority.view().slots.filter(isWanted));
    return withoutRefusing(seen, {
      refusalOf: (consumer) => refusals.of(consumer),
      propagation: policy().rotation.propagation,
      namespaces: desired.bundleNamespaces().length,
    });
  }

  /** Those that lack a key which is in use already: the rotation that went on without them is still under way. */
  async #leftBehind(): Promise<readonly string[]> {
    const { authority, refusals, policy } = this.#deps;
    const isUnderWay = authority.view().slots.some(({ state }) => state !== "Active");
    if (!isUnderWay || refusals.overdue(policy().rotation.propagation).length === 0) return [];
    const { excluded = [] } = await this.#look(({ kind, state }) => kind !== "Issuing" && state === "Active");
    return excluded;
  }

  #announce(): void {
    const { bundleHash, sequence } = this.#deps.authority.view();
    if (bundleHash === this.#publishedHash && sequence === this.#publishedSequence) return;
    this.#publishedHash = bundleHash;
    this.#publishedSequence = sequence;
    this.#deps.onPublished();
  }

  async #sleepUntil(at: Seconds, signal: AbortSignal): Promise<void> {
    if (this.#isWoken) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleepUntil(this.#deps.clock, at, AbortSignal.any([signal, woken.signal]));
    this.#wake = undefined;
  }
}

function clamp(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, value));
}
