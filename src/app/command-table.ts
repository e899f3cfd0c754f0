/**
 * Every command of meshid, as data. Help, completion and `docs/cli.md` are made from it.
 */

import type { CommandSpec } from "./command.ts";
import { CONTROLLER_OPTIONS } from "./controller-options.ts";
import { LOCAL_OPTIONS } from "./local-options.ts";
import { type OptionSpec, OUTPUT_OPTION } from "./options.ts";

const STATE_OPTION: OptionSpec = {
  name: "state",
  type: "string",
  value: "DIR",
  env: "MESHID_STATE",
  default: "OUT/.meshid, where --out is given",
  completes: "directory",
  effect: "The state directory of the meshid local that serves it.",
};

const OUT_OPTION: OptionSpec = {
  name: "out",
  type: "string",
  value: "DIR",
  env: "MESHID_OUT",
  default: "what --state records",
  completes: "directory",
  effect: "The directory that meshid local writes to.",
};

const NAMESPACE_OPTION: OptionSpec = {
  name: "namespace",
  short: "n",
  type: "string",
  value: "NAMESPACE",
  default: "default",
  effect: "The namespace of the identity.",
};

const BUNDLE_OPTION: OptionSpec = {
  name: "bundle",
  type: "string",
  value: "FILE",
  completes: "file",
  range: "PEM certificates, a SPIFFE bundle (JSON) or a JWKS",
  effect: "What is trusted: the authorities that the credential is checked against.",
};

const PASSWORD_OPTION: OptionSpec = {
  name: "password-file",
  type: "string",
  value: "FILE",
  completes: "file",
  effect:
    "Holds the password of a PKCS#12 keystore, on one line. A password is never an argument: others could see it.",
};

const WAIT_OPTION: OptionSpec = {
  name: "wait",
  type: "boolean",
  default: "off",
  effect: "Stays until the request was consumed, at most a minute; 1 if it was not.",
};

