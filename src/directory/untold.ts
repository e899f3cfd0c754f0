/**
 * The identities whose change is still to be told: of those that could not be taken up it is told again.
 */

import type { Changes } from "../controller/ports.ts";

export class Untold {
  readonly #keys = new Set<string>();

  add(keys: Iterable<string>): void {
    for (const key of keys) this.#keys.add(key);
  }

  /** @throws what `changes` throws: everything is to be told again. */
  async tell(changes: Pick<Changes, "identitiesChanged">): Promise<void> {
    const keys = [...this.#keys];
    if (keys.length === 0) return;
    this.#keys.clear();
    try {
      await changes.identitiesChanged(keys);
    } catch (error) {
      this.add(keys);
      throw error;
    }
  }
}
