/**
 * The work queue: keys, never events. A key is worked on by one worker at a time; a key that is added meanwhile is
 * worked on once more. Fair over namespaces, and within one the soonest deadline first.
 */

import TinyQueue from "tinyqueue";
import { type BackoffPolicy, backoff } from "../core/backoff.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { type Clock, sleepUntil } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** `Urgent`: a first issuance or a credential about to expire; all urgent keys go before all routine ones. */
export type Urgency = "Urgent" | "Routine";

export interface Priority {
  readonly urgency: Urgency;
  /** When what the key stands for stops being valid; the sooner, the earlier it is taken. */
  readonly deadline: Seconds;
}

/** What a queue tells as it works: its metrics. */
export interface QueueObserver {
  /** `key` became ready (again). */
  added(key: string): void;
  /** A worker took `key`. */
  taken(key: string): void;
  /** The worker gave `key` back. */
  done(key: string): void;
  /** `key` was put off because of a failure. */
  retried(key: string): void;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Keys of one namespace in work at the same time, at most: no tenant takes every worker. */
  readonly maxInFlightPerNamespace: number;
  readonly backoff: BackoffPolicy;
  /** Asked when a key is taken up for waiting, so that it need not travel with the key. */
  readonly priorityOf: (key: string) => Priority;
  readonly observer?: QueueObserver | undefined;
}

interface Waiting extends Priority {
  readonly key: string;
}

interface Delayed {
  readonly key: string;
  readonly at: Seconds;
}

/** Whoever puts a key off wakes the loop. */
const IDLE: Seconds = seconds(3600);
/** So many entries of no use are not worth the trouble. */
const MAX_STALE = 1000;

/** `shop/payments` → `shop`; a key without a slash is its own namespace. */
export function namespaceOf(key: string): string {
  const slash = key.indexOf("/");
  return slash < 0 ? key : key.slice(0, slash);
}

/** One urgency's keys: a round of namespaces, each with its keys by deadline. */
class Lane {
  readonly #byNamespace = new Map<string, TinyQueue<Waiting>>();

  push(item: Waiting): void {
    const namespace = namespaceOf(item.key);
    let heap = this.#byNamespace.get(namespace);
    if (heap === undefined) {
      heap = new TinyQueue<Waiting>([], (a, b) => a.deadline - b.deadline || (a.key < b.key ? -1 : 1));
      this.#byNamespace.set(namespace, heap);
    }
    heap.push(item);
  }

  /** The next key of the next namespace of the round that `mayRun`. */
  pop(mayRun: (namespace: string) => boolean, isCurrent: (item: Waiting) => boolean): Waiting | undefined {
    for (const [namespace, heap] of this.#byNamespace) {
      while (heap.length > 0 && !isCurrent(heap.peek() as Waiting)) heap.pop();
      if (heap.length === 0) {
        this.#byNamespace.delete(namespace);
        continue;
      }
      if (!mayRun(namespace)) continue;
      const item = heap.pop();
      this.#byNamespace.delete(namespace);
      if (heap.length > 0) this.#byNamespace.set(namespace, heap);
      return item;
    }
    return undefined;
  }
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #lanes: Readonly<Record<Urgency, Lane>> = { Urgent: new Lane(), Routine: new Lane() };
  readonly #waiting = new Map<string, Waiting>();
  readonly #inFlight = new Set<string>();
  readonly #inFlightByNamespace = new Map<string, number>();
  readonly #dirty = new Set<string>();
  #delayed = delayedQueue([]);
  readonly #dueAt = new Map<string, Seconds>();
  readonly #failures = new Map<string, number>();
  readonly #takers = new Set<() => void>();
  #wakeTimer: (() => void) | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Entries for keys whose time is to come, those that are of no use any more included. */
  get delayed(): number {
    return this.#delayed.length;
  }

  /** Keys ready to be taken (delayed ones not counted). */
  get depth(): number {
    return this.#waiting.size;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Whether nothing is ready and nothing in work. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#inFlight.size === 0;
  }

