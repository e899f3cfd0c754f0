/**
 * Tells a repair from a first issuance, and bounds how often a credential is issued again because someone else changed or deleted it.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { ServiceIdentityStatus } from "../registration/service-identity.ts";

type Part = "x509" | "jwt";

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

  /**
   * Whether a part was issued before. Status tells what is there, and nothing of a Secret that was gone or garbage when it was
   * written; then the condition, or our own memory, still knows.
   */
  wasIssued(uid: string, part: Part, status: ServiceIdentityStatus | undefined): boolean {
    if (status?.[part] !== undefined || this.#hasRepaired(`${uid}/${part}`)) return true;
    const type = part === "x509" ? "X509Issued" : "JWTIssued";
    return status?.conditions?.some((one) => one.type === type && one.status === "True") === true;
  }

  /** Takes one repair of a part (`<uid>/x509`), or of anything else with an ID; undefined when it may go ahead, else the instant from which it may. */
  take(id: string): Seconds | undefined {
    const heldUntil = this.heldUntil(id);
    if (heldUntil === undefined) this.repaired(id);
    return heldUntil;
  }

  /** As `take`, for who takes it only once the repair is made. */
  heldUntil(id: string): Seconds | undefined {
    const now = this.#clock.now();
    const recent = this.#recent(id, now);
    const last = recent.at(-1);
    if (recent.length < BURST || last === undefined || now >= last + INTERVAL) return undefined;
    return seconds(last + INTERVAL);
  }

  repaired(id: string): void {
    const now = this.#clock.now();
    this.#repairs.set(id, [...this.#recent(id, now), now].slice(-BURST));
    if (this.#repairs.size > this.#limit) this.#prune(now);
  }

  #recent(id: string, now: Seconds): readonly Seconds[] {
    return (this.#repairs.get(id) ?? []).filter((at) => at > now - BURST * INTERVAL && at <= now);
  }

  get size(): number {
    return this.#repairs.size;
  }

  #hasRepaired(id: string): boolean {
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

/** The ID of a repair of public documents: the same ones belong into an object once, unless someone takes them out again. */
export function refreshID({ namespace, name }: ObjectRef, bundleHash: string | undefined): string {
  return `${namespace}/${name} ${bundleHash}`;
}
