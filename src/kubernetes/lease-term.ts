/**
 * One term of leadership: from winning the Lease until it is lost or the work is done. It ends once and for all.
 */

import type { Milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import { type Reading, timeLeft } from "./fence.ts";

export interface LeaseTermOptions {
  readonly clock: Clock;
  readonly renewDeadline: Milliseconds;
  /** Read before the request that won the Lease was sent. */
  readonly since: Reading;
  readonly onClose: () => void;
}

export class LeaseTerm {
  readonly #options: LeaseTermOptions;
  readonly #ending = new AbortController();
  readonly #closing = new AbortController();
  #since: Reading;
  #isLost = false;

  constructor(options: LeaseTermOptions) {
    this.#options = options;
    this.#since = options.since;
  }

  /** For who works in this term: aborts when it is lost, and when the process stops. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** For who keeps the Lease: aborts when it is lost, and when the work is done. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  get isOpen(): boolean {
    return !this.closed.aborted;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Milliseconds; 0 or less: too late. */
  get left(): Milliseconds {
    return timeLeft(this.#options.clock, this.#since, this.#options.renewDeadline);
  }

  /** `at`: read before the renewal was sent. A term that is closed stays closed. */
  renewed(at: Reading): void {
    this.#since = at;
  }

  /** The process stops: the work is to end, under the Lease and the fence as before. */
  stop(): void {
    this.#ending.abort(new OperatorError("ABORTED", "stopping"));
  }

  /** Nothing may be written any more. */
  lose(): void {
    if (!this.isOpen) return;
    this.#isLost = true;
    this.finish();
  }

  finish(): void {
    if (!this.isOpen) return;
    this.#closing.abort();
    this.#options.onClose();
    this.#ending.abort(ended());
  }

  /** Loses the term when its time is up. */
  expire(): void {
    if (this.left <= 0) this.lose();
  }

  /** @throws ABORTED when nothing may be written any more. Looks at the clocks, not at timers, which may be late. */
  check(): void {
    this.expire();
    if (!this.isOpen) throw ended();
  }
}

function ended(): OperatorError {
  return new OperatorError("ABORTED", "this process no longer holds the lease");
}