  /** Makes `key` ready now; a key that is ready already keeps the better of the two priorities. */
  add(key: string): void {
    this.#dueAt.delete(key);
    if (this.#inFlight.has(key)) {
      this.#dirty.add(key);
      return;
    }
    const item: Waiting = { key, ...this.#options.priorityOf(key) };
    const known = this.#waiting.get(key);
    if (known !== undefined && !precedes(item, known)) return;
    this.#waiting.set(key, item);
    this.#lanes[item.urgency].push(item);
    this.#options.observer?.added(key);
    this.#wake();
  }

  /** Makes `key` ready at an instant; the earliest of several instants counts. */
  addAt(key: string, at: Seconds): void {
    const known = this.#dueAt.get(key);
    if (known !== undefined && known <= at) return;
    this.#dueAt.set(key, at);
    const head = this.#delayed.peek();
    this.#delayed.push({ key, at });
    // What has been put off anew leaves an entry behind until its time comes, which may be in months.
    if (this.#delayed.length > 2 * this.#dueAt.size + MAX_STALE)
      this.#delayed = delayedQueue([...this.#dueAt].map(([one, due]) => ({ key: one, at: due })));
    if (head === undefined || at < head.at) this.#wakeTimer?.();
  }

  /** Makes keys ready in their order, so many in each second from now on. */
  addSpread(keys: Iterable<string>, perSecond: number): void {
    const now = this.#options.clock.now();
    let count = 0;
    for (const key of keys) {
      const delay = Math.floor(count++ / perSecond);
      if (delay === 0) this.add(key);
      else this.addAt(key, (now + delay) as Seconds);
    }
  }

  /** Makes `key` ready after a back-off that grows with each failure since the last `forget`. */
  addRateLimited(key: string): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.#options.observer?.retried(key);
    const delay = backoff(failures, this.#options.backoff, this.#options.random);
    this.addAt(key, (this.#options.clock.now() + Math.max(1, Math.ceil(delay / 1000))) as Seconds);
  }

  /** Ends the back-off of a key that succeeded or is gone. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key to work on; undefined once `signal` aborts. Every key taken must be given back with `done`. */
  async take(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      const item = this.#pop();
      if (item !== undefined) {
        this.#begin(item.key);
        this.#options.observer?.taken(item.key);
        return item.key;
      }
      await this.#woken(signal);
    }
    return undefined;
  }

  done(key: string): void {
    this.#inFlight.delete(key);
    this.#options.observer?.done(key);
    const namespace = namespaceOf(key);
    const left = (this.#inFlightByNamespace.get(namespace) ?? 1) - 1;
    if (left > 0) this.#inFlightByNamespace.set(namespace, left);
    else this.#inFlightByNamespace.delete(namespace);
    if (this.#dirty.delete(key)) this.add(key);
    this.#wake();
  }

  /** Moves delayed keys to the ready ones when their time has come, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = this.#promoteDue();
      const woken = new AbortController();
      this.#wakeTimer = () => woken.abort();
      await sleepUntil(this.#options.clock, next, AbortSignal.any([signal, woken.signal]));
    }
    this.#wakeTimer = undefined;
  }

  /** When the next key is due. */
  #promoteDue(): Seconds {
    const now = this.#options.clock.now();
    for (let next = this.#delayed.peek(); next !== undefined; next = this.#delayed.peek()) {
      const isCurrent = this.#dueAt.get(next.key) === next.at;
      if (isCurrent && next.at > now) return next.at;
      this.#delayed.pop();
      if (isCurrent) this.add(next.key);
    }
    return seconds(now + IDLE);
  }

  #pop(): Waiting | undefined {
    const mayRun = (namespace: string): boolean =>
      (this.#inFlightByNamespace.get(namespace) ?? 0) < this.#options.maxInFlightPerNamespace;
    const isCurrent = (item: Waiting): boolean => this.#waiting.get(item.key) === item;
    return this.#lanes.Urgent.pop(mayRun, isCurrent) ?? this.#lanes.Routine.pop(mayRun, isCurrent);
  }

  #begin(key: string): void {
    this.#waiting.delete(key);
    this.#inFlight.add(key);
    const namespace = namespaceOf(key);
    this.#inFlightByNamespace.set(namespace, (this.#inFlightByNamespace.get(namespace) ?? 0) + 1);
  }

  #wake(): void {
    for (const taker of this.#takers) taker();
  }

  #woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#takers.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#takers.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

function delayedQueue(items: Delayed[]): TinyQueue<Delayed> {
  return new TinyQueue<Delayed>(items, (a, b) => a.at - b.at);
}

function precedes(a: Priority, b: Priority): boolean {
  if (a.urgency !== b.urgency) return a.urgency === "Urgent";
  return a.deadline < b.deadline;
}
