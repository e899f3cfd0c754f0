/**
 * What a `JournalPlace` promises, whatever keeps it.
 */

import { expect, it } from "@jest/globals";
import { encodeJournal } from "../../src/authority/journal.ts";
import type { JournalPlace } from "../../src/authority/ports.ts";
import { journalOf } from "./authority-fakes.ts";
import { codeOf } from "./errors.ts";

export interface PlaceUnderTest extends AsyncDisposable {
  /** Each time another one, as of another process. */
  place(): JournalPlace;
  /** The journal's text; undefined: none. */
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
  /** The text that is kept where `replace` said. */
  kept(at: string): Promise<string | undefined>;
}

export function describeJournalPlace(open: () => Promise<PlaceUnderTest>): void {
  it("has none, and takes the first", async () => {
    await using under = await open();
    const place = under.place();
    const found = await place.look();
    expect(found).toEqual({ kind: "none" });
    expect(await place.replace(found, journalOf())).toBeUndefined();
    expect(await under.read()).toBe(encodeJournal(journalOf()));
    expect(await place.look()).toEqual({
      kind: "good",
      journal: journalOf(),
      text: encodeJournal(journalOf()),
    });
  });

  it.each([
    ["a damaged one", "damaged"],
    ["a good one", encodeJournal(journalOf({ revision: 9 }))],
  ])("keeps %s that it replaces", async (_, before) => {
    await using under = await open();
    await under.write(before);
    const place = under.place();
    const found = await place.look();
    expect(found.kind).toBe(before === "damaged" ? "damaged" : "good");
    const at = await place.replace(found, journalOf({ revision: 11 }));
    expect(await under.kept(at ?? "")).toBe(before);
    expect(await under.read()).toBe(encodeJournal(journalOf({ revision: 11 })));
  });

  it.each([undefined, "damaged"])("replaces nothing that came in between, after %s", async (before) => {
    await using under = await open();
    if (before !== undefined) await under.write(before);
    const [place, other] = [under.place(), under.place()];
    const found = await place.look();
    await other.replace(await other.look(), journalOf({ revision: 5 }));
    expect(await codeOf(place.replace(found, journalOf()))).toBe("CONFLICT");
    expect(await under.read()).toBe(encodeJournal(journalOf({ revision: 5 })));
  });

  it("does not take a later meshid's journal for a damaged one", async () => {
    await using under = await open();
    await under.write('{"version": 2}');
    expect(await codeOf(under.place().look())).toBe("JOURNAL_VERSION_UNSUPPORTED");
  });
}
