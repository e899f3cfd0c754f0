/**
 * The commands that keep an authority and bring it back, as data for the command table.
 */

import { MODE_HELP } from "../cluster-cli/mode.ts";
import type { CommandSpec } from "../command.ts";
import { KUBECONFIG_OPTIONS } from "../controller-options.ts";
import { type OptionSpec, OUTPUT_OPTION } from "../options.ts";
import { OUT_OPTION, STATE_OPTION } from "../state-options.ts";

const WHERE: readonly OptionSpec[] = [
  {
    name: "operator-namespace",
    type: "string",
    value: "NAMESPACE",
    default: "where its Deployment is found, otherwise meshid-system",
    effect: "The namespace that the meshid controller runs in.",
  },
  ...KUBECONFIG_OPTIONS,
  STATE_OPTION,
  OUT_OPTION,
];

const PASSWORD: OptionSpec = {
  name: "password-file",
  type: "string",
  value: "FILE",
  completes: "file",
  range: "at least 12 characters, on one line",
  effect:
    "Encrypts the keys (PKCS#8, as openssl reads it) and seals the file, so that it may lie where others read and write.",
};

export const RECOVERY_COMMANDS: readonly CommandSpec[] = [
  {
    name: "backup",
    summary: "Save the authority: its journal and its private keys",
    description:
      `${MODE_HELP} A meshid local may be running or not.\n` +
      "Writes one file that meshid restore takes: the journal, the keys that it signs with, and in local mode the records of the\n" +
      "state directory, all as of one instant. The file has mode 0600 and never replaces another. It holds the private keys of\n" +
      "the CA: whoever reads it can speak as every workload. Make one after each rotation.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect: "Where the backup is written; - is standard output, for a pipe.",
      },
    ],
    options: [PASSWORD, ...WHERE, OUTPUT_OPTION],
    examples: [
      ["meshid backup meshid.backup", "the authority of the cluster, for a safe place"],
      [
        "meshid backup meshid.backup --password-file password",
        "with encrypted keys, for an ordinary store; keep the password elsewhere",
      ],
      ["meshid backup meshid.backup --out out", "that of the meshid local that writes to out"],
      ["meshid backup - | age -r RECIPIENT > meshid.backup.age", "encrypted by another tool"],
    ],
  },
  {
    name: "restore",
    summary: "Put the authority back from a backup",
    description:
      `${MODE_HELP} A meshid local must be stopped; a controller may run.\n` +
      "Puts back what is missing or damaged and replaces nothing that is good: after it the same root, issuing and token keys\n" +
      "sign, and nothing is issued anew. The file is checked before anything is written. A backup that is older than what is\n" +
      "published is refused, and what it would break is said; --accept-loss takes it all the same.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect: "What meshid backup has written, or - for standard input.",
      },
    ],
    options: [
      { ...PASSWORD, effect: "The password that the backup was made with." },
      {
        name: "accept-loss",
        type: "boolean",
        default: "off",
        effect:
          "Goes on although keys that are published now are not in the backup: what they signed is refused until it is issued anew.",
      },
      {
        name: "dry-run",
        type: "boolean",
        default: "off",
        effect: "Checks everything, says what would be restored and lost, and writes nothing.",
      },
      ...WHERE,
      OUTPUT_OPTION,
    ],
    examples: [
      ["meshid restore meshid.backup --dry-run", "would this backup do, and what would be lost?"],
      [
        "meshid restore meshid.backup",
        "in the cluster, where AuthorityReady says JournalMissing or JournalCorrupt",
      ],
      ["meshid restore meshid.backup --out out", "in local mode"],
    ],
  },
  {
    name: "bootstrap",
    summary: "Begin anew with a new root, where there is no backup",
    description:
      `${MODE_HELP} A meshid local must be stopped; a controller may run.\n` +
      "Makes a root, an issuing and a token key that no peer knows yet, and a first journal. Until everything is issued anew and\n" +
      "has arrived everywhere, peers refuse each other. Only where the journal or the key of an active slot is missing or damaged\n" +
      "and there is no backup; a damaged journal is kept aside. For a new root without a break: meshid rotate root.",
    positionals: [],
    options: [
      {
        name: "new-root",
        type: "boolean",
        default: "off",
        effect: "Required: says that a root is wanted that no peer knows.",
      },
      {
        name: "confirm",
        type: "string",
        value: "TRUSTDOMAIN",
        effect: "Required: the name of the trust domain that begins anew.",
      },
      ...WHERE,
      OUTPUT_OPTION,
    ],
    examples: [
      ["meshid bootstrap --new-root --confirm cluster.local", "in the cluster"],
      ["meshid bootstrap --new-root --confirm cluster.local --out out", "in local mode"],
    ],
  },
];
