/**
 * Tasks one after the other, in the order in which they were asked for.
 */

export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** The outcome of `task`, which starts when all earlier ones have ended, however they ended. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const outcome = this.#last.then(task, task);
    // Whoever asked gets the failure through `outcome`; the next task does not care.
    this.#last = outcome.then(ignore, ignore);
    return outcome;
  }
}

function ignore(): void {}
