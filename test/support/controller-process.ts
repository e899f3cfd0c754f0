/**
 * `meshid controller` as the chart runs it: a process of its own that holds a token of the chart's ServiceAccount and no
 * other right, with the flags, the environment and the files of the rendered Deployment.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { dirname, join } from "node:path";
import { only, type Rendered, render } from "../chart/rendered.ts";
import { type Crd, untilServed } from "./control-plane/client.ts";
import { freePort } from "./control-plane/start.ts";
import type { ApiRequest, ControlPlane, OwnControlPlane } from "./control-plane/types.ts";
import { MAIN } from "./local-process.ts";

const OPERATOR_NAMESPACE = "meshid-system";
const POD_DIRECTORY = "/run/secrets/kubernetes.io/serviceaccount";
const READY_LIMIT = 40_000;
/** Milliseconds. */
const ANSWER_LIMIT = 20_000;
/** Kernel ticks a second: 100 on every Linux that Node supports. */
const TICKS = 100;

export interface InstallOptions {
  /** Values of the chart. */
  readonly values?: unknown;
  readonly namespace?: string;
  /** The program: default `src/main.ts`. */
  readonly main?: string;
}

interface StartOptions {
  /** Of the pod. Default: one of its own. */
  readonly name?: string;
  /** Flags after those of the Deployment: they win. */
  readonly flags?: readonly string[];
  /** Default true: until `/readyz` answers 200. */
  readonly waits?: boolean;
  /**
   * Default false: by a kubeconfig. True: by the files and variables of a pod, in a mount namespace of its own, which
   * takes root on Linux. What a pod does not load counts for memory and time.
   */
  readonly asPod?: boolean;
  /** The API server as this process reaches it; not for a pod. Default: the control plane's own address. */
  readonly server?: string;
  /** Where it serves: empty for every address. Default: 127.0.0.1 alone. */
  readonly host?: string;
}

/** The chart on a control plane, without its Deployment: processes of this machine stand for its pods. */
export interface Installation extends AsyncDisposable {
  readonly kube: OwnControlPlane;
  readonly namespace: string;
  /** Who the controller is to the API server. */
  readonly user: string;
  /** Every object that the chart renders, the Deployment included. */
  readonly rendered: readonly Rendered[];
  start(options?: StartOptions): Promise<ControllerProcess>;
}

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