const WIDE_OUTPUT: OptionSpec = {
  ...OUTPUT_OPTION,
  choices: ["table", "wide", "json", "yaml"],
  effect: "How the answer is written: a table for a person (wide: more columns), json or yaml for a program.",
};

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "controller",
    summary: "Serve the ServiceIdentities of a cluster",
    description:
      "Watches ServiceIdentities, issues and renews their credentials, publishes bundles, and serves JWKS and discovery.\n" +
      "What the Helm chart runs. Of several replicas one leads; every one serves HTTP.",
    positionals: [],
    options: CONTROLLER_OPTIONS,
    checksChoices: true,
    examples: [
      ["meshid controller", "in a pod, with its ServiceAccount"],
      [
        "meshid controller --kubeconfig ~/.kube/config --namespace meshid-system --listen 127.0.0.1:8443",
        "from a machine outside, to try something out",
      ],
    ],
  },
  {
    name: "local",
    summary: "Issue and renew the identities of a directory",
    description:
      "Reads ServiceIdentity files, writes keys, certificates, tokens and bundles, and renews them until it is stopped.\n" +
      "Its own root, issuing and token keys rotate by themselves. One process serves one state directory.",
    positionals: [],
    options: LOCAL_OPTIONS,
    checksChoices: true,
    examples: [
      [
        "meshid local --identities identities --out out",
        "serve the directory and its JWKS on https://127.0.0.1:8443",
      ],
      [
        "meshid local --identities identities --out out --once",
        "issue and renew what is due, then end (for cron)",
      ],
      [
        "meshid local --identities identities --out out --listen :8443 --probes :8081",
        "serve other machines, with probes and metrics",
      ],
    ],
  },
  {
    name: "status",
    summary: "Show which identities are ready, and until when",
    description:
      "Reads what meshid local has written; it need not be running. Ends with 1 if an identity or the authority is not Ready.\n" +
      "Without --namespace it shows every namespace.",
    positionals: [{ name: "NAME", required: false, effect: "Only this identity." }],
    options: [
      { ...NAMESPACE_OPTION, default: "all", effect: "Only the identities of this namespace." },
      {
        name: "all-namespaces",
        short: "A",
        type: "boolean",
        default: "on, unless --namespace is given",
        effect: "The identities of every namespace.",
      },
      OUT_OPTION,
      STATE_OPTION,
      WIDE_OUTPUT,
    ],
    examples: [
      ["meshid status --out out", "all identities and the authority's keys"],
      ["meshid status payments -n shop --out out -o wide", "one identity, with reason and message"],
      ["meshid status --out out -o json", "for a program"],
    ],
  },
  {
    name: "inspect",
    summary: "Explain a certificate, token, key, bundle, keystore or directory",
    description:
      "Says what it is, whose, until when it is valid, and what is wrong with it. What it is, is seen from its content.\n" +
      "Never shows a private key, a password or a token's signature. Ends with 1 if something is wrong, 2 if it cannot be read.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect: "A file of at most 1 MiB, a directory that meshid wrote, or - for standard input.",
      },
    ],
    options: [
      { ...BUNDLE_OPTION, effect: "Checks the credential against these authorities too." },
      PASSWORD_OPTION,
      OUTPUT_OPTION,
    ],
    examples: [
      [
        "meshid inspect out/shop/payments-tls",
        "a credential as its workload mounts it: do key, chain and bundle fit?",
      ],
      ["meshid inspect out", "all identities of an output directory"],
      [
        "kubectl get secret payments-tls -o jsonpath='{.data.tls\\.crt}' | base64 -d | meshid inspect -",
        "a certificate from elsewhere",
      ],
    ],
  },
  {
    name: "verify",
    summary: "Check a chain, a token or a bundle against a bundle",
    description:
      "Applies the whole SPIFFE profile, as a strict peer would. Ends with 0 if the credential proves its SPIFFE ID, 1 if it is refused.\n" +
      "A bundle holds if it has the same authorities as --bundle.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect: "A certificate chain (leaf first), a JWT-SVID, a bundle, or - for standard input.",
      },
    ],
    options: [
      { ...BUNDLE_OPTION, required: true },
      {
        name: "trust-domain",
        type: "string",
        value: "NAME",
        default: "that of the credential, which is said",
        effect: "The trust domain whose bundle this is.",
      },
      {
        name: "spiffe-id",
        type: "string",
        value: "ID",
        default: "any of the trust domain",
        effect: "The only SPIFFE ID that is accepted.",
      },
      {
        name: "audience",
        type: "string",
        value: "NAME",
        default: "that of the token, which is said",
        effect: "The verifier's own name: the token must be for it.",
      },
      {
        name: "at",
        type: "string",
        value: "TIME",
        default: "now",
        range: "RFC 3339, as 2026-11-24T22:00:00Z",
        effect: "Checks as if it were this time.",
      },
      OUTPUT_OPTION,
    ],
    examples: [
      [
        "meshid verify --bundle ca.crt --trust-domain cluster.local tls.crt",
        "would a peer accept this chain?",
      ],
      [
        "meshid verify --bundle bundle.json --audience orders.shop orders.shop.jwt",
        "would orders.shop accept this token?",
      ],
      ["meshid verify --bundle bundle.json ca.crt", "does this consumer hold the published roots?"],
    ],
  },
  {
    name: "renew",
    summary: "Ask for a new key, certificate and tokens for one identity",
    description:
      "Leaves a request in the state directory; the meshid local that holds it, or its next start, carries it out.",
    positionals: [{ name: "NAME", required: true, effect: "The identity's name." }],
    options: [NAMESPACE_OPTION, STATE_OPTION, OUT_OPTION, WAIT_OPTION, OUTPUT_OPTION],
    examples: [
      ["meshid renew payments -n shop --state out/.meshid", "as soon as the running meshid sees it"],
      ["meshid renew payments -n shop --out out --wait", "and wait until it was taken"],
    ],
  },
  {
    name: "rotate",
    summary: "Ask for a new root, issuing or token key",
    description:
      "Leaves a request in the state directory; the meshid local that holds it, or its next start, carries it out:\n" +
      "the new key is published, seen at every consumer, and only then used. meshid status shows where that stands.",
    positionals: [
      { name: "KIND", required: true, choices: ["root", "issuing", "jwt"], effect: "Which key." },
    ],
    options: [STATE_OPTION, OUT_OPTION, WAIT_OPTION, OUTPUT_OPTION],
    examples: [
      [
        "meshid rotate root --state out/.meshid",
        "a new root; the old one stays published while anything under it lives",
      ],
      ["meshid rotate jwt --out out", "a new key for tokens"],
    ],
  },
  {
    name: "version",
    summary: "Show the version of meshid and of Node",
    description: "Shows the version of meshid, of Node and the platform.",
    positionals: [],
    options: [OUTPUT_OPTION],
    examples: [
      ["meshid version", "for a person"],
      ["meshid version -o json", "for a program"],
    ],
  },
  {
    name: "completion",
    summary: "Print the completion script of a shell",
    description: "Prints a script that completes commands, flags and their values; it does not start meshid.",
    positionals: [{ name: "SHELL", required: true, choices: ["bash", "zsh"], effect: "The shell." }],
    options: [],
    examples: [
      ["source <(meshid completion bash)", "this bash session; in ~/.bashrc for all"],
      ["meshid completion zsh > ~/.zfunc/_meshid", "zsh, with ~/.zfunc in fpath before compinit"],
    ],
  },
];
