/**
 * `hack/control-plane`: a control plane to try things on by hand.
 */

import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openControlPlane } from "./client.ts";
import { endAll } from "./processes.ts";
import { PINNED_VERSION } from "./releases.ts";
import { baseDirectory, startControlPlane } from "./start.ts";

const USAGE = `hack/control-plane start|stop|env [--version V] [--dir DIR]

A real Kubernetes control plane on this machine, without nodes: etcd, kube-apiserver and kube-controller-manager on free
ports of 127.0.0.1.

  start   start it; prints what env prints
  env     print the variables that point kubectl, helm and meshid at it: eval "$(hack/control-plane env)"
  stop    end it and remove its directory

  --version V   the version of Kubernetes (default ${PINNED_VERSION})
  --dir DIR     where it keeps its files (default: one per user, in memory where there is /dev/shm)

CONTROL_PLANE_APISERVER_FLAGS   more flags of kube-apiserver, separated by spaces
KUBEBUILDER_ASSETS              a folder with the programs; without it they are fetched or built once
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      version: { type: "string", default: PINNED_VERSION },
      dir: {
        type: "string",
        default: join(baseDirectory(), `meshid-control-plane-of-${process.getuid?.() ?? 0}`),
      },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const dir = resolve(values.dir);
  if (rest.length === 0 && command === "start") {
    await startControlPlane({ dir, version: values.version, endsWithOwner: false });
    printEnvironment(dir);
    return 0;
  }
  if (rest.length === 0 && command === "env") {
    printEnvironment(dir);
    return 0;
  }
  if (rest.length === 0 && command === "stop") {
    await endAll(dir);
    return 0;
  }
  process.stderr.write(USAGE);
  return 2;
}

function printEnvironment(dir: string): void {
  const { kubeconfig, auditLog, assets } = openControlPlane(dir);
  const variables = { KUBECONFIG: kubeconfig, MESHID_AUDIT_LOG: auditLog };
  for (const [name, value] of Object.entries(variables)) {
    process.stdout.write(`export ${name}=${quoted(value)}\n`);
  }
  process.stdout.write(`export PATH=${quoted(assets)}:"$PATH"\n`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`hack/control-plane: ${(error as Error).message}\n`);
  return 1;
});
