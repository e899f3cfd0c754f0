/**
 * Who claims what, across all identities: one holder for each ServiceAccount, a bound on identities per namespace.
 * Holders are recorded before anything is issued to them.
 */

import { type HolderClaim, resolveHolders } from "../registration/conflicts.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { DesiredState, HolderStore } from "./ports.ts";
import { namespaceOf } from "./work-queue.ts";

export class Claims {
  readonly #desired: DesiredState;
  readonly #store: HolderStore | undefined;
  readonly #claims = new Map<IdentityKey, HolderClaim>();
  readonly #byAccount = new Map<string, Set<IdentityKey>>();
  readonly #counts = new Map<string, number>();
  /** Oldest first, by namespace; made when asked for. */
  readonly #ranks = new Map<string, ReadonlyMap<IdentityKey, number>>();
  /** Those that were told that too many are older. */
  readonly #exceeding = new Set<IdentityKey>();
  /** Accounts whose claims have changed since it was last on record who holds them. */
  readonly #unsettled = new Set<string>();
  /** As it was asked for last. */
  #limit = Number.POSITIVE_INFINITY;
  #holders: ReadonlyMap<string, string> = new Map();

  /** Without a store the oldest claim holds: for where creation timestamps can be believed. */
  constructor(desired: DesiredState, store: HolderStore | undefined) {
    this.#desired = desired;
    this.#store = store;
  }

  /** Reads the recorded holders and settles every claim there is. */
  async open(): Promise<void> {
    if (this.#store !== undefined) this.#holders = await this.#store.load();
    await this.update([...this.#desired.identities()].map(keyOf));
  }

  /**
   * Takes up changed identities; returns the keys whose standing may have changed, the given ones included.
   * @throws what the store throws: to be called again with the same keys.
   */
  async update(keys: readonly IdentityKey[]): Promise<readonly IdentityKey[]> {
    for (const key of keys) this.#take(key);
    const touched = [...this.#unsettled];
    const claims = touched.flatMap((account) => this.#claimsOn(account));
    const settled = resolveHolders(claims, this.#store === undefined ? new Map() : this.#holders);
    const moved = touched.filter((account) => settled.get(account) !== this.#holders.get(account));
    if (moved.length > 0) await this.#record(moved, settled);
    for (const account of touched) this.#unsettled.delete(account);
    const others = [...this.#waitingFor(keys), ...this.#pushedOutBy(keys)];
    return [...new Set([...keys, ...claims.map((claim) => claim.key), ...others])];
  }

  /** The identity that holds the account which `key` claims; undefined when it is `key` itself. */
  otherHolder(key: IdentityKey): IdentityKey | undefined {
    const claim = this.#claims.get(key);
    if (claim === undefined) return undefined;
    const account = accountOf(claim);
    const holder = this.#holders.get(account);
    if (holder === undefined || holder === claim.uid) return undefined;
    return this.#claimsOn(account).find((other) => other.uid === holder)?.key;
  }

  /** How much is kept in memory: for tests. */
  get size(): number {
    return (
      this.#claims.size + this.#byAccount.size + this.#counts.size + this.#ranks.size + this.#exceeding.size
    );
  }

  /** Whether `limit` identities of the same namespace are older. */
  exceeds(key: IdentityKey, limit: number): boolean {
    this.#limit = limit;
    const claim = this.#claims.get(key);
    const isOver =
      claim !== undefined &&
      (this.#counts.get(claim.namespace) ?? 0) > limit &&
      (this.#ranksIn(claim.namespace).get(key) ?? 0) >= limit;
    if (isOver) this.#exceeding.add(key);
    else this.#exceeding.delete(key);
    return isOver;
  }

  /** Those whose turn it may be now that identities of their namespace are gone. */
  #waitingFor(changed: readonly IdentityKey[]): readonly IdentityKey[] {
    if (this.#exceeding.size === 0) return [];
    const gone = changed.filter((key) => !this.#claims.has(key));
    for (const key of gone) this.#exceeding.delete(key);
    const namespaces = new Set(gone.map(namespaceOf));
    return [...this.#exceeding].filter((key) => namespaces.has(namespaceOf(key)));
  }

  /**
   * Those who have lost their place to a newcomer. Timestamps count whole seconds, so that one made later may come first by
   * its name: the order is the same after a restart.
   */
  #pushedOutBy(changed: readonly IdentityKey[]): readonly IdentityKey[] {
    const namespaces = new Set(changed.filter((key) => this.#claims.has(key)).map(namespaceOf));
    return [...namespaces]
      .filter((namespace) => (this.#counts.get(namespace) ?? 0) > this.#limit)
      .flatMap((namespace) => [...this.#ranksIn(namespace)])
      .filter(([key, rank]) => rank >= this.#limit && !this.#exceeding.has(key))
      .map(([key]) => key);
  }

  async #record(accounts: readonly string[], settled: ReadonlyMap<string, string>): Promise<void> {
    const next = new Map(this.#holders);
    for (const account of accounts) {
      const holder = settled.get(account);
      if (holder === undefined) next.delete(account);
      else next.set(account, holder);
    }
    await this.#store?.save(next);
    this.#holders = next;
  }

  #ranksIn(namespace: string): ReadonlyMap<IdentityKey, number> {
    const known = this.#ranks.get(namespace);
    if (known !== undefined) return known;
    const all = [...this.#claims.values()].filter((other) => other.namespace === namespace);
    const ranks = new Map(all.sort(byAge).map((other, index) => [other.key, index]));
    this.#ranks.set(namespace, ranks);
    return ranks;
  }

  #take(key: IdentityKey): void {
    const before = this.#claims.get(key);
    const identity = this.#desired.identity(key);
    const after = identity === undefined ? undefined : claimOf(identity);
    if (before !== undefined) {
      const account = accountOf(before);
      this.#unsettled.add(account);
      const keys = this.#byAccount.get(account);
      keys?.delete(key);
      if (keys?.size === 0) this.#byAccount.delete(account);
    }
    if (before?.uid !== after?.uid) this.#count((before ?? after)?.namespace ?? "", before, after);
    if (after === undefined) {
      this.#claims.delete(key);
      return;
    }
    this.#claims.set(key, after);
    const account = accountOf(after);
    this.#unsettled.add(account);
    const keys = this.#byAccount.get(account);
    if (keys === undefined) this.#byAccount.set(account, new Set([key]));
    else keys.add(key);
  }

  #count(namespace: string, before: HolderClaim | undefined, after: HolderClaim | undefined): void {
    this.#ranks.delete(namespace);
    const change = (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    const count = (this.#counts.get(namespace) ?? 0) + change;
    if (count === 0) this.#counts.delete(namespace);
    else this.#counts.set(namespace, count);
  }

  #claimsOn(account: string): readonly HolderClaim[] {
    const keys = this.#byAccount.get(account) ?? [];
    return [...keys].flatMap((key) => this.#claims.get(key) ?? []);
  }
}

/** `<namespace>/<name>` */
function keyOf(identity: ServiceIdentity): IdentityKey {
  return `${identity.metadata.namespace}/${identity.metadata.name}`;
}

function claimOf(identity: ServiceIdentity): HolderClaim {
  const { metadata, spec } = identity;
  return {
    key: keyOf(identity),
    uid: metadata.uid,
    namespace: metadata.namespace,
    serviceAccountName: spec.serviceAccountName ?? metadata.name,
    creationTimestamp: metadata.creationTimestamp,
  };
}

function accountOf(claim: HolderClaim): string {
  return `${claim.namespace}/${claim.serviceAccountName}`;
}

function byAge(a: HolderClaim, b: HolderClaim): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}
