/**
 * Builds the programs of a control plane from Go modules, for places that reach a Go module proxy and nothing else.
 * Takes about 17 minutes of one core the first time; the result stays in the cache.
 */

import { execFile, spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PROGRAMS, type ProgramName } from "./releases.ts";

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL("./go/main.go", import.meta.url));
const BINARY = "kubernetes";
const BUILD_LIMIT = 45 * 60_000;

const ETCD = "v3.7.3";
const HELM = "v4.3.1";

/** Kubernetes asks for these at v0.0.0 and replaces them inside its own tree, which does not count for others. */
const STAGING = [
  "api",
  "apiextensions-apiserver",
  "apimachinery",
  "apiserver",
  "cli-runtime",
  "client-go",
  "cloud-provider",
  "cluster-bootstrap",
  "code-generator",
  "component-base",
  "component-helpers",
  "controller-manager",
  "cri-api",
  "cri-client",
  "cri-streaming",
  "csi-translation-lib",
  "dynamic-resource-allocation",
  "endpointslice",
  "externaljwt",
  "kms",
  "kube-aggregator",
  "kube-controller-manager",
  "kube-proxy",
  "kube-scheduler",
  "kubectl",
  "kubelet",
  "metrics",
  "mount-utils",
  "pod-security-admission",
  "streaming",
] as const;

/** Named by Kubernetes, imported by nothing: an empty module stands in. */
const UNUSED = ["sample-apiserver", "sample-cli-plugin", "sample-controller"] as const;

/** The text of go.mod; Kubernetes v1.X.Y has its parts at v0.X.Y. */
function goModule(version: string): string {
  const staging = version.replace(/^v1\./, "v0.");
  const required = [
    `k8s.io/kubernetes ${version}`,
    `go.etcd.io/etcd/server/v3 ${ETCD}`,
    `helm.sh/helm/v4 ${HELM}`,
    ...STAGING.map((name) => `k8s.io/${name} ${staging}`),
  ];
  const replaced = [
    ...STAGING.map((name) => `k8s.io/${name} => k8s.io/${name} ${staging}`),
    ...UNUSED.map((name) => `k8s.io/${name} => ./unused`),
  ];
  const block = (word: string, lines: readonly string[]): string =>
    `${word} (\n${lines.map((line) => `\t${line}\n`).join("")})\n`;
  return `module meshid.dev/control-plane\n\ngo 1.26.0\n\n${block("require", required)}\n${block("replace", replaced)}`;
}

/** Puts the missing programs into the cache. @throws Error where Go is missing or the build fails. */
export async function buildPrograms({
  version,
  cache,
  missing,
}: {
  readonly version: string;
  readonly cache: string;
  readonly missing: readonly ProgramName[];
}): Promise<void> {
  await run("go", ["version"]).catch((cause: unknown) => {
    throw new Error("go is not installed", { cause });
  });
  await mkdir(cache, { recursive: true });
  process.stderr.write(
    `meshid: building Kubernetes ${version}, etcd and helm from Go modules into ${cache}, once; about 10 minutes on two cores\n`,
  );
  const scratch = await mkdtemp(join(cache, "build-"));
  try {
    await writeFile(join(scratch, "go.mod"), goModule(version));
    await copyFile(SOURCE, join(scratch, "main.go"));
    await mkdir(join(scratch, "unused"));
    await writeFile(join(scratch, "unused/go.mod"), "module unused\n\ngo 1.26.0\n");
    await goBuild(scratch, version);
    await chmod(join(scratch, BINARY), 0o755);
    await rename(join(scratch, BINARY), join(cache, BINARY));
    for (const program of PROGRAMS.filter((name) => missing.includes(name))) {
      // By rename: another build may end at the same moment.
      await symlink(BINARY, join(scratch, program));
      await rename(join(scratch, program), join(cache, program));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function goBuild(dir: string, version: string): Promise<void> {
  const [, major, minor] = /^v(\d+)\.(\d+)\./.exec(version) ?? [];
  const at = "k8s.io/component-base/version";
  // Without them /version says v0.0.0-master, and the version checks of helm and kubectl fail.
  const stamps = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  const link = Object.entries(stamps).map(([name, value]) => `-X ${at}.${name}=${value}`);
  const args = [
    "build",
    "-mod=mod",
    "-buildvcs=false",
    "-trimpath",
    "-o",
    BINARY,
    "-ldflags",
    ["-s -w", ...link].join(" "),
    ".",
  ];
  const child = spawn("go", args, {
    cwd: dir,
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "" },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: BUILD_LIMIT,
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4000);
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit) => resolve(exit ?? 1));
  });
  if (code !== 0) throw new Error(`go build failed: ${words.trim().split("\n").slice(-8).join("\n")}`);
}