export interface Usage {
  /** Milliseconds of processor time since the start, every thread counted. */
  readonly cpuMs: number;
  readonly rssMib: number;
  readonly peakMib: number;
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** `Date.now()` */
  readonly at: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface ControllerProcess {
  /** Of the pod: what is in the Lease begins with it. */
  readonly name: string;
  readonly pid: number;
  readonly probesPort: number;
  readonly listenPort: number;
  readonly ended: Promise<Ended>;
  isRunning(): boolean;
  /** Every line of the log so far. @throws Error for one that is no JSON. */
  logs(): readonly LogLine[];
  /** `/livez`, `/readyz?verbose`, `/metrics`. @throws where nothing listens. */
  probe(path: string): Promise<Answer>;
  /** A public document over HTTPS, the certificate checked for the Service's name. `ca`: PEM of the roots. */
  fetch(path: string, ca: string): Promise<Answer>;
  usage(): Usage;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; how it ended, and after how many milliseconds. */
  stop(): Promise<Ended & { readonly took: number }>;
  /** SIGKILL. */
  kill(): Promise<Ended>;
}

/** Renders the chart with helm, applies all of it but the Deployment, and waits until the CRDs are served. */
export async function installChart(
  kube: OwnControlPlane,
  options: InstallOptions = {},
): Promise<Installation> {
  const namespace = options.namespace ?? OPERATOR_NAMESPACE;
  const rendered = await render(kube, options.values ?? {}, namespace);
  await must(kube, {
    method: "POST",
    path: "/api/v1/namespaces",
    body: { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
  });
  const items = rendered.filter(({ kind }) => kind !== "Deployment");
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const applied = await kube.kubectl(["apply", "--server-side", "--field-manager=helm", "-f", "-"], {
    input,
  });
  if (applied.code !== 0) throw new Error(applied.stderr);
  const crds = items.filter(({ kind }) => kind === "CustomResourceDefinition");
  await Promise.all(
    crds.map((crd) => untilServed((request) => kube.request(request), crd as Rendered & Crd)),
  );
  const processes: ControllerProcess[] = [];
  const installation: Installation = {
    kube,
    namespace,
    user: `system:serviceaccount:${namespace}:meshid`,
    rendered,
    start: async (start = {}) => {
      const one = await startProcess(installation, options.main ?? MAIN, start);
      processes.push(one);
      if (start.waits !== false) await untilReady(one);
      return one;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(processes.map((one) => one.kill()));
    },
  };
  return installation;
}

/** @throws Error with the last lines of its log where it ends or does not become ready. */
export async function untilReady(one: ControllerProcess): Promise<void> {
  const end = Date.now() + READY_LIMIT;
  for (;;) {
    const answer = await one.probe("/readyz?verbose").catch(() => undefined);
    if (answer?.status === 200) return;
    if (!one.isRunning() || Date.now() > end) {
      const lines = one
        .logs()
        .slice(-20)
        .map((line) => JSON.stringify(line));
      throw new Error(`${one.name} is not ready\n${answer?.body ?? ""}\n${lines.join("\n")}`);
    }
    await pause(20);
  }
}

/** A request that has to succeed. @throws Error naming it and the answer. */
export async function must<T = unknown>(kube: ControlPlane, request: ApiRequest): Promise<T> {
  const { status, body } = await kube.request(request);
  if (status >= 300) throw new Error(`${request.method} ${request.path}: ${status} ${JSON.stringify(body)}`);
  return body as T;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Of any process. */
export function usageOf(pid: number): Usage {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mib = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { cpuMs: (ticks * 1000) / TICKS, rssMib: mib("VmRSS"), peakMib: mib("VmHWM") };
}

async function startProcess(
  { kube, namespace, rendered }: Installation,
  main: string,
  {
    name = `meshid-${randomBytes(4).toString("hex")}`,
    flags = [],
    asPod = false,
    server = kube.server,
    host = "127.0.0.1",
  }: StartOptions,
): Promise<ControllerProcess> {
  const dir = join(kube.dir, name);
  mkdirSync(dir);
  const [listenPort, probesPort] = [await freePort(), await freePort()];
  const pod = podOf(rendered, { namespace, name, dir });
  const args = [...pod.args, `--listen=${host}:${listenPort}`, `--probes=127.0.0.1:${probesPort}`, ...flags];
  const access = asPod
    ? await podAccess(kube, namespace, dir)
    : await kubeconfigAccess({ ...kube, server }, namespace, dir);
  const env = { PATH: process.env["PATH"], HOME: dir, ...access.env, ...pod.env };
  const log = join(dir, "log");
  const output = openSync(log, "a");
  const program = [process.execPath, "--disable-warning=ExperimentalWarning", main, ...args];
  const [command = "", ...rest] = [...access.wrapper, ...program];
  const child = spawn(command, rest, {
    cwd: dir,
    env,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  if (child.pid === undefined) throw new Error(`${main} cannot be started`);
  // Whoever ends the control plane ends the controller with it.
  writeFileSync(join(kube.dir, `${name}.pid`), String(child.pid));
  return describe(child, { name, log, listenPort, probesPort, serverName: `meshid.${namespace}.svc` });
}

interface Described {
  readonly name: string;
  readonly log: string;
  readonly listenPort: number;
  readonly probesPort: number;
  readonly serverName: string;
}

function describe(
  child: ChildProcess,
  { name, log, listenPort, probesPort, serverName }: Described,
): ControllerProcess {
  const pid = child.pid ?? 0;
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal, at: Date.now() }));
  });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const agent = new Agent({ keepAlive: false });
  return {
    name,
    pid,
    listenPort,
    probesPort,
    ended,
    isRunning,
    logs: () => linesOf(readFileSync(log, "utf8")),
    probe: (path) =>
      answerOf(httpRequest({ host: "127.0.0.1", port: probesPort, path, agent, timeout: ANSWER_LIMIT })),
    fetch: (path, ca) =>
      answerOf(
        httpsRequest({
          host: "127.0.0.1",
          port: listenPort,
          path,
          ca,
          servername: serverName,
          agent: false,
          headers: { host: serverName },
          timeout: ANSWER_LIMIT,
        }),
      ),
    usage: () => usageOf(pid),
    signal: (signal) => {
      child.kill(signal);
    },
    stop: async () => {
      const start = Date.now();
      child.kill("SIGTERM");
      const end = await ended;
      return { ...end, took: end.at - start };
    },
    kill: async () => {
      child.kill("SIGKILL");
      return ended;
    },
  };
}

