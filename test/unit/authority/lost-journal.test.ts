import { expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import { encodeJournal } from "../../../src/authority/journal.ts";
import { seconds } from "../../../src/core/brand.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

it.each([
  ["gone", undefined, "JOURNAL_MISSING"],
  ["another's", "taken over", "AUTHORITY_NOT_READY"],
])(
  "an authority that finds its journal %s as it signs is closed, and says so at once",
  async (_, what, code) => {
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
    expect([authority.isReady(), told]).toEqual([true, 0]);
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
    expect([authority.isReady(), told]).toEqual([false, 1]);
    await authority.close();
  },
);
