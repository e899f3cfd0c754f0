/**
 * What suites do with a running control plane: kubectl, helm, plain requests, users and namespaces.
 */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { pathsIn, writeKubeconfig } from "./credentials.ts";
import type { ApiRequest, ApiResponse, CommandOptions, Completed, ControlPlane } from "./types.ts";

const CRDS = fileURLToPath(new URL("../../../crds", import.meta.url));
const REQUEST_LIMIT = 60_000;
const WAIT_LIMIT = 30_000;

/** What `control-plane.json` in the directory says. */
export interface Description {
  readonly version: string;
  readonly server: string;
  /** Ports on 127.0.0.1: of etcd for clients, of etcd for peers, of the API server. */
  readonly ports: readonly [number, number, number];
}

export const descriptionFile = (dir: string): string => join(dir, "control-plane.json");
export const auditLogFile = (dir: string): string => join(dir, "audit.log");
export const assetsDirectory = (dir: string): string => join(dir, "bin");
export const adminKubeconfig = (dir: string): string => join(dir, "admin.kubeconfig");

/** @throws Error where no control plane was started in this directory. */
export function readDescription(dir: string): Description {
  const file = descriptionFile(dir);
  if (!existsSync(file))
    throw new Error(`no control plane runs in ${dir}; hack/control-plane start starts one`);
  return JSON.parse(readFileSync(file, "utf8")) as Description;
}

/** The control plane that was started in this directory. @throws Error where there is none. */
export function openControlPlane(dir: string): ControlPlane {
  const { version, server } = readDescription(dir);
  const kubeconfig = adminKubeconfig(dir);
  const ca = readFileSync(pathsIn(dir).ca, "utf8");
  const assets = assetsDirectory(dir);
  const send = adminRequests(server, ca, kubeconfig);

  const userKubeconfig = async (user: string, groups: readonly string[] = []): Promise<string> => {
    const path = join(dir, `user-${randomBytes(6).toString("hex")}.kubeconfig`);
    await writeKubeconfig(dir, path, { server, user, groups });
    return path;
  };

  const runAs = async (
    program: string,
    args: readonly string[],
    options: CommandOptions = {},
  ): Promise<Completed> => {
    const asUser = options.user === undefined ? kubeconfig : await userKubeconfig(options.user);
    const env = {
      ...process.env,
      KUBECONFIG: options.kubeconfig ?? asUser,
      PATH: `${assets}:${process.env["PATH"]}`,
      // Neither the caches nor the settings of whoever runs the tests.
      KUBECACHEDIR: join(dir, "kubectl-cache"),
      HELM_CACHE_HOME: join(dir, "helm/cache"),
      HELM_CONFIG_HOME: join(dir, "helm/config"),
      HELM_DATA_HOME: join(dir, "helm/data"),
    };
    return complete(join(assets, program), args, { env, input: options.input ?? "" });
  };

  return {
    kubeconfig,
    server,
    ca,
    auditLog: auditLogFile(dir),
    assets,
    version,
    kubectl: (args, options) => runAs("kubectl", args, options),
    helm: (args, options) => runAs("helm", args, options),
    request: send,
    userKubeconfig,
    makeNamespace: (labels) => makeNamespace(send, labels ?? {}),
    installCrds: () => installCrds(send),
  };
}

async function complete(
  binary: string,
  args: readonly string[],
  { env, input }: { readonly env: NodeJS.ProcessEnv; readonly input: string },
): Promise<Completed> {
  const child = spawn(binary, args, { env, stdio: ["pipe", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit) => resolve(exit ?? 1));
  });
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

type Send = (request: ApiRequest) => Promise<ApiResponse>;

/** node:https and not the product's transport: a fault of that one must not hide in a test of it. */
function adminRequests(server: string, ca: string, kubeconfig: string): Send {
  let agent: Agent | undefined;
  const pool = (): Agent => {
    if (agent !== undefined) return agent;
    const { users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
      users: { user: { "client-certificate-data": string; "client-key-data": string } }[];
    };
    const { user } = users[0]!;
    const text = (base64: string): string => Buffer.from(base64, "base64").toString();
    const cert = text(user["client-certificate-data"]);
    agent = new Agent({ keepAlive: true, maxSockets: 8, ca, cert, key: text(user["client-key-data"]) });
    return agent;
  };
  return ({ method, path, body, contentType = "application/json" }) =>
    new Promise((resolve, reject) => {
      const request = httpsRequest(
        new URL(path, server),
        {
          method,
          agent: pool(),
          headers: { accept: "application/json", "content-type": contentType },
          signal: AbortSignal.timeout(REQUEST_LIMIT),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.once("error", reject);
          response.once("end", () => {
            const answer = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, body: jsonOrText(answer) });
          });
        },
      );
      request.once("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @throws Error naming the request and the answer. */
function expectSuccess({ method, path }: ApiRequest, { status, body }: ApiResponse): void {
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
}

async function makeNamespace(send: Send, labels: Readonly<Record<string, string>>): Promise<string> {
  const name = `t-${randomBytes(4).toString("hex")}`;
  const request: ApiRequest = {
    method: "POST",
    path: "/api/v1/namespaces",
    body: { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } },
  };
  expectSuccess(request, await send(request));
  await eventually(`the default ServiceAccount of ${name}`, async () => {
    const path = `/api/v1/namespaces/${name}/serviceaccounts/default`;
    return (await send({ method: "GET", path })).status === 200;
  });
  return name;
}

interface CrdStatus {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string }[];
  };
}

const CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Waits until the API server has taken a CRD up, and answers for its objects: the one may be a moment before the other. */
export async function untilServed(send: Send, { metadata: { name }, spec }: Crd): Promise<void> {
  await eventually(`${name} is established`, async () => {
    const { status } = (await send({ method: "GET", path: `${CRD_PATH}/${name}` })).body as CrdStatus;
    return (
      status?.conditions?.some(({ type, status }) => type === "Established" && status === "True") ?? false
    );
  });
  const objects = `/apis/${spec.group}/${spec.versions[0]?.name}/${spec.names.plural}?limit=1`;
  await eventually(`${name} is served`, async () => {
    return (await send({ method: "GET", path: objects })).status === 200;
  });
}

async function installCrds(send: Send): Promise<void> {
  const files = readdirSync(CRDS).filter((file) => file.endsWith(".yaml"));
  await Promise.all(
    files.map(async (file) => {
      const body = parse(readFileSync(join(CRDS, file), "utf8")) as Crd;
      const path = `${CRD_PATH}/${body.metadata.name}`;
      const request: ApiRequest = {
        method: "PATCH",
        path: `${path}?fieldManager=test&force=true`,
        contentType: "application/apply-patch+yaml",
        body,
      };
      expectSuccess(request, await send(request));
      await untilServed(send, body);
    }),
  );
}

async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WAIT_LIMIT; !(await isSo()); ) {
    if (Date.now() > end) throw new Error(`${what}: not seen within ${WAIT_LIMIT / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
