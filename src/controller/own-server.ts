/**
 * Local mode serves from the process that signs: while it is away, whoever keeps a copy of the JWKS or of the bundle cannot fetch
 * it anew. What an earlier process had published counts as lacking with them, until they have had the propagation time again.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import type { Slot } from "../authority/slot.ts";
import type { Seconds } from "../core/brand.ts";
import { type Clock, toRfc3339 } from "../core/clock.ts";
import type { KeyId } from "../x509/keys.ts";
import type { Observer } from "./ports.ts";

export interface OwnServerDeps {
  readonly observer: Observer;
  readonly clock: Clock;
  /** The authority's, as they are now. */
  readonly slots: () => readonly Slot[];
  readonly propagation: () => Seconds;
  /** When this process began: what was prepared later was served from then on. */
  readonly startedAt: Seconds;
}

/** What `Observer.look` is asked for. */
type Looked = Parameters<Observer["look"]>[0];

export class OwnServerObserver implements Observer {
  readonly #deps: OwnServerDeps;
  /** The first look comes when the server listens. */
  #servesSince: Seconds | undefined;

  constructor(deps: OwnServerDeps) {
    this.#deps = deps;
  }

  async look(slots: Looked): Promise<Observation> {
    const { observer, clock, propagation } = this.#deps;
    this.#servesSince ??= clock.now();
    const seen = await observer.look(slots);
    if (clock.now() >= this.#servesSince + propagation()) return seen;
    const inherited = this.#inherited();
    const name = `whoever fetches the JWKS or the bundle (served again since ${toRfc3339(this.#servesSince)})`;
    const lacking = [...seen.lacking].map(([keyID, names]): [KeyId, readonly string[]] => [
      keyID,
      inherited.has(keyID) ? [...names, name] : names,
    ]);
    return { ...seen, lacking: new Map(lacking), consumers: seen.consumers + 1 };
  }

  #inherited(): ReadonlySet<KeyId> {
    const { slots, startedAt } = this.#deps;
    const found = slots().filter(({ state, since }) => state === "Prepared" && since <= startedAt);
    return new Set(found.map(({ keyID }) => keyID));
  }
}
