/**
 * Leader election on a Lease, with client-go's constants and meaning (tools/leaderelection) and a write fence
 * (docs/adr/0005-leader-election.md).
 */

import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { KubeClient, KubeRequest } from "./client.ts";
import { isStatus } from "./errors.ts";
import { type Reading, readClocks, timeLeft } from "./fence.ts";
import { changedLease, type LeaseRecord, microTime, newLease } from "./lease-record.ts";
import { LeaseTerm } from "./lease-term.ts";
import { LeaseView, type Sighting } from "./lease-view.ts";
import { FIELD_MANAGER, type KubeObject } from "./objects.ts";
import { collectionPath, LEASES, objectPath } from "./resources.ts";

export interface LeaderElectionTiming {
  /** How long the others wait after they saw the last renewal. Default 15 s. */
  readonly leaseDuration: Milliseconds;
  /** How long the leader goes on, and may write, after it sent its last successful renewal. Default 10 s. */
  readonly renewDeadline: Milliseconds;
  /** Between two renewals, and after a failed attempt. Default 2 s. */
  readonly retryPeriod: Milliseconds;
}

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Of this process and no other, not even of an earlier one in the same pod. */
  readonly identity: string;
  readonly timing?: LeaderElectionTiming;
  /** Called when either changes: the metric and the log line. */
  readonly onChange?: (state: LeadershipState) => void;
  /** Given the `Date` header of the answer to each reading and writing of the Lease. */
  readonly onDate?: (date: string | undefined) => void;
  /**
   * Whether this process could do a leader's work; asked when the Lease is free, right after `onDate`. One that could not
   * lets every other go first, and takes the Lease only when nobody wanted it, so that someone can say what is wrong.
   */
  readonly isFit?: () => boolean;
  /** Told what went wrong and will be tried again, and what `lead` rejected with. */
  readonly onError?: (error: unknown) => void;
}

export interface LeadershipState {
  readonly isLeader: boolean;
  /** The identity in the Lease; undefined: nobody's. */
  readonly holder: string | undefined;
}

export interface Term {
  /** Aborts when the Lease is lost and when the process stops. In the second case the work may still be finished. */
  readonly signal: AbortSignal;
  /** For `KubeRequest.fence`. @throws ABORTED (not retryable) once this process may no longer write. */
  readonly fence: () => void;
}

