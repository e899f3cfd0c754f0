/**
 * What STATE keeps: the journal, the keys, who holds which ServiceAccount. Every write is on disk when it returns.
 */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { decodeJournal, encodeJournal } from "../authority/journal.ts";
import type { JournalStore, KeyStore } from "../authority/ports.ts";
import type { HolderStore } from "../controller/ports.ts";
import { branded } from "../core/brand.ts";
import { OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import type { KeyId } from "../x509/keys.ts";
import { ifPresent, makeDirectory, replaceFile, storing, syncDirectory } from "./files.ts";

const DURABLE = { mode: 0o600, durable: true } as const;
const KEY_FILE = /^([0-9a-f]{40})\.pem$/;

/** `hasEvidence` tells whether anything else remains of an authority that once published from here. */
export function journalStore(stateDir: string, hasEvidence: () => boolean): JournalStore {
  const path = join(stateDir, "journal.json");
  const readNow = (): ReturnType<typeof decodeJournal> | undefined => {
    const text = ifPresent(path, () => readFileSync(path, "utf8"));
    return text === undefined ? undefined : decodeJournal(text);
  };
  return {
    read: async () => readNow(),
    save: async (journal, expectedRevision) => {
      // The lock on STATE makes this process the only writer; the comparison finds a second copy of the state.
      // No await between the look and the write: two saves of one process cannot both pass.
      const stored = readNow();
      if (stored?.revision !== expectedRevision) {
        throw new OperatorError(
          "CONFLICT",
          `saving ${path}: revision ${stored?.revision ?? "none"} is stored, ${expectedRevision ?? "none"} was expected`,
          { retryable: true },
        );
      }
      replaceFile(path, encodeJournal(journal), DURABLE);
    },
    hasEvidence: async () => hasEvidence(),
  };
}

export function keyStore(stateDir: string): KeyStore {
  const directory = join(stateDir, "keys");
  const fileOf = (keyID: KeyId): string => join(directory, `${keyID}.pem`);
  return {
    put: async (keyID, key) => {
      storing("creating", directory, () => makeDirectory(directory, 0o700));
      const known = ifPresent(fileOf(keyID), () => readFileSync(fileOf(keyID), "utf8"));
      if (known !== undefined && known !== key.reveal()) {
        throw new OperatorError("CONFLICT", `storing key ${keyID}: another key has this ID`, {
          details: { keyID },
        });
      }
      replaceFile(fileOf(keyID), key.reveal(), DURABLE);
    },
    get: async (keyID) => {
      const pem = ifPresent(fileOf(keyID), () => readFileSync(fileOf(keyID), "utf8"));
      return pem === undefined ? undefined : new Secret(pem);
    },
    delete: async (keyID) => {
      storing("removing", fileOf(keyID), () => rmSync(fileOf(keyID), { force: true }));
      ifPresent(directory, () => syncDirectory(directory));
    },
    list: async () => listKeys(directory),
  };
}

function listKeys(directory: string): readonly KeyId[] {
  const names = ifPresent(directory, () => readdirSync(directory)) ?? [];
  return names.flatMap((name) => {
    const keyID = KEY_FILE.exec(name)?.[1];
    return keyID === undefined ? [] : [branded<KeyId>(keyID)];
  });
}

export function holderStore(stateDir: string): HolderStore {
  const path = join(stateDir, "holders.json");
  return {
    load: async () => new Map(Object.entries(readJson(path, "holders") as Record<string, string>)),
    save: async (holders) =>
      replaceFile(path, JSON.stringify({ holders: Object.fromEntries(holders) }), DURABLE),
  };
}

/** The member `name` of a JSON file of STATE; an empty object where there is no file. @throws JOURNAL_CORRUPT. */
export function readJson(path: string, name: string): unknown {
  const text = ifPresent(path, () => readFileSync(path, "utf8"));
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    const member =
      typeof value === "object" && value !== null
        ? Object.entries(value).find(([key]) => key === name)?.[1]
        : undefined;
    if (typeof member === "object" && member !== null) return member;
  } catch (cause) {
    throw damaged(path, cause);
  }
  throw damaged(path, undefined);
}

function damaged(path: string, cause: unknown): OperatorError {
  return new OperatorError(
    "JOURNAL_CORRUPT",
    `${path} is damaged: put it back from a backup (meshid restore)`,
    {
      cause,
      details: { path },
    },
  );
}
