/**
 * Notices that something below the identities directory was touched. Watchers are hints: whoever waits here looks again after
 * a while in any case.
 */

import { type FSWatcher, statSync, watch } from "node:fs";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";

/** Editors write in several steps: they are taken as one. */
const DEBOUNCE = milliseconds(100);

export class SourceWatcher {
  readonly #clock: Clock;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: number | undefined }>();
  #isTouched = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Watches these directories and no others. */
  watch(directories: readonly string[]): void {
    const wanted = new Set(directories);
    for (const [path, { watcher, inode }] of this.#watchers) {
      // A watcher stays with its directory when another one takes the path.
      if (wanted.has(path) && inode === inodeOf(path)) continue;
      watcher.close();
      this.#watchers.delete(path);
    }
    for (const path of wanted) if (!this.#watchers.has(path)) this.#add(path);
  }

  /** Returns soon after a touch, also one since the last call, or after `limit`. */
  async untilTouched(limit: Milliseconds, signal: AbortSignal): Promise<void> {
    const touched = new AbortController();
    this.#wake = () => touched.abort();
    if (this.#isTouched) touched.abort();
    await this.#clock.sleep(limit, AbortSignal.any([signal, touched.signal]));
    if (touched.signal.aborted) await this.#clock.sleep(DEBOUNCE, signal);
    this.#isTouched = false;
  }

  close(): void {
    this.watch([]);
  }

  #add(path: string): void {
    try {
      const watcher = watch(path, { persistent: false }, () => {
        this.#isTouched = true;
        this.#wake?.();
      });
      watcher.on("error", () => this.#watchers.delete(path));
      this.#watchers.set(path, { watcher, inode: inodeOf(path) });
    } catch {
      // No watch is left or the directory is gone: the regular scan sees it.
    }
  }
}

/** Undefined for what cannot be looked at, for whatever reason: the regular scan says what it is. */
function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}