const TIMING: LeaderElectionTiming = {
  leaseDuration: milliseconds(15_000),
  renewDeadline: milliseconds(10_000),
  retryPeriod: milliseconds(2000),
};
/** A retry comes after the period and up to this many periods more. */
const JITTER = 1.2;
/** Who sees the Lease become free waits up to this part of a retry period, and mostly sees another take it meanwhile. */
const SPREAD = 0.2;
/** In retry periods: for all that giving up the Lease takes. */
const RELEASE_PERIODS = 1.5;

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #timing: LeaderElectionTiming;
  readonly #view: LeaseView;
  #term: LeaseTerm | undefined;
  /** On the monotonic clock; undefined: nothing seen yet. */
  #freeAt: number | undefined;
  /** On the monotonic clock: who is unfit waits until then; undefined: the Lease has not been free for it. */
  #yieldsUntil: number | undefined;
  /** Whether anything was ever sent that may have made us the holder. */
  #mayHold = false;
  #announced: LeadershipState = { isLeader: false, holder: undefined };

  /** @throws TypeError for times that do not fit each other. */
  constructor(options: LeaderElectionOptions) {
    const timing = options.timing ?? TIMING;
    if (timing.leaseDuration <= timing.renewDeadline || timing.renewDeadline <= JITTER * timing.retryPeriod)
      throw new TypeError("expected leaseDuration > renewDeadline > 1.2 × retryPeriod");
    if (options.identity === "") throw new TypeError("expected an identity");
    this.#options = options;
    this.#timing = timing;
    this.#view = new LeaseView({
      ...options,
      deadline: attemptDeadline(timing),
      retryPeriod: timing.retryPeriod,
      onChange: (seen) => this.#observe(seen),
      onError: (error) => options.onError?.(error),
    });
  }

  /**
   * Runs until `signal` aborts and never rejects. Whenever the Lease is won `lead` is called; nothing else is tried before it
   * settles. After a stop it settles under the Lease, which is then released. If it settles by itself, the Lease is
   * released and, a little later, competed for again.
   */
  async run(lead: (term: Term) => Promise<void>, signal: AbortSignal): Promise<void> {
    const watching = this.#view.run(signal);
    while (!signal.aborted) {
      const won = await this.#acquire(signal);
      if (won === undefined || signal.aborted) break;
      await this.#serve(lead, won, signal);
    }
    if (this.#mayHold) await this.#release();
    await watching;
  }

  /** When the request was sent that won the Lease; undefined: stopped. */
  async #acquire(signal: AbortSignal): Promise<Reading | undefined> {
    const { clock, random, onError } = this.#options;
    const { retryPeriod, renewDeadline } = this.#timing;
    let failures = 0;
    // The first list usually answers long before.
    if (this.#view.seen === undefined) await this.#view.wait(retryPeriod, signal);
    while (!signal.aborted) {
      const left = Math.max(this.#freeIn(), this.#yieldsFor());
      if (left > 0) {
        await this.#view.wait(left, signal);
        continue;
      }
      try {
        const at = await this.#tryToTake(signal);
        failures = 0;
        if (at !== undefined && timeLeft(clock, at, renewDeadline) > 0) return at;
      } catch (error) {
        if (signal.aborted) return undefined;
        // Another was faster.
        if (!isStatus(error, 409)) onError?.(error);
        failures = Math.min(failures + 1, 2);
        await this.#view.wait(retryPeriod * failures * (1 + JITTER * random.uniform()), signal);
      }
    }
    return undefined;
  }

  /** Undefined: it is not free after all. The watch may be silent, or this process was asleep; so it is read first. */
  async #tryToTake(signal: AbortSignal): Promise<Reading | undefined> {
    const known = this.#view.seen?.record;
    const { record } = await this.#view.refresh(signal);
    if (this.#freeIn() > 0) {
      if (record !== undefined && record.holder === known?.holder) this.#view.restart();
      return undefined;
    }
    if (await this.#yields(record)) return undefined;
    const at = readClocks(this.#options.clock);
    this.#mayHold = true;
    await this.#write(this.#held(record), { signal });
    return at;
  }

  /** Whether an unfit process leaves the free Lease to others; one that it still holds itself is given to them. */
  async #yields(record: LeaseRecord | undefined): Promise<boolean> {
    const { clock, identity, isFit } = this.#options;
    const isOver = this.#yieldsUntil !== undefined && this.#yieldsFor() <= 0;
    if (isFit?.() !== false || isOver) {
      this.#yieldsUntil = undefined;
      return false;
    }
    this.#yieldsUntil ??= clock.monotonic() + this.#timing.leaseDuration;
    if (record?.holder === identity) await this.#release();
    return true;
  }

  async #serve(lead: (term: Term) => Promise<void>, won: Reading, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const { renewDeadline, retryPeriod } = this.#timing;
    const onClose = (): void => this.#announce();
    const term = new LeaseTerm({ clock, renewDeadline, since: won, onClose });
    const stop = (): void => term.stop();
    signal.addEventListener("abort", stop, { once: true });
    this.#term = term;
    this.#announce();
    await Promise.all([this.#work(lead, term), this.#keep(term, won), this.#guard(term)]);
    signal.removeEventListener("abort", stop);
    this.#term = undefined;
    // `run` itself releases when the process stops.
    if (term.isLost || signal.aborted) return;
    await this.#release();
    await clock.sleep(milliseconds(retryPeriod * (1 + JITTER * random.uniform())), signal);
  }

  async #work(lead: (term: Term) => Promise<void>, term: LeaseTerm): Promise<void> {
    try {
      await lead({ signal: term.ending, fence: () => term.check() });
    } catch (error) {
      if (!term.ending.aborted || !isOperatorError(error, "ABORTED")) this.#options.onError?.(error);
    }
    term.finish();
  }

  /** Renews every retry period until the term is closed. */
  async #keep(term: LeaseTerm, won: Reading): Promise<void> {
    const { clock, onError } = this.#options;
    let next = won.monotonic + this.#timing.retryPeriod;
    while (term.isOpen) {
      const left = next - clock.monotonic();
      if (left > 0) {
        await this.#view.wait(left, term.closed);
        if (this.#view.seen?.record === undefined) next = clock.monotonic();
        continue;
      }
      const at = readClocks(clock);
      next = at.monotonic + this.#timing.retryPeriod;
      try {
        await this.#renew(term);
        term.renewed(at);
      } catch (error) {
        if (term.isOpen) onError?.(error);
      }
    }
  }

  async #renew(term: LeaseTerm): Promise<void> {
    const way = { signal: term.closed, fence: () => term.check() };
    try {
      await this.#write(this.#held(this.#view.seen?.record), way);
    } catch (error) {
      if (!isStatus(error, 409) && !isStatus(error, 404)) throw error;
      // Someone changed or deleted it. If it is another's now, reading it ends the term, and nothing more is sent.
      const { record } = await this.#view.refresh(term.closed);
      await this.#write(this.#held(record), way);
    }
  }

  /** Ends the term in time also while a renewal hangs. */
  async #guard(term: LeaseTerm): Promise<void> {
    while (term.isOpen) {
      term.expire();
      const left = milliseconds(Math.max(1, Math.ceil(term.left)));
      if (term.isOpen) await this.#options.clock.sleep(left, term.closed);
    }
  }

  /** Only what is ours; what cannot be released in time runs out by itself. */
  async #release(): Promise<void> {
    const { clock, identity, onError } = this.#options;
    const end = clock.monotonic() + this.#timing.retryPeriod * RELEASE_PERIODS;
    const left = (): Milliseconds => milliseconds(Math.max(1, end - clock.monotonic()));
    const { signal } = new AbortController();
    for (let attempt = 1; ; attempt++) {
      try {
        const { record } = await this.#view.refresh(signal, left());
        this.#mayHold = record?.holder === identity;
        if (record === undefined || !this.#mayHold) return;
        const now = this.#microTime();
        const free = { ...record, holder: "", durationSeconds: 1, acquireTime: now, renewTime: now };
        await this.#write(free, { signal, deadline: left() });
        this.#mayHold = false;
        return;
      } catch (error) {
        // A renewal that was under way may have come in between.
        if (isStatus(error, 409) && attempt === 1) continue;
        onError?.(error);
        return;
      }
    }
  }

  async #write(
    record: LeaseRecord,
    way: { readonly signal: AbortSignal } & Pick<KubeRequest, "fence" | "deadline">,
  ): Promise<void> {
    const { client, namespace, name, onDate } = this.#options;
    const { signal, ...rest } = way;
    const object = this.#view.seen?.object;
    const target =
      object === undefined
        ? {
            method: "POST" as const,
            path: collectionPath(LEASES, namespace),
            body: newLease({ namespace, name }, record),
          }
        : {
            method: "PUT" as const,
            path: objectPath(LEASES, { namespace, name }),
            body: changedLease(object, record),
          };
    const request: KubeRequest = {
      ...target,
      query: { fieldManager: FIELD_MANAGER },
      lane: "lease",
      deadline: attemptDeadline(this.#timing),
      ...rest,
    };
    const { body, date } = await client.request<KubeObject>(request, signal);
    onDate?.(date);
    this.#view.accept(body);
  }

  /** What to write to be, or to stay, the holder. */
  #held(current: LeaseRecord | undefined): LeaseRecord {
    const { identity } = this.#options;
    const renewTime = this.#microTime();
    const isOurs = current?.holder === identity;
    return {
      holder: identity,
      durationSeconds: Math.ceil(this.#timing.leaseDuration / 1000),
      acquireTime: (isOurs ? current.acquireTime : undefined) ?? renewTime,
      renewTime,
      transitions: current === undefined ? 0 : current.transitions + (isOurs ? 0 : 1),
    };
  }

  #microTime(): string {
    const { clock } = this.#options;
    return microTime(clock.now(), clock.monotonic());
  }

  /** A Lease ages from when its change was seen, and never by the times written in it. */
  #observe({ record }: Sighting): void {
    const { clock, random, identity } = this.#options;
    const { leaseDuration, retryPeriod } = this.#timing;
    const now = clock.monotonic();
    // All who watch see the same change at the same time; who has just come does not.
    const spread = this.#freeAt === undefined ? 0 : retryPeriod * SPREAD * random.uniform();
    if (record === undefined) {
      // Deleted by someone: that says nothing about the holder, who may be at work and puts it back.
      this.#freeAt = Math.max(this.#freeAt ?? now, now + spread);
    } else if (record.holder === identity) this.#freeAt = now;
    else if (record.holder === "") this.#freeAt = now + spread;
    else this.#freeAt = now + Math.max(leaseDuration, record.durationSeconds * 1000) + spread;
    if (record !== undefined && record.holder !== identity) {
      this.#term?.lose();
      if (record.holder !== "") this.#yieldsUntil = undefined;
    }
    this.#announce();
  }

  #freeIn(): number {
    return (this.#freeAt ?? 0) - this.#options.clock.monotonic();
  }

  #yieldsFor(): number {
    return (this.#yieldsUntil ?? 0) - this.#options.clock.monotonic();
  }

  #announce(): void {
    const holder = this.#view.seen?.record?.holder;
    const state = {
      isLeader: this.#term?.isOpen ?? false,
      holder: holder === "" ? undefined : holder,
    };
    if (state.isLeader === this.#announced.isLeader && state.holder === this.#announced.holder) return;
    this.#announced = state;
    this.#options.onChange?.(state);
  }
}

/** Two attempts fit before the leader must stop. */
function attemptDeadline({ renewDeadline }: LeaderElectionTiming): Milliseconds {
  return milliseconds(renewDeadline / 2);
}
