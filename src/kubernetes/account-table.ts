/**
 * The names of the ServiceAccounts of the cluster in memory.
 */

import { keyOf } from "./objects.ts";
import type { Sink } from "./reflector.ts";

export class AccountTable {
  readonly #accounts = new Set<string>();
  readonly #onChanged: (namespace: string, name: string) => void;

  /** `onChanged`: one came or went. */
  constructor(onChanged: (namespace: string, name: string) => void) {
    this.#onChanged = onChanged;
  }

  has(namespace: string, name: string): boolean {
    return this.#accounts.has(`${namespace}/${name}`);
  }

  /** `namespace`: of the collection; undefined: all. */
  sink(namespace: string | undefined): Sink {
    return {
      set: (object) => {
        const account = keyOf(object);
        if (this.#accounts.has(account)) return;
        this.#accounts.add(account);
        this.#tell(account);
      },
      remove: (object) => this.#drop(keyOf(object)),
      retain: (keys) => {
        for (const account of this.#accounts) {
          const isWithin = namespace === undefined || account.startsWith(`${namespace}/`);
          if (isWithin && !keys.has(account)) this.#drop(account);
        }
      },
    };
  }

  #drop(account: string): void {
    if (this.#accounts.delete(account)) this.#tell(account);
  }

  #tell(account: string): void {
    const [namespace = "", name = ""] = account.split("/");
    this.#onChanged(namespace, name);
  }
}
