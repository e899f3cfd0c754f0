/**
 * The journal's file in STATE, for those who put one back. The lock on STATE must be held by whoever replaces it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeJournal, encodeJournal } from "../authority/journal.ts";
import type { FoundJournal, JournalPlace } from "../authority/ports.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import { ifPresent, replaceFile } from "./files.ts";

const DURABLE = { mode: 0o600, durable: true } as const;

/** `stamp`: part of the name under which the old one is kept. */
export function journalPlace(stateDir: string, stamp: () => string): JournalPlace {
  const path = join(stateDir, "journal.json");
  const seen = new WeakMap<FoundJournal, Buffer | undefined>();
  const read = (): Buffer | undefined => ifPresent(path, () => readFileSync(path));
  return {
    look: async () => {
      const bytes = read();
      const found = describe(bytes);
      seen.set(found, bytes);
      return found;
    },
    replace: async (found, journal) => {
      const before = seen.get(found);
      const bytes = read();
      if (!isSame(before, bytes)) throw new OperatorError("CONFLICT", `${path} has changed meanwhile`);
      const kept = bytes === undefined ? undefined : `${path}.replaced-${stamp()}`;
      // A copy first: at no instant is there no journal.
      if (bytes !== undefined && kept !== undefined) replaceFile(kept, bytes, DURABLE);
      replaceFile(path, encodeJournal(journal), DURABLE);
      return kept;
    },
  };
}

function describe(bytes: Buffer | undefined): FoundJournal {
  if (bytes === undefined) return { kind: "none" };
  const text = bytes.toString("utf8");
  try {
    return { kind: "good", journal: decodeJournal(text), text };
  } catch (fault) {
    if (isOperatorError(fault, "JOURNAL_CORRUPT")) return { kind: "damaged", fault };
    throw fault;
  }
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
