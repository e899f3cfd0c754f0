/**
 * `meshid bootstrap --new-root --confirm TRUSTDOMAIN`: the only way to a new root where a bundle was published.
 */

import { sequenceAbove, slotsWithoutKey } from "../../authority/backup.ts";
import { newJournal } from "../../authority/opening.ts";
import type { FoundJournal } from "../../authority/ports.ts";
import { asHonoured } from "../../authority/rotation.ts";
import type { Journal } from "../../authority/slot.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { invalidInput, OperatorError, quoted } from "../../core/errors.ts";
import { rotationsIn } from "../../registration/rotation-annotations.ts";
import type { TrustDomainObject } from "../../registration/service-identity.ts";
import { EXIT, type Io } from "../io.ts";
import { flagOf, type GivenOptions, isSet, textOf } from "../options.ts";
import { formatData, outputFormat } from "../output.ts";
import { PolicyHolder } from "../policy-holder.ts";
import { withVault } from "../recovery/open-vault.ts";
import type { Vault } from "../recovery/vault.ts";

/** What a new root does to a mesh, before and after. */
const BREAKS =
  "every credential that was issued before is refused by whoever has the new bundle, and the new ones by whoever has it not yet";

/** Without its records a directory is nobody's to meshid, and it replaces nothing of others. */
const UNOWNED =
  "STATE/objects.json is gone or damaged, so meshid does not know what in OUT is its own, and leaves it alone (SecretConflict). Move aside a damaged objects.json, and each OUT/<namespace>/<secretName> and PeerAuthentication manifest that an identity is to have anew.";

/**
 * @throws INVALID_INPUT (--new-root or --confirm), CONFLICT (the journal is good), JOURNAL_VERSION_UNSUPPORTED,
 * INVALID_CONFIGURATION, STATE_LOCKED, STORAGE_FAILED, CLUSTER_UNREACHABLE.
 */
export async function runBootstrap(options: GivenOptions, io: Io): Promise<number> {
  outputFormat(options);
  if (!isSet(options, "new-root"))
    throw invalidInput(
      "--new-root",
      "is missing",
      `--new-root: it says that you know what it does (${BREAKS})`,
    );
  return withVault({ options, io, writes: true }, (vault) => bootstrap(vault, options, io));
}

async function bootstrap(vault: Vault, options: GivenOptions, io: Io): Promise<number> {
  const { trustDomain: domain, sequence } = await vault.published(textOf(options, "confirm"));
  const found = await vault.journals.look();
  await requireUnusable(found, vault);
  if (domain === undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `${vault.place} shows no TrustDomain, so nothing is known of its rules; expected ${vault.context.mode === "cluster" ? "the TrustDomain object, which a controller makes when it starts" : "OUT/trustdomain.yaml or STATE/objects.json; where both are gone, move OUT and STATE away: meshid local begins anew by itself then"}`,
    );
  requireConfirmed(domain, options);
  const policies = new PolicyHolder({
    desired: () => domain,
    options: vault.context,
    required: undefined,
    onProblem: () => {},
  });
  if (policies.current().authority.source === "Secret")
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      "nothing was changed: spec.authority.source is Secret, and a root of another CA cannot be made here; expected Internal: set it so, bootstrap, and set it back, whereupon meshid moves to that CA without a break",
    );
  const { clock, keyStore } = vault;
  const policy = policies.authority(undefined);
  const journal = await newJournal(
    { clock, keyStore, random: io.random, policy: () => policy },
    // What was asked for before does not mean the root that is made now.
    { above: sequenceAbove(sequence), honoured: asHonoured(rotationsIn(domain.metadata.annotations)) },
  );
  const kept = await vault.journals.replace(found, journal);
  io.stdout.write(await report(journal, { vault, kept, options }));
  if ((await vault.records.lacking()).includes("objects.json")) io.stderr.write(`${UNOWNED}\n`);
  return EXIT.ok;
}

/** A good journal with all its keys can do better than to begin anew. @throws CONFLICT. */
async function requireUnusable(found: FoundJournal, { keyStore, place }: Vault): Promise<void> {
  if (found.kind !== "good") return;
  const { journal } = found;
  const lacking = await slotsWithoutKey(journal, keyStore);
  if (lacking.some(({ state }) => state === "Active")) return;
  throw new OperatorError(
    "CONFLICT",
    `nothing was changed: the journal in ${place} is good (revision ${journal.revision}, saved at ${toRfc3339(journal.savedAt)}), and so are its keys; expected meshid rotate root, which brings a new root without a break, or meshid rotate root --compromised where the old one must not be trusted any more`,
  );
}

function requireConfirmed({ metadata }: TrustDomainObject, options: GivenOptions): void {
  const confirmed = textOf(options, "confirm");
  if (confirmed === metadata.name) return;
  const message =
    confirmed === undefined ? "is missing" : `${quoted(confirmed)} is not the trust domain that is served`;
  throw invalidInput(
    flagOf(options, "confirm"),
    message,
    `--confirm ${metadata.name}, once you know that there is no backup: ${BREAKS}`,
  );
}

interface Done {
  readonly vault: Vault;
  readonly kept: string | undefined;
  readonly options: GivenOptions;
}

async function report(journal: Journal, { vault, kept, options }: Done): Promise<string> {
  const format = outputFormat(options);
  const { trustDomain, revision, bundle, slots } = journal;
  const keys = slots.map(({ kind, keyID, state }) => ({ kind, keyID, state }));
  if (format === "json" || format === "yaml") {
    const aside = kept === undefined ? {} : { kept };
    return formatData(
      { trustDomain, journal: { revision, sequence: bundle.sequence }, keys, ...aside },
      format,
    );
  }
  const root = keys.find(({ kind }) => kind === "Root")?.keyID;
  const lines = [
    `Began anew: ${trustDomain} in ${vault.place} has the root key ${root} (bundle sequence ${bundle.sequence}).`,
    ...(kept === undefined ? [] : [`The journal that was there is kept as ${kept}.`]),
    `Until everything is issued anew and has arrived, ${BREAKS}. Peers elsewhere that hold a copy of the old bundle need the new one.`,
    vault.takenUp,
    `Make a backup once it is taken up: meshid backup FILE${vault.flags}`,
  ];
  return `${lines.join("\n")}\n`;
}
