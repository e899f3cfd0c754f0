/**
 * Builds the programs of a control plane from Go modules, for places that reach a Go module proxy and nothing else.
 * Takes about 17 minutes of one core the first time; the result stays in the cache.
 */

import { execFile, spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PINNED_VERSION, type ProgramName } from "./releases.ts";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL("./go/", import.meta.url));
const BINARY = "kubernetes";
const BUILD_LIMIT = 45 * 60_000;

/** Built with the pinned version alone: they do not compile with the parts of every other one. */
const TOOLS: readonly string[] = ["go.etcd.io/etcd/server/v3 v3.7.3", "helm.sh/helm/v4 v4.3.1"];

/** What a build of this version gives. */
export function programsBuiltFor(version: string): readonly ProgramName[] {
  const servers = ["kube-apiserver", "kube-controller-manager"] as const;
  return version === PINNED_VERSION ? [...servers, "etcd", "kubectl", "helm"] : servers;
}

/** The text of go.mod, from the one of Kubernetes. */
function goModule(version: string, kubernetes: string): string {
  // Kubernetes keeps its parts in its own tree and asks for them at v0.0.0; v1.X.Y of it has them at v0.X.Y.
  const staging = version.replace(/^v1\./, "v0.");
  const parts = [...kubernetes.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging\//gm)].map(
    ([, name = ""]) => name,
  );
  // Named, imported by nothing and not always published: an empty module stands in.
  const isUnused = (name: string): boolean => name.startsWith("k8s.io/sample-");
  const used = parts.filter((name) => !isUnused(name));
  const required = [
    `k8s.io/kubernetes ${version}`,
    ...(version === PINNED_VERSION ? TOOLS : []),
    ...used.map((name) => `${name} ${staging}`),
  ];
  const replaced = parts.map((name) => `${name} => ${isUnused(name) ? "./unused" : `${name} ${staging}`}`);
  const block = (word: string, lines: readonly string[]): string =>
    `${word} (\n${lines.map((line) => `\t${line}\n`).join("")})\n`;
  const [goLine = "go 1.26.0"] = /^go \S+$/m.exec(kubernetes) ?? [];
  return `module meshid.dev/control-plane\n\n${goLine}\n\n${block("require", required)}\n${block("replace", replaced)}`;
}

/** @throws Error where the proxy has no such version. */
async function kubernetesModule(version: string): Promise<string> {
  const { stdout } = await run("go", ["mod", "download", "-json", `k8s.io/kubernetes@${version}`]).catch(
    (error: Error & { readonly stdout?: string }) => {
      const said = /"Error": "(.*)"/.exec(error.stdout ?? "")?.[1];
      throw new Error(`no Go module of Kubernetes ${version}: ${said ?? error.message}`, { cause: error });
    },
  );
  const { GoMod } = JSON.parse(stdout) as { readonly GoMod: string };
  return readFile(GoMod, "utf8");
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
  const wanted = programsBuiltFor(version).filter((program) => missing.includes(program));
  if (wanted.length === 0) return;
  const module = goModule(version, await kubernetesModule(version));
  await mkdir(cache, { recursive: true });
  process.stderr.write(
    `meshid: building Kubernetes ${version} from Go modules into ${cache}, once; about 10 minutes on two cores\n`,
  );
  const scratch = await mkdtemp(join(cache, "build-"));
  try {
    await writeFile(join(scratch, "go.mod"), module);
    const sources = ["main.go", "servers.go", ...(version === PINNED_VERSION ? ["tools.go"] : [])];
    await Promise.all(sources.map((file) => copyFile(join(SOURCES, file), join(scratch, file))));
    await mkdir(join(scratch, "unused"));
    await writeFile(join(scratch, "unused/go.mod"), "module unused\n\ngo 1.22.0\n");
    await goBuild(scratch, version);
    await chmod(join(scratch, BINARY), 0o755);
    await rename(join(scratch, BINARY), join(cache, BINARY));
    for (const program of wanted) {
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
