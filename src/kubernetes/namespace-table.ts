/**
 * The namespaces of the cluster in memory: their labels, and which of them are on their way out.
 */

import type { Sink } from "./reflector.ts";

interface Known {
  readonly labels: Readonly<Record<string, string>>;
  readonly isTerminating: boolean;
}

export interface NamespaceTableOptions {
  /** The labels or the existence of a namespace changed. */
  readonly onChanged: () => void;
  /** What lives in a namespace is to be looked at again. */
  readonly onTerminating: (name: string) => void;
}

export class NamespaceTable {
  readonly #options: NamespaceTableOptions;
  readonly #namespaces = new Map<string, Known>();

  constructor(options: NamespaceTableOptions) {
    this.#options = options;
  }

  isTerminating(name: string): boolean {
    return this.#namespaces.get(name)?.isTerminating === true;
  }

  /** Those that stay, with their labels. */
  *living(): Iterable<readonly [name: string, labels: Readonly<Record<string, string>>]> {
    for (const [name, { labels, isTerminating }] of this.#namespaces)
      if (!isTerminating) yield [name, labels];
  }

  sink(): Sink {
    return {
      set: ({ metadata: { name, labels = {}, deletionTimestamp } }) => {
        const before = this.#namespaces.get(name);
        const isTerminating = deletionTimestamp !== undefined;
        if (before !== undefined && before.isTerminating === isTerminating && isSame(before.labels, labels))
          return;
        this.#namespaces.set(name, { labels, isTerminating });
        // Back again: another of its name, whose predecessor's end was never seen.
        if (isTerminating !== (before?.isTerminating ?? false)) this.#options.onTerminating(name);
        this.#options.onChanged();
      },
      remove: ({ metadata }) => this.#drop(metadata.name),
      retain: (keys) => {
        for (const name of this.#namespaces.keys()) if (!keys.has(name)) this.#drop(name);
      },
    };
  }

  #drop(name: string): void {
    if (this.#namespaces.delete(name)) this.#options.onChanged();
  }
}

function isSame(one: Known["labels"], other: Known["labels"]): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
}
