/**
 * Holds this machine's clock against the API server's, which says its time with each answer about the Lease. Who is ahead would
 * issue what is not yet valid for its peers, and write a time into the journal for which everything waits once the clock is
 * right again; who is behind would issue what has ended for them.
 */

import { type Milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW, type Clock, parseHttpDate, toRfc3339 } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";

/** As much as the back-dating of a credential makes good, and far more than two clocks that are set by anything differ. */
const MAX_DIFFERENCE = CLOCK_SKEW;

export interface ServerClockOptions {
  readonly clock: Clock;
  /** Told once when the clock is found to be wrong, and once (undefined) when it is right again. */
  readonly onChange: (fault: OperatorError | undefined) => void;
}

interface Noticed {
  /** Seconds; negative: this machine is behind. */
  readonly difference: number;
  readonly fault: OperatorError;
}

export class ServerClock {
  readonly #options: ServerClockOptions;
  #said: { readonly server: Seconds; readonly at: Milliseconds } | undefined;
  #noticed: Noticed | undefined;

  constructor(options: ServerClockOptions) {
    this.#options = options;
  }

  /** Takes the `Date` header of an answer that has just come. */
  heard(date: string | undefined): void {
    const server = parseHttpDate(date ?? "");
    if (server === undefined) return;
    this.#said = { server, at: this.#options.clock.monotonic() };
    this.fault();
  }

  /** CLOCK_SKEW (retryable) with both times while they are far apart; the same error as long as they stay so. */
  fault(): OperatorError | undefined {
    const { clock, onChange } = this.#options;
    const now = clock.now();
    const before = this.#noticed;
    this.#noticed = this.#compare(now);
    if ((before === undefined) !== (this.#noticed === undefined)) onChange(this.#noticed?.fault);
    return this.#noticed?.fault;
  }

  /** The machine's clock, whose `now` throws what `fault` gives. */
  guarded(): Clock {
    const { clock } = this.#options;
    return {
      now: () => {
        const fault = this.fault();
        if (fault !== undefined) throw fault;
        return clock.now();
      },
      monotonic: () => clock.monotonic(),
      sleep: (length, signal) => clock.sleep(length, signal),
    };
  }

  #compare(now: Seconds): Noticed | undefined {
    if (this.#said === undefined) return undefined;
    const { server, at } = this.#said;
    // No jump of the clock touches the monotonic one.
    const expected = seconds(server + Math.floor((this.#options.clock.monotonic() - at) / 1000));
    const difference = now - expected;
    if (Math.abs(difference) <= MAX_DIFFERENCE) return undefined;
    const known = this.#noticed;
    // Times in a message that is written to a status must not make it another one each second.
    if (known !== undefined && Math.abs(difference - known.difference) <= MAX_DIFFERENCE) return known;
    const message = `the clock of this machine said ${toRfc3339(now)} when that of the API server said ${toRfc3339(expected)}: set the one that is wrong`;
    return { difference, fault: new OperatorError("CLOCK_SKEW", message, { retryable: true }) };
  }
}
