import { Authority } from "../../src/authority/authority.ts";
import type { AuthorityPolicy } from "../../src/authority/policy.ts";
import { MemoryStores, POLICY, START } from "./authority-fakes.ts";
import { FakeClock } from "./fake-clock.ts";
import { fakeRandom } from "./fake-random.ts";

export interface OpenAuthority {
  readonly authority: Authority;
  readonly clock: FakeClock;
  readonly stores: MemoryStores;
}

/** An authority in memory that has made its first keys; `seed` of its random numbers. */
export async function openAuthority(seed: number, policy: AuthorityPolicy = POLICY): Promise<OpenAuthority> {
  const [stores, clock] = [new MemoryStores(), new FakeClock(START)];
  const { journalStore, keyStore } = stores;
  const random = fakeRandom(seed);
  const authority = new Authority({ journalStore, keyStore, clock, random, policy: () => policy });
  await authority.open();
  return { authority, clock, stores };
}
