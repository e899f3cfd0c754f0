/**
 * Remembers what was deleted lately. The answer to a write of ours may arrive after the watch has told that the object is
 * gone: it must not bring it back.
 */

/** Far more than there are writes under way. */
const MAX = 4096;

export class Tombstones {
  readonly #versions = new Map<string, bigint>();

  /** `version`: at which it was known to be gone. */
  add(key: string, version: bigint): void {
    this.#versions.delete(key);
    this.#versions.set(key, version);
    if (this.#versions.size <= MAX) return;
    const [oldest] = this.#versions.keys();
    if (oldest !== undefined) this.#versions.delete(oldest);
  }

  /** Whether the state of `version` is one from before the deletion. */
  covers(key: string, version: bigint): boolean {
    const gone = this.#versions.get(key);
    return gone !== undefined && version <= gone;
  }
}
