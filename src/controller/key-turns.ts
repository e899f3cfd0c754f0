/**
 * Turns for the generation of RSA keys, each of which takes seconds of a processor: a few at once, one for each namespace, and
 * namespaces in turn, so that nobody who wants many holds up the others.
 */

/** Half of the threads that the engine's asynchronous calls have. */
const AT_ONCE = 2;

export class KeyTurns {
  readonly #busy = new Set<string>();
  /** Those who wait, by namespace; the namespace whose turn is next comes first. As many as there are workers, at most. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Does `work` when its turn has come. */
  async take<T>(namespace: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy.size < AT_ONCE && !this.#busy.has(namespace)) this.#busy.add(namespace);
    else await this.#turn(namespace);
    try {
      return await work();
    } finally {
      this.#busy.delete(namespace);
      this.#next();
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
