/**
 * Bounds how often a credential is issued again because someone else changed or deleted it.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";

/** So many repairs at once, then one per interval. */
const BURST = 5;
const INTERVAL = seconds(120);
/** Above this those that have not been repaired lately are dropped: identities come and go. */
const MAX_KNOWN = 1000;

export class RewriteGuard {
  readonly #clock: Clock;
  /** By uid and part: the instants of the last repairs, at most `BURST`. */
  readonly #repairs = new Map<string, readonly Seconds[]>();
  #limit = MAX_KNOWN;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one repair; undefined when it may go ahead, else the instant from which it may. */
  take(id: string): Seconds | undefined {
    const now = this.#clock.now();
    const recent = (this.#repairs.get(id) ?? []).filter((at) => at > now - BURST * INTERVAL && at <= now);
    const last = recent.at(-1);
    if (recent.length >= BURST && last !== undefined && now < last + INTERVAL)
      return seconds(last + INTERVAL);
    this.#repairs.set(id, [...recent, now].slice(-BURST));
    if (this.#repairs.size > this.#limit) this.#prune(now);
    return undefined;
  }

  get size(): number {
    return this.#repairs.size;
  }

  /** Whether it was repaired lately: it had been issued, even where nothing of it is left to be seen. */
  hasRepaired(id: string): boolean {
    const last = this.#repairs.get(id)?.at(-1);
    return last !== undefined && last > this.#clock.now() - BURST * INTERVAL;
  }

  #prune(now: Seconds): void {
    for (const [id, instants] of this.#repairs) {
      if ((instants.at(-1) ?? 0) <= now - BURST * INTERVAL) this.#repairs.delete(id);
    }
    this.#limit = Math.max(MAX_KNOWN, 2 * this.#repairs.size);
  }
}
