import { expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import type { ExternalAuthority } from "../../../src/authority/external-authority.ts";
import { encodeJournal } from "../../../src/authority/journal.ts";
import { seconds } from "../../../src/core/brand.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import { generateKey } from "../../../src/x509/keys.ts";
import { fakeMaterial, MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

async function openedAuthority(): Promise<{
  stores: MemoryStores;
  authority: Authority;
  told: () => number;
}> {
  const stores = new MemoryStores();
  let told = 0;
  const authority = new Authority({
    journalStore: stores.journalStore,
    keyStore: stores.keyStore,
    clock: new FakeClock(START),
    random: fakeRandom(),
    policy: () => POLICY,
    onLost: () => told++,
  });
  await authority.open();
  return { stores, authority, told: () => told };
}

it("an authority that is told that its journal is gone looks, and is closed where it is", async () => {
  const { stores, authority, told } = await openedAuthority();
  await authority.confirm();
  expect([authority.isReady(), told()]).toEqual([true, 0]);
  stores.journalText = undefined;
  expect(await codeOf(authority.confirm())).toBe("JOURNAL_MISSING");
  expect([authority.isReady(), told()]).toEqual([false, 1]);
  await authority.close();
});

it.each([
  ["gone", undefined, "JOURNAL_MISSING"],
  ["another's", "taken over", "AUTHORITY_NOT_READY"],
])(
  "an authority that finds its journal %s as it signs is closed, and says so at once",
  async (_, what, code) => {
    const { stores, authority, told } = await openedAuthority();
    expect([authority.isReady(), told()]).toEqual([true, 0]);
    const journal = stores.journal();
    stores.journalText =
      what === undefined || journal === undefined
        ? undefined
        : encodeJournal({ ...journal, epoch: journal.epoch + 5, revision: journal.revision + 5 });
    const signing = authority.signJwtSvid({
      spiffeId: parseSpiffeId("spiffe://example.org/ns/shop/sa/payments"),
      audience: "orders",
      ttl: seconds(600),
    });
    expect(await codeOf(signing)).toBe(code);
    expect([authority.isReady(), told()]).toEqual([false, 1]);
    await authority.close();
  },
);

it("an authority saves nothing that it could not read again, whatever was planned", async () => {
  const stores = new MemoryStores();
  const made = (kind: "Root" | "Issuing", notAfter: number): ExternalAuthority["root"] => ({
    ...(fakeMaterial(kind, kind) as ExternalAuthority["root"]),
    algorithm: "ECDSA-P256",
    notBefore: START,
    notAfter: seconds(START + notAfter),
  });
  // An issuing certificate that outlives its root is refused long before; here it was not.
  const authority = {
    root: made("Root", 1000),
    issuing: { ...made("Issuing", 2000), intermediates: [] },
    key: await generateKey("ECDSA-P256"),
    otherRoots: [],
  };
  const opening = new Authority({
    journalStore: stores.journalStore,
    keyStore: stores.keyStore,
    clock: new FakeClock(START),
    random: fakeRandom(),
    policy: () => ({ ...POLICY, external: { place: "Secret meshid-system/byo-ca", authority } }),
  });
  await expect(opening.open()).rejects.toThrow("the next journal would be unreadable: slots[0].signedUntil");
  expect(stores.journalText).toBeUndefined();
});
