/**
 * What hinders an activity of the directory now: told once, and over when the activity succeeds.
 */

import { OperatorError } from "../core/errors.ts";
import type { SourceProblem } from "./documents.ts";

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
