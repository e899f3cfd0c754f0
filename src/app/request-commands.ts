/**
 * The commands that ask a running meshid for something, as data: `renew` and `rotate`.
 */

import { MODE_HELP } from "./cluster-cli/mode.ts";
import type { CommandSpec } from "./command.ts";
import { KUBECONFIG_OPTIONS } from "./controller-options.ts";
import { type OptionSpec, OUTPUT_OPTION } from "./options.ts";
import { OUT_OPTION, STATE_OPTION } from "./state-options.ts";

const NAMESPACE_OPTION: OptionSpec = {
  name: "namespace",
  short: "n",
  type: "string",
  value: "NAMESPACE",
  default: "the kubeconfig's, otherwise default; with --all every namespace",
  effect: "The namespace of the identity, or of all that are renewed.",
};

const WAIT_OPTION: OptionSpec = {
  name: "wait",
  type: "boolean",
  default: "off",
  effect:
    "Stays until it is done and shows how far it is: a table on a terminal, a line for each change elsewhere. 1 if it was not done.",
};

const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  type: "string",
  value: "DURATION",
  default: "1m",
  range: "Go syntax of h, m and s, as 90s or 2h",
  effect: "How long --wait stays at most. What was asked for goes on.",
};

const RENEWED_OPTIONS: readonly OptionSpec[] = [
  {
    name: "all",
    type: "boolean",
    default: "off",
    effect:
      "Renews every identity that has a certificate: of the namespace with --namespace, otherwise of all.",
  },
  {
    name: "before",
    type: "string",
    value: "TIME",
    range: "RFC 3339, as 2026-11-24T22:00:00Z; not in the future",
    effect:
      "With --all: only those whose certificate was issued before. Tokens do not count; they are renewed with the certificate.",
  },
];

const COMPROMISED_OPTIONS: readonly OptionSpec[] = [
  {
    name: "compromised",
    type: "boolean",
    default: "off",
    effect:
      "Someone else may have the key: it leaves every bundle at once and everything under it is issued anew. Breaks connections; root and jwt only.",
  },
  {
    name: "confirm",
    type: "string",
    value: "TRUSTDOMAIN",
    effect: "The name of the trust domain: says yes to what --compromised breaks.",
  },
];

export const REQUEST_COMMANDS: readonly CommandSpec[] = [
  {
    name: "renew",
    summary: "Ask for new keys, certificates and tokens of one identity, or of all",
    description:
      `${MODE_HELP}\n` +
      "In the cluster it sets the annotation meshid.dev/renew. In local mode it leaves a request in the state directory; the\n" +
      "meshid local that holds it, or its next start, carries it out. With --all one that is refused keeps no other from it:\n" +
      "it is named at the end, with exit code 1. Nothing to renew is no error.",
    positionals: [{ name: "NAME", required: false, effect: "The identity's name; none with --all." }],
    options: [
      NAMESPACE_OPTION,
      ...RENEWED_OPTIONS,
      ...KUBECONFIG_OPTIONS,
      STATE_OPTION,
      OUT_OPTION,
      WAIT_OPTION,
      { ...TIMEOUT_OPTION, default: "1m, with --all 1h" },
      OUTPUT_OPTION,
    ],
    examples: [
      ["meshid renew payments -n shop --wait", "in the cluster, and wait until it is done"],
      ["meshid renew payments -n shop --state out/.meshid", "as soon as the running meshid sees it"],
      ["meshid renew --all -n shop --wait", "every identity of a namespace"],
      [
        "meshid renew --all --before 2026-11-24T22:00:00Z --wait",
        "every certificate that was issued before; the same again goes on where it ended",
      ],
    ],
  },
  {
    name: "rotate",
    summary: "Ask for a new root, issuing or token key",
    description:
      `${MODE_HELP}\n` +
      "In the cluster it sets the annotation meshid.dev/rotate-root, -issuing or -jwt of the TrustDomain. In local mode it leaves a\n" +
      "request in the state directory; the meshid local that holds it, or its next start, carries it out.\n" +
      "The new key is published, seen at every consumer, and only then used: no connection breaks. --wait ends when another key\n" +
      "signs; for a root, when an issuing certificate under the new one signs too. Leaving it (Ctrl-C) stops no rotation.",
    positionals: [
      { name: "KIND", required: true, choices: ["root", "issuing", "jwt"], effect: "Which key." },
    ],
    options: [
      ...COMPROMISED_OPTIONS,
      ...KUBECONFIG_OPTIONS,
      STATE_OPTION,
      OUT_OPTION,
      WAIT_OPTION,
      { ...TIMEOUT_OPTION, default: "2h" },
      OUTPUT_OPTION,
    ],
    examples: [
      [
        "meshid rotate issuing --wait --timeout 1h",
        "in the cluster, following each step until the new key signs",
      ],
      [
        "meshid rotate root --state out/.meshid",
        "a new root; the old one stays published while anything under it lives",
      ],
      ["meshid rotate jwt --out out", "a new key for tokens"],
      [
        "meshid rotate root --compromised --confirm cluster.local --wait",
        "the root's key was stolen: nobody trusts it any more, now (without --confirm it says what breaks)",
      ],
    ],
  },
];