function linesOf(text: string): readonly LogLine[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      try {
        return JSON.parse(line) as LogLine;
      } catch {
        return { level: "none", msg: line, time: "" };
      }
    });
}

function answerOf(request: ReturnType<typeof httpRequest>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.once("timeout", () => request.destroy(new Error(`no answer within ${ANSWER_LIMIT} ms`)));
    request.once("error", reject);
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.end();
  });
}

/** What the kubelet makes of the Deployment's container: arguments, environment, mounted ConfigMaps. */
function podOf(
  rendered: readonly Rendered[],
  { namespace, name, dir }: { readonly namespace: string; readonly name: string; readonly dir: string },
): { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const { containers, volumes = [] } = only(rendered, "Deployment")["spec"].template.spec;
  const [container] = containers;
  const mounts = new Map<string, string>();
  for (const { name: volume, mountPath } of container.volumeMounts ?? []) {
    const { configMap } = volumes.find((one: { readonly name: string }) => one.name === volume);
    const { data } = only(rendered, "ConfigMap", configMap.name);
    const folder = join(dir, volume);
    for (const [file, content] of Object.entries(data)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), content as string);
    }
    mounts.set(mountPath, folder);
  }
  const fields: Readonly<Record<string, string>> = {
    "metadata.namespace": namespace,
    "metadata.name": name,
  };
  const env: Record<string, string> = {};
  for (const { name: variable, value, valueFrom } of container.env ?? [])
    env[variable] = value ?? fields[valueFrom.fieldRef.fieldPath];
  const args = (container.args as readonly string[]).map((arg) =>
    [...mounts].reduce((text, [path, folder]) => text.replace(`=${path}/`, `=${folder}/`), arg),
  );
  return { args, env };
}

/** How the process comes to its API server. */
interface Access {
  readonly env: Readonly<Record<string, string>>;
  /** In front of the program. */
  readonly wrapper: readonly string[];
}

/** Of the chart's ServiceAccount, as a pod has it: for an hour. */
async function tokenOf(kube: ControlPlane, namespace: string): Promise<string> {
  const { status } = await must<{ readonly status: { readonly token: string } }>(kube, {
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/meshid/token`,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } },
  });
  return status.token;
}

async function podAccess(kube: ControlPlane, namespace: string, dir: string): Promise<Access> {
  const files = join(dir, "serviceaccount");
  mkdirSync(files);
  writeFileSync(join(files, "ca.crt"), kube.ca);
  writeFileSync(join(files, "namespace"), namespace);
  writeFileSync(join(files, "token"), await tokenOf(kube, namespace), { mode: 0o600 });
  const { hostname, port } = new URL(kube.server);
  // `unshare` and `sh` become the program: its process id is theirs.
  const script =
    'mount -t tmpfs tmpfs /run && mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"';
  const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh", files, POD_DIRECTORY];
  return { env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }, wrapper };
}

async function kubeconfigAccess(kube: ControlPlane, namespace: string, dir: string): Promise<Access> {
  return { env: { KUBECONFIG: await writeTokenKubeconfig(kube, namespace, dir) }, wrapper: [] };
}

async function writeTokenKubeconfig(kube: ControlPlane, namespace: string, dir: string): Promise<string> {
  const token = await tokenOf(kube, namespace);
  const ca = Buffer.from(kube.ca).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "it", cluster: { server: kube.server, "certificate-authority-data": ca } }],
    users: [{ name: "meshid", user: { token } }],
    contexts: [{ name: "it", context: { cluster: "it", user: "meshid", namespace } }],
    "current-context": "it",
  };
  const path = join(dir, "kubeconfig");
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
