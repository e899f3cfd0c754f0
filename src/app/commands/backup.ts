/**
 * `meshid backup FILE`
 */

import { type Backup, takeSnapshot } from "../../authority/backup.ts";
import { encodeBackup } from "../../authority/backup-file.ts";
import type { Slot } from "../../authority/slot.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { invalidInput, isOperatorError, OperatorError } from "../../core/errors.ts";
import type { Secret } from "../../core/secret.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";
import { formatData, outputFormat } from "../output.ts";
import { readPassword } from "../password.ts";
import { MAX_BACKUP } from "../recovery/backup-limit.ts";
import { writeNewFile } from "../recovery/new-file.ts";
import { withVault } from "../recovery/open-vault.ts";
import type { Vault } from "../recovery/vault.ts";
import { readVersion } from "./version.ts";

/** It guards the root of a trust domain, perhaps for years, against whoever finds the file. */
const MIN_PASSWORD = 12;

/**
 * @throws INVALID_INPUT (FILE is there already), INVALID_CONFIGURATION, NOT_FOUND, JOURNAL_CORRUPT, AUTHORITY_NOT_READY,
 * STORAGE_FAILED, CLUSTER_UNREACHABLE. Nothing was written then.
 */
export async function runBackup(options: GivenOptions, io: Io): Promise<number> {
  outputFormat(options);
  const path = textOf(options, "FILE") ?? "";
  if (path === "-" && io.isTTY)
    throw invalidInput(
      "FILE",
      "standard output is a terminal, and CA keys would be shown",
      "a file or a pipe",
    );
  const password = await passwordIn(options);
  return withVault({ options, io, writes: false }, (vault) => save(vault, { path, password, options, io }));
}

interface Saving {
  readonly path: string;
  readonly password: Secret | undefined;
  readonly options: GivenOptions;
  readonly io: Io;
}

async function save(vault: Vault, { path, password, options, io }: Saving): Promise<number> {
  const snapshot = await takeSnapshot(vault).catch((error: unknown) => {
    throw isOperatorError(error, "NOT_FOUND")
      ? new OperatorError("NOT_FOUND", `${vault.place} has no journal: there is nothing to back up`, {
          cause: error,
        })
      : error;
  });
  const backup: Backup = {
    ...snapshot,
    createdAt: vault.clock.now(),
    madeBy: await readVersion(),
    records: await vault.records.read(),
  };
  const text = encodeBackup(backup, io.random, password).reveal();
  if (Buffer.byteLength(text) > MAX_BACKUP.bytes)
    throw new OperatorError("STORAGE_FAILED", `the backup would be larger than ${MAX_BACKUP.bytes} bytes`);
  let isOpen = false;
  if (path !== "-") ({ isOpen } = writeNewFile(path, text, io));
  else if (io.rawStdout === undefined) throw new TypeError("backup: no standard output for files");
  else io.rawStdout.write(text);
  // Standard output is the file's then.
  const answer = path === "-" ? io.stderr : io.stdout;
  answer.write(
    await report(backup, { path, isEncrypted: password !== undefined, options, place: vault.place }),
  );
  if (isOpen)
    io.stderr.write(
      `${path}: this file system lets others read it. Move it to where only you can, and delete it here.\n`,
    );
  return EXIT.ok;
}

interface Saved {
  readonly path: string;
  readonly isEncrypted: boolean;
  readonly place: string;
  readonly options: GivenOptions;
}

async function report(
  { journal, keys, records, createdAt }: Backup,
  { path, isEncrypted, place, options }: Saved,
): Promise<string> {
  const format = outputFormat(options);
  const { trustDomain, revision, bundle } = journal;
  const slots = journal.slots.filter(({ keyID }) => keys.has(keyID));
  if (format === "json" || format === "yaml")
    return formatData(
      {
        file: path,
        trustDomain,
        createdAt: toRfc3339(createdAt),
        journal: { revision, sequence: bundle.sequence },
        keys: slots.map(({ kind, keyID, state }) => ({ kind, keyID, state })),
        records: Object.keys(records),
        encrypted: isEncrypted,
      },
      format,
    );
  const what = path === "-" ? "standard output" : path;
  const guard = isEncrypted
    ? "Its keys are encrypted: without the password it cannot be restored, so keep that elsewhere."
    : "They are not encrypted: who reads it can speak as every workload. Keep it as you would a root key, or use --password-file.";
  return (
    `Saved the authority of ${trustDomain} from ${place} to ${what}: journal revision ${revision} with ${slots.map(inWords).join(", ")}.\n` +
    `The file holds the private keys of the CA. ${guard}\n` +
    "Make another after each rotation (meshid status): a key that was made later is not in it.\n"
  );
}

function inWords({ kind, keyID, state }: Slot): string {
  return `${kind === "JWT" ? "JWT" : kind.toLowerCase()} key ${keyID} (${state})`;
}

async function passwordIn(options: GivenOptions): Promise<Secret | undefined> {
  const password = await readPassword(textOf(options, "password-file"));
  if (password !== undefined && password.reveal().length < MIN_PASSWORD)
    throw invalidInput(
      "--password-file",
      "holds too short a password",
      `at least ${MIN_PASSWORD} characters on one line`,
    );
  return password;
}
