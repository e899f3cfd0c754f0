/**
 * Turns for the generation of RSA keys, each of which takes seconds of a processor: a few at once, one for each namespace, and
 * namespaces in turn, so that nobody who wants many holds up the others.
 */

import { throwIfAborted } from "../core/clock.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";
import { namespaceOf } from "./work-queue.ts";

/** Half of the threads that the engine's asynchronous calls have. */
const AT_ONCE = 2;
/** Who waits holds a worker: so many namespaces at most, each with one, or nobody else would be served. */
const MAX_WAITING = 4;

export class KeyTurns {
  readonly #busy = new Set<string>();
  /** Those who wait, by namespace; the namespace whose turn is next comes first. As many as there are workers, at most. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Those who were sent away, by namespace; the one whose turn is next comes first. */
  readonly #sentAway = new Map<string, Set<IdentityKey>>();
  readonly #callBack: (key: IdentityKey) => void;

  /** `callBack`: someone who was sent away may come again. */
  constructor(callBack: (key: IdentityKey) => void) {
    this.#callBack = callBack;
  }

  /** Whether so many wait that `key` had better go; then it is called back. */
  sendsAway(key: IdentityKey): boolean {
    const namespace = namespaceOf(key);
    if (this.#busy.size < AT_ONCE && !this.#busy.has(namespace)) return false;
    if (!this.#waiting.has(namespace) && this.#waiting.size < MAX_WAITING) return false;
    const keys = this.#sentAway.get(namespace);
    if (keys === undefined) this.#sentAway.set(namespace, new Set([key]));
    else keys.add(key);
    return true;
  }

  /** Does `work` when its turn has come. @throws ABORTED when `signal` has aborted by then; what `work` throws. */
  async take<T>(namespace: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#busy.size < AT_ONCE && !this.#busy.has(namespace)) this.#busy.add(namespace);
    else await this.#turn(namespace);
    try {
      throwIfAborted(signal);
      return await work();
    } finally {
      this.#busy.delete(namespace);
      this.#next();
      this.#callSome();
    }
  }

  /** One of as many namespaces as may wait. */
  #callSome(): void {
    for (const [namespace, keys] of [...this.#sentAway].slice(0, MAX_WAITING)) {
      const [key] = keys;
      this.#sentAway.delete(namespace);
      if (key === undefined) continue;
      keys.delete(key);
      if (keys.size > 0) this.#sentAway.set(namespace, keys);
      this.#callBack(key);
    }
  }

  #turn(namespace: string): Promise<void> {
    return new Promise((resolve) => {
      const queue = this.#waiting.get(namespace);
      if (queue === undefined) this.#waiting.set(namespace, [resolve]);
      else queue.push(resolve);
    });
  }

  #next(): void {
    for (const [namespace, queue] of this.#waiting) {
      if (this.#busy.has(namespace)) continue;
      const begin = queue.shift();
      this.#waiting.delete(namespace);
      if (queue.length > 0) this.#waiting.set(namespace, queue);
      if (begin === undefined) continue;
      this.#busy.add(namespace);
      begin();
      return;
    }
  }
}
