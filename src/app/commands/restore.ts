/**
 * `meshid restore FILE`
 */

import type { Backup } from "../../authority/backup.ts";
import { decodeBackup } from "../../authority/backup-file.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { invalidInput, OperatorError } from "../../core/errors.ts";
import { readBounded } from "../files.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, isSet, textOf } from "../options.ts";
import { formatData, outputFormat } from "../output.ts";
import { readPassword } from "../password.ts";
import { MAX_BACKUP } from "../recovery/backup-limit.ts";
import { withVault } from "../recovery/open-vault.ts";
import { carryOut, describeLoss, planRestore, type RestorePlan } from "../recovery/restoring.ts";
import type { Vault } from "../recovery/vault.ts";
import { describeInstant } from "../times.ts";

/**
 * @throws VERIFICATION_FAILED (the file), JOURNAL_FOREIGN, CONFLICT (there is nothing to restore), INVALID_CONFIGURATION,
 * STATE_LOCKED, STORAGE_FAILED, CLUSTER_UNREACHABLE. The file is checked before anything is written.
 */
export async function runRestore(options: GivenOptions, io: Io): Promise<number> {
  outputFormat(options);
  const backup = await readBackup(options, io);
  const writes = !isSet(options, "dry-run");
  return withVault({ options, io, writes }, (vault) => restore(vault, backup, { options, io }));
}

async function readBackup(options: GivenOptions, io: Io): Promise<Backup> {
  const path = textOf(options, "FILE") ?? "";
  const password = await readPassword(textOf(options, "password-file"));
  const { bytes, mode = 0 } = await readBounded(path, MAX_BACKUP);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new OperatorError("VERIFICATION_FAILED", `${path}: is not UTF-8 text, so no backup`, { cause });
  }
  const backup = decodeBackup(text, password);
  if (password === undefined && (mode & 0o077) !== 0)
    io.stderr.write(
      `${path}: others on this machine may read it (mode ${mode.toString(8).padStart(4, "0")}), and it holds the private keys of the CA: chmod 600 it.\n`,
    );
  return backup;
}

interface Asked {
  readonly options: GivenOptions;
  readonly io: Io;
}

async function restore(vault: Vault, backup: Backup, { options, io }: Asked): Promise<number> {
  const plan = await planRestore(vault, backup);
  const isDryRun = isSet(options, "dry-run");
  if (plan.losses.length > 0 && !isSet(options, "accept-loss") && !isDryRun) throw lossy(plan, backup, vault);
  const { kept } = isDryRun ? { kept: undefined } : await carryOut(vault, backup, plan);
  io.stdout.write(await report(vault, backup, { plan, kept, options }));
  for (const loss of plan.losses) io.stderr.write(`${describeLoss(loss)}.\n`);
  if (!plan.isCompared)
    io.stderr.write("What is published at present is not known, so the backup was not compared with it.\n");
  return EXIT.ok;
}

function lossy({ losses }: RestorePlan, { createdAt }: Backup, { clock }: Vault): OperatorError {
  return invalidInput(
    "--accept-loss",
    `is missing, and nothing was restored: the backup, made ${describeInstant(createdAt, clock.now())}, is older than what is published: ${losses.map(describeLoss).join("; ")}`,
    "a newer backup, or --accept-loss to go on with this one",
  );
}

interface Done {
  readonly plan: RestorePlan;
  readonly kept: string | undefined;
  readonly options: GivenOptions;
}

async function report(vault: Vault, backup: Backup, { plan, kept, options }: Done): Promise<string> {
  const format = outputFormat(options);
  const isDryRun = isSet(options, "dry-run");
  const { journal, keys, records, losses } = plan;
  const { trustDomain } = backup.journal;
  if (format === "json" || format === "yaml")
    return formatData(
      {
        trustDomain,
        createdAt: toRfc3339(backup.createdAt),
        dryRun: isDryRun,
        ...(journal === undefined
          ? {}
          : { journal: { revision: journal.revision, sequence: journal.bundle.sequence } }),
        keys: keys.map(({ kind, keyID, state }) => ({ kind, keyID, state })),
        records,
        losses,
        ...(kept === undefined ? {} : { kept }),
      },
      format,
    );
  const what = [
    ...(journal === undefined
      ? []
      : [`the journal (revision ${journal.revision}, bundle sequence ${journal.bundle.sequence})`]),
    ...keys.map(({ kind, keyID }) => `the ${kind === "JWT" ? "JWT" : kind.toLowerCase()} key ${keyID}`),
    ...records,
  ].join(", ");
  const age = describeInstant(backup.createdAt, vault.clock.now());
  const lines = [
    `${isDryRun ? "Would restore" : "Restored"} the authority of ${trustDomain} in ${vault.place}, as it was ${age}: ${what}.`,
    ...(kept === undefined ? [] : [`The damaged journal is kept as ${kept}.`]),
    ...(isDryRun ? [] : [vault.takenUp]),
  ];
  return `${lines.join("\n")}\n`;
}
