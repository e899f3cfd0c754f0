/**
 * Every command of meshid, as data. Help, completion and `docs/cli.md` are made from it.
 */

import { MODE_HELP } from "./cluster-cli/mode.ts";
import type { CommandSpec } from "./command.ts";
import { CONTROLLER_OPTIONS, KUBECONFIG_OPTIONS } from "./controller-options.ts";
import { LOCAL_OPTIONS } from "./local-options.ts";
import { type OptionSpec, OUTPUT_OPTION } from "./options.ts";
import { RECOVERY_COMMANDS } from "./recovery/recovery-commands.ts";
import { REQUEST_COMMANDS } from "./request-commands.ts";
import { OUT_OPTION, STATE_OPTION } from "./state-options.ts";

const NAMESPACE_OPTION: OptionSpec = {
  name: "namespace",
  short: "n",
  type: "string",
  value: "NAMESPACE",
  default: "the kubeconfig's, otherwise default",
  effect: "The namespace of the identity.",
};

const SECRET_NAMESPACE: OptionSpec = {
  ...NAMESPACE_OPTION,
  effect: "The namespace of secret/NAME and of the bundle ConfigMap.",
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
      `${MODE_HELP} A meshid local need not be running.\n` +
      "Ends with 1 if an identity or the authority is not Ready. Without --namespace it shows every namespace.",
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
      ...KUBECONFIG_OPTIONS,
      OUT_OPTION,
      STATE_OPTION,
      WIDE_OUTPUT,
    ],
    examples: [
      ["meshid status", "all identities of the cluster, the authority's keys and conditions"],
      ["meshid status --out out", "those of the meshid local that writes to out"],
      ["meshid status payments -n shop -o wide", "one identity, with reason and message"],
      ["meshid status --out out -o json", "for a program"],
    ],
  },
  {
    name: "inspect",
    summary: "Explain a certificate, token, key, bundle, keystore, directory or Secret",
    description:
      "Says what it is, whose, until when it is valid, and what is wrong with it. What it is, is seen from its content.\n" +
      "secret/NAME is a Secret of the cluster; everything else is a file (./secret/NAME too).\n" +
      "Never shows a private key, a password or a token's signature. Ends with 1 if something is wrong, 2 if it cannot be read.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect:
          "A file of at most 1 MiB, a directory that meshid wrote, secret/NAME of the cluster, or - for standard input.",
      },
    ],
    options: [
      { ...BUNDLE_OPTION, effect: "Checks the credential against these authorities too." },
      PASSWORD_OPTION,
      SECRET_NAMESPACE,
      ...KUBECONFIG_OPTIONS,
      OUTPUT_OPTION,
    ],
    examples: [
      [
        "meshid inspect out/shop/payments-tls",
        "a credential as its workload mounts it: do key, chain and bundle fit?",
      ],
      ["meshid inspect secret/payments-tls -n shop", "the same of a Secret in the cluster"],
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
      "A bundle holds if it has the same authorities as --bundle. Without --bundle it checks against the bundle ConfigMap of the\n" +
      "namespace in the cluster.",
    positionals: [
      {
        name: "FILE",
        required: true,
        completes: "file",
        effect:
          "A certificate chain (leaf first), a JWT-SVID, a bundle, - for standard input, or secret/NAME of the cluster: its chain and tokens.",
      },
    ],
    options: [
      { ...BUNDLE_OPTION, default: "the bundle ConfigMap of the namespace in the cluster" },
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
      SECRET_NAMESPACE,
      ...KUBECONFIG_OPTIONS,
      OUTPUT_OPTION,
    ],
    examples: [
      ["meshid verify secret/payments-tls -n shop", "would a peer in shop accept what this Secret holds?"],
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
  ...REQUEST_COMMANDS,
  ...RECOVERY_COMMANDS,
  {
    name: "doctor",
    summary: "Find out what is wrong with meshid in a cluster, and what to do",
    description:
      "Asks the API server, with your own rights and without changing anything, whatever can be wrong with meshid and its\n" +
      "credentials, and prints a remedy for each fault. What you may not read is skipped, with the reason.\n" +
      "Ends with 1 if a check failed; warnings and skipped checks do not count.",
    positionals: [],
    options: [
      {
        ...NAMESPACE_OPTION,
        default: "all",
        effect: "Looks at the identities, bundles and pods of this namespace only.",
      },
      {
        name: "operator-namespace",
        type: "string",
        value: "NAMESPACE",
        default: "where its Deployment is found, otherwise meshid-system",
        effect: "The namespace that the meshid controller runs in.",
      },
      ...KUBECONFIG_OPTIONS,
      OUTPUT_OPTION,
    ],
    examples: [
      ["meshid doctor", "the whole cluster"],
      ["meshid doctor -n shop", "for a team: its own namespace, with its own rights"],
      ["meshid doctor -o json", "every affected object by name, for a program"],
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
