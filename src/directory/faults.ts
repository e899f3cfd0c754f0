/**
 * What hinders an activity of the directory now: told once, and over when the activity succeeds.
 */

import { OperatorError } from "../core/errors.ts";
import type { SourceProblem } from "./documents.ts";

/** Does all that can be done of several things. @throws the first fault, once every one of them was tried. */
export async function tryEach<T>(things: Iterable<T>, run: (thing: T) => Promise<void>): Promise<void> {
  let first: OperatorError | undefined;
  for (const thing of things) {
    try {
      await run(thing);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
}

export class Faults {
  readonly #onProblem: (problem: SourceProblem) => void;
  readonly #current = new Map<string, SourceProblem>();

  constructor(onProblem: (problem: SourceProblem) => void) {
    this.#onProblem = onProblem;
  }

  get current(): readonly SourceProblem[] {
    return [...this.#current.values()];
  }

  /** Runs a round of `activity`; the caller's next round tries again what could not be done. */
  async attempt(activity: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
      this.#current.delete(activity);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      const fault = { file: ".", message: error.message };
      const isNew = this.#current.get(activity)?.message !== fault.message;
      this.#current.set(activity, fault);
      if (isNew) this.#onProblem(fault);
    }
  }
}
