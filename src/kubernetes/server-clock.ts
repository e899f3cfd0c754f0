/**
 * Holds this machine's clock against the API server's, which says its time with each renewal of the Lease. A clock that jumps
 * forward must write nothing into the journal: when it is right again, everything would wait until that time has come.
 */

import { type Milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { type Clock, parseHttpDate, toRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";

/** Far more than two clocks that are set by anything differ, and no longer than anyone minds waiting. */
const MAX_AHEAD = 300;

export class ServerClock {
  readonly #clock: Clock;
  #said: { readonly server: Seconds; readonly at: Milliseconds } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes the `Date` header of an answer that has just come. */
  heard(date: string | undefined): void {
    const server = parseHttpDate(date ?? "");
    if (server !== undefined) this.#said = { server, at: this.#clock.monotonic() };
  }

  /** The machine's clock, whose `now` throws CLOCK_SKEW (retryable) while it is far ahead. */
  guarded(): Clock {
    const clock = this.#clock;
    return {
      now: () => this.#now(),
      monotonic: () => clock.monotonic(),
      sleep: (length, signal) => clock.sleep(length, signal),
    };
  }

  #now(): Seconds {
    const now = this.#clock.now();
    if (this.#said === undefined) return now;
    const { server, at } = this.#said;
    // No jump of the clock touches the monotonic one.
    const expected = seconds(server + Math.floor((this.#clock.monotonic() - at) / 1000));
    if (now - expected <= MAX_AHEAD) return now;
    throw new OperatorError(
      "CLOCK_SKEW",
      `the clock says ${toRfc3339(now)}, and that of the API server ${toRfc3339(expected)}: set the one that is wrong`,
      { retryable: true },
    );
  }
}
