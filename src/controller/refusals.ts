/**
 * Consumers that do not take what we write for them: who refuses it or changes it back, why, and since when without a break.
 * A rotation waits for them for a while, and then goes on without them: no tenant holds the mesh.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { type Clock, toRfc3339 } from "../core/clock.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { KeyId } from "../x509/keys.ts";

export interface Refusal {
  /** Completes "Secret shop/payments-tls: …". */
  readonly why: string;
  readonly since: Seconds;
  /** As `since`, but from the last time that it was seen current; absent: never. */
  readonly resumed?: Seconds | undefined;
  /** Until when that is known: when it was last met with, or held back for it. */
  readonly last: Seconds;
}

interface Known extends Refusal {
  /** It takes what is written, and it is changed back again and again: until then nothing is written. */
  readonly heldUntil?: Seconds;
  /** Seen current, and not otherwise since. */
  readonly calmSince?: Seconds;
}

const REVERTED = "changed or deleted by another writer again and again";
/** A rotation waits for a consumer that refuses for so many times the propagation. */
const PATIENCE = 3;
/**
 * Who refuses is tried at least every two minutes, and replicas are looked at as often while a rotation waits: a longer silence
 * is ours (asleep, cut off), and the time begins anew.
 */
const MAX_GAP = seconds(600);
const [MIN_RETRY, MAX_RETRY] = [5, 60];
/**
 * What was refused or changed back counts as taken after this long: several looks at the consumers. Who gives way for a moment,
 * between two looks, has refused all the time, as long as the propagation is no shorter than this.
 */
const CALM = seconds(120);
/** Those beyond hold a rotation to its end, like anyone who is merely slow. */
const MAX_KNOWN = 10_000;
/** Characters: an API server's message is as long as its policies make it. */
const MAX_WHY = 300;

export class Refusals {
  readonly #clock: Clock;
  /** By consumer, as an observer names it. */
  readonly #known = new Map<string, Known>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A consumer did not take what was to be written for it (or, a replica, does not show it). */
  note(consumer: string, why: string): void {
    this.#note(consumer, { why });
  }

  /** A consumer's content is changed back so often that it is not written before `heldUntil`. */
  noteRevert(consumer: string, heldUntil: Seconds): void {
    this.#note(consumer, { why: REVERTED, heldUntil });
  }

  /** A consumer holds what it should. That it has refused is over once this lasts. */
  clear(consumer: string): void {
    const known = this.#known.get(consumer);
    if (known === undefined || known.calmSince !== undefined) return;
    this.#known.set(consumer, { ...known, calmSince: this.#clock.now() });
  }

  /** Nothing is to be written for a consumer any more. */
  forget(consumer: string): void {
    this.#known.delete(consumer);
  }

  of(consumer: string): Refusal | undefined {
    const known = this.#known.get(consumer);
    if (known === undefined || this.#isOver(known)) return undefined;
    // What takes it at present is in nobody's way, unless others keep changing it.
    if (known.heldUntil === undefined && known.calmSince !== undefined) return undefined;
    const { why, since, resumed, last, heldUntil = last, calmSince = heldUntil } = known;
    const held = Math.min(this.#clock.now(), heldUntil, calmSince);
    return { why, since, resumed, last: seconds(Math.max(last, held)) };
  }

  /** Those that have refused for so long that nobody waits for them any more. */
  overdue(propagation: Seconds): readonly string[] {
    return [...this.#known.keys()].filter((consumer) => isOverdue(this.of(consumer), propagation));
  }

  /** How many refuse at present. */
  get size(): number {
    return [...this.#known.keys()].filter((consumer) => this.of(consumer) !== undefined).length;
  }

  #note(consumer: string, found: Pick<Known, "why" | "heldUntil">): void {
    const now = this.#clock.now();
    const known = this.#known.get(consumer);
    const before = known === undefined || this.#isOver(known) ? undefined : known;
    if (before === undefined && this.#known.size >= MAX_KNOWN) this.#prune();
    if (!this.#known.has(consumer) && this.#known.size >= MAX_KNOWN) return;
    const why = found.why.slice(0, MAX_WHY).toWellFormed();
    const isResumed = before?.calmSince !== undefined && before.heldUntil === undefined;
    const resumed = isResumed ? now : before?.resumed;
    this.#known.set(consumer, { ...found, why, since: before?.since ?? now, resumed, last: now });
  }

  #isOver({ calmSince, last }: Known): boolean {
    const now = this.#clock.now();
    return now < last || now > last + MAX_GAP || (calmSince !== undefined && now >= calmSince + CALM);
  }

  #prune(): void {
    for (const [consumer, known] of this.#known) if (this.#isOver(known)) this.#known.delete(consumer);
  }
}

/** As an observer names an object. */
export function consumerName({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace}/${name}`;
}

/** Undefined for a replica. */
function namespaceIn(consumer: string): string | undefined {
  return /^(?:ConfigMap|Secret) ([^/]+)\//.exec(consumer)?.[1];
}

/** How soon who refuses is tried again: nobody tells when what is in the way goes. */
export function retryRefusedAfter(propagation: Seconds): Seconds {
  return seconds(Math.min(MAX_RETRY, Math.max(MIN_RETRY, Math.floor(propagation / 2))));
}

/** `Secret shop/payments-tls (exceeded quota, since 2027-01-01T00:00:00Z)` */
export function withReason(consumer: string, refusal: Refusal | undefined): string {
  return refusal === undefined ? consumer : `${consumer} (${refusal.why}, since ${toRfc3339(refusal.since)})`;
}

export interface Patience {
  readonly refusalOf: (consumer: string) => Refusal | undefined;
  readonly propagation: Seconds;
  /** How many namespaces there are. */
  readonly namespaces: number;
}

/**
 * What was observed, without those that have refused for three times the propagation: they are named and not waited for. Unless
 * they are most of the mesh: then a policy of the cluster or our own rights are at fault, and to go on would break all of it.
 */
export function withoutRefusing(
  observation: Observation,
  { refusalOf, propagation, namespaces }: Patience,
): Observation {
  const isExcluded = (consumer: string): boolean => isOverdue(refusalOf(consumer), propagation);
  const excluded = new Set([...observation.lacking.values()].flatMap((names) => names.filter(isExcluded)));
  const places = new Set([...excluded].flatMap((consumer) => namespaceIn(consumer) ?? []));
  const isMost = excluded.size >= observation.consumers || places.size > Math.max(1, namespaces / 2);
  if (excluded.size === 0 || isMost) return observation;
  const lacking = [...observation.lacking].map(([keyID, names]): [KeyId, readonly string[]] => [
    keyID,
    names.filter((name) => !excluded.has(name)),
  ]);
  return {
    ...observation,
    lacking: new Map(lacking),
    excluded: [...excluded].map((name) => withReason(name, refusalOf(name))),
  };
}

/** As long as it is known to have been so. */
function isOverdue(refusal: Refusal | undefined, propagation: Seconds): boolean {
  if (refusal === undefined) return false;
  const { since, resumed = since } = refusal;
  const from = propagation < CALM ? resumed : since;
  return refusal.last - from >= PATIENCE * propagation;
}
