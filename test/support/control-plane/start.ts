/**
 * Starts etcd, kube-apiserver and kube-controller-manager on free ports of 127.0.0.1, and ends them.
 */

import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  adminKubeconfig,
  assetsDirectory,
  auditLogFile,
  type Description,
  descriptionFile,
  openControlPlane,
  readDescription,
} from "./client.ts";
import { makeCredentials, pathsIn, writeKubeconfig } from "./credentials.ts";
import {
  endAll,
  isRunning,
  killProcess,
  lastWords,
  leash,
  pidOf,
  signalProcess,
  startProcess,
} from "./processes.ts";
import { findPrograms } from "./programs.ts";
import { PINNED_VERSION } from "./releases.ts";
import type { OwnControlPlane, Program, StartOptions } from "./types.ts";

const READY_LIMIT = 90_000;
/** Someone else may take a port between the look at it and its use. */
const ATTEMPTS = 3;
const SERVER = "kube-apiserver";
const MANAGER = "kube-controller-manager";

/** Memory where there is some to write to: etcd and the audit log write much. */
export function baseDirectory(): string {
  return existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
}

/** @throws Error saying what to do where the programs cannot be had, and with a program's last words where it fails. */
export async function startControlPlane(options: StartOptions = {}): Promise<OwnControlPlane> {
  const version = options.version ?? PINNED_VERSION;
  const programs = await findPrograms(version);
  const dir = options.dir ?? (await mkdtemp(join(baseDirectory(), "meshid-control-plane-")));
  await mkdir(dir, { recursive: true });
  if ((await readdir(dir)).length > 0)
    throw new Error(`${dir} is not empty; hack/control-plane stop removes it`);
  const owner = options.endsWithOwner === false ? undefined : leash(dir);
  const flags = [...(options.flags ?? []), ...words(process.env["CONTROL_PLANE_APISERVER_FLAGS"])];
  const stop = async (): Promise<void> => {
    await endAll(dir);
    owner?.kill("SIGKILL");
  };
  try {
    await prepare(dir, programs);
    await startAll(dir, version, flags);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...openControlPlane(dir),
    dir,
    pid: (program: Program) => pidOf(dir, program),
    pause: () => signalProcess(dir, SERVER, "SIGSTOP"),
    resume: () => signalProcess(dir, SERVER, "SIGCONT"),
    kill: () => killProcess(dir, SERVER),
    restart: async (others) => {
      await killProcess(dir, SERVER);
      startProcess(dir, join(assetsDirectory(dir), SERVER), apiServerFlags(dir, others ?? flags));
      await untilReady(dir);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function words(text: string | undefined): readonly string[] {
  return (text ?? "").split(/\s+/).filter(Boolean);
}

async function prepare(dir: string, programs: ReadonlyMap<string, string>): Promise<void> {
  await mkdir(join(dir, "log"));
  await mkdir(assetsDirectory(dir));
  for (const [name, path] of programs) await symlink(path, join(assetsDirectory(dir), name));
  await makeCredentials(dir);
  const policy = {
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived"],
    rules: [{ level: "Metadata" }],
  };
  await writeFile(auditPolicyFile(dir), JSON.stringify(policy));
}

const auditPolicyFile = (dir: string): string => join(dir, "audit-policy.yaml");
const managerKubeconfig = (dir: string): string => join(dir, "kube-controller-manager.kubeconfig");

async function startAll(dir: string, version: string, flags: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const ports: Description["ports"] = [await freePort(), await freePort(), await freePort()];
    const server = `https://127.0.0.1:${ports[2]}`;
    await writeFile(descriptionFile(dir), JSON.stringify({ version, server, ports } satisfies Description));
    await writeKubeconfig(dir, adminKubeconfig(dir), { server, user: "admin", groups: ["system:masters"] });
    const manager = { server, user: "system:kube-controller-manager", groups: [] };
    await writeKubeconfig(dir, managerKubeconfig(dir), manager);
    startProcess(dir, join(assetsDirectory(dir), "etcd"), etcdFlags(dir, ports));
    startProcess(dir, join(assetsDirectory(dir), SERVER), apiServerFlags(dir, flags));
    try {
      await untilReady(dir);
      startProcess(dir, join(assetsDirectory(dir), MANAGER), managerFlags(dir));
      await untilManaged(dir);
      return;
    } catch (error) {
      const isTaken = ["etcd", SERVER].some((name) =>
        lastWords(dir, name).includes("address already in use"),
      );
      if (!isTaken || attempt === ATTEMPTS) throw error;
      await Promise.all([SERVER, "etcd"].map((name) => killProcess(dir, name)));
      await Promise.all(["etcd", "log"].map((name) => rm(join(dir, name), { recursive: true, force: true })));
      await mkdir(join(dir, "log"));
    }
  }
}

const PORTS = 2000;
/** Each worker of a test run has its own. */
const FIRST_PORT = 20_000 + PORTS * (Number(process.env["JEST_WORKER_ID"] ?? 0) % 5);
const given = new Set<number>();

/** No port twice. Below the range from which systems take ports for outgoing connections: one stays free while its server restarts. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + randomInt(PORTS);
    if (given.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    given.add(port);
    return port;
  }
}

function etcdFlags(dir: string, [client, peer]: Description["ports"]): readonly string[] {
  return [
    `--data-dir=${join(dir, "etcd")}`,
    `--listen-client-urls=http://127.0.0.1:${client}`,
    `--advertise-client-urls=http://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-cluster=default=http://127.0.0.1:${peer}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

function apiServerFlags(dir: string, flags: readonly string[]): readonly string[] {
  const { ports } = readDescription(dir);
  const paths = pathsIn(dir);
  return [
    `--etcd-servers=http://127.0.0.1:${ports[0]}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${ports[2]}`,
    `--tls-cert-file=${paths.serverCert}`,
    `--tls-private-key-file=${paths.serverKey}`,
    `--client-ca-file=${paths.ca}`,
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--allow-privileged=true",
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${paths.tokenPublicKey}`,
    `--service-account-signing-key-file=${paths.tokenKey}`,
    `--audit-policy-file=${auditPolicyFile(dir)}`,
    `--audit-log-path=${auditLogFile(dir)}`,
    // Megabytes: it is never to be cut in two.
    "--audit-log-maxsize=10000",
    ...flags,
  ];
}

function managerFlags(dir: string): readonly string[] {
  const paths = pathsIn(dir);
  return [
    `--kubeconfig=${managerKubeconfig(dir)}`,
    "--use-service-account-credentials",
    `--root-ca-file=${paths.ca}`,
    `--service-account-private-key-file=${paths.tokenKey}`,
    "--leader-elect=false",
    // It serves nothing that a test needs.
    "--secure-port=0",
    // Namespaces come and go by the dozen; the defaults would make that wait.
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
  ];
}

/** Ready: every post-start hook has run, RBAC's default roles among them. */
async function untilReady(dir: string): Promise<void> {
  const server = openControlPlane(dir);
  await until(
    dir,
    ["etcd", SERVER],
    async () => (await server.request({ method: "GET", path: "/readyz" })).status === 200,
  );
}

async function untilManaged(dir: string): Promise<void> {
  const server = openControlPlane(dir);
  const path = "/api/v1/namespaces/default/serviceaccounts/default";
  await until(dir, [MANAGER], async () => (await server.request({ method: "GET", path })).status === 200);
}

/** @throws Error with the last words of a program that has ended, or of all after the limit. */
async function until(dir: string, names: readonly string[], isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_LIMIT;
  for (;;) {
    if (await isSo().catch(() => false)) return;
    const ended = names.filter((name) => !isRunning(dir, name));
    if (ended.length > 0 || Date.now() > end) {
      const blamed = ended.length > 0 ? ended : names;
      const what = ended.length > 0 ? "ended" : `not ready after ${READY_LIMIT / 1000} s`;
      throw new Error(blamed.map((name) => `${name}: ${what}\n${lastWords(dir, name)}`).join("\n"));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
