/**
 * How to reach an API server and who to be there. In a pod that is three files, read anew when they change (the token
 * lives an hour); elsewhere it is a kubeconfig, for which `@kubernetes/client-node` is loaded: it knows exec plugins,
 * client certificates and contexts, and costs 60 MB that a pod need not spend.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { digest } from "../core/digest.ts";
import { OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

export interface Credentials {
  /** Changes when the TLS side does: then connections are made anew. */
  readonly id: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: Secret | undefined;
  readonly isInsecure: boolean;
  readonly bearer: Secret | undefined;
}

export interface Connection {
  readonly server: URL;
  /** The namespace to work in where none is given. */
  readonly namespace: string | undefined;
  /** Asked for each request; `isRejected`: the server has just answered 401. */
  credentials(isRejected: boolean): Promise<Credentials>;
}

const POD_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Files are looked at again after this many requests' worth of time. */
const REREAD_AFTER_MS = 30_000;

export interface ConnectionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
}

/** @throws INVALID_CONFIGURATION saying what was looked for. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { env, kubeconfig, context } = options;
  const host = env["KUBERNETES_SERVICE_HOST"];
  if (kubeconfig === undefined && context === undefined && env["KUBECONFIG"] === undefined && host) {
    return podConnection(host, env["KUBERNETES_SERVICE_PORT"] ?? "443", options);
  }
  return kubeconfigConnection(options);
}

function podConnection(host: string, port: string, { monotonic }: ConnectionOptions): Connection {
  const server = new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`);
  let known: { readonly at: number; readonly credentials: Credentials } | undefined;
  const read = (): Credentials => {
    const ca = readPodFile("ca.crt");
    const token = readPodFile("token").trim();
    return {
      id: digest(ca),
      ca,
      cert: undefined,
      key: undefined,
      isInsecure: false,
      bearer: new Secret(token),
    };
  };
  return {
    server,
    namespace: readPodFile("namespace").trim(),
    credentials: async (isRejected) => {
      if (known === undefined || isRejected || monotonic() - known.at > REREAD_AFTER_MS)
        known = { at: monotonic(), credentials: read() };
      return known.credentials;
    },
  };
}

function readPodFile(name: string): string {
  const path = join(POD_DIRECTORY, name);
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `${path} cannot be read; expected the pod's ServiceAccount (automountServiceAccountToken: true), or --kubeconfig`,
      { cause },
    );
  }
}

async function kubeconfigConnection(options: ConnectionOptions): Promise<Connection> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  const files =
    options.kubeconfig ?? options.env["KUBECONFIG"] ?? join(options.env["HOME"] ?? "", ".kube", "config");
  try {
    for (const [index, file] of files.split(":").filter(Boolean).entries()) {
      if (index === 0) config.loadFromFile(file);
      else {
        const more = new KubeConfig();
        more.loadFromFile(file);
        config.mergeConfig(more, true);
      }
    }
  } catch (cause) {
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `kubeconfig ${files} cannot be read; expected a kubeconfig (--kubeconfig FILE or KUBECONFIG), or to run in a pod`,
      { cause },
    );
  }
  const { context } = options;
  if (context !== undefined) {
    if (config.getContextObject(context) === null)
      throw new OperatorError("INVALID_CONFIGURATION", `--context: ${files} has no context ${context}`);
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `kubeconfig ${files} has no current context; expected one, or --context NAME`,
    );
  if (!cluster.server.startsWith("https://"))
    throw new OperatorError("INVALID_CONFIGURATION", `the server of ${files} is not an https:// address`);
  return {
    server: new URL(cluster.server),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    // Exec plugins keep their own cache and know when a token ends.
    credentials: async () => {
      const wanted: TlsOptions = {};
      await config.applyToHTTPSOptions(wanted);
      return credentialsOf(wanted);
    },
  };
}

/** What client-node fills in, as far as it is of use here. */
interface TlsOptions {
  ca?: Buffer | string;
  cert?: Buffer | string;
  key?: Buffer | string;
  rejectUnauthorized?: boolean;
  headers?: Record<string, string>;
}

function credentialsOf({ ca, cert, key, rejectUnauthorized, headers }: TlsOptions): Credentials {
  const bearer = /^Bearer (.+)$/.exec(headers?.["Authorization"] ?? "")?.[1];
  return {
    id: digest(ca ?? "", cert ?? "", key ?? "", String(rejectUnauthorized)),
    ca: ca?.toString(),
    cert: cert?.toString(),
    key: key === undefined ? undefined : new Secret(key.toString()),
    isInsecure: rejectUnauthorized === false,
    bearer: bearer === undefined ? undefined : new Secret(bearer),
  };
}
