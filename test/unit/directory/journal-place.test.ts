import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { journalPlace } from "../../../src/directory/journal-place.ts";
import { journalOf } from "../../support/authority-fakes.ts";
import { describeJournalPlace, type PlaceUnderTest } from "../../support/journal-place-contract.ts";

function open(): PlaceUnderTest & { readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "meshid-place-"));
  const path = join(dir, "journal.json");
  let stamps = 0;
  const textOf = (file: string): string | undefined => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  };
  return {
    dir,
    place: () => journalPlace(dir, () => `stamp${++stamps}`),
    read: async () => textOf(path),
    write: async (text) => writeFileSync(path, text),
    kept: async (at) => textOf(at),
    [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

describe("the journal's place in STATE", () => {
  describeJournalPlace(async () => open());

  it("is its owner's alone, and so is what it keeps", async () => {
    await using under = open();
    await under.write("damaged");
    const place = under.place();
    const kept = await place.replace(await place.look(), journalOf());
    for (const file of [kept ?? "", join(under.dir, "journal.json")])
      expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
