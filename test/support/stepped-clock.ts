import { type Milliseconds, type Seconds, seconds } from "../../src/core/brand.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";

/** The system's clock, put forward and back by a test. */
export class SteppedClock implements Clock {
  #offset = 0;
  #woken = new AbortController();

  now(): Seconds {
    return seconds(systemClock.now() + this.#offset);
  }

  monotonic(): Milliseconds {
    return systemClock.monotonic();
  }

  async sleep(length: Milliseconds, signal: AbortSignal): Promise<void> {
    await systemClock.sleep(length, AbortSignal.any([signal, this.#woken.signal]));
  }

  /**
   * A step of the wall clock, in seconds. Timers know nothing of it; those that run end here, as they do
   * within a minute where an instant is waited for.
   */
  step(by: number): void {
    this.#offset += by;
    this.#woken.abort();
    this.#woken = new AbortController();
  }
}
