/**
 * How to reach an API server and who to be there. In a pod that is three files, read anew when they change (the token
 * lives an hour); elsewhere it is a kubeconfig, for which `@kubernetes/client-node` is loaded: it knows exec plugins,
 * client certificates and contexts, and costs 60 MB that a pod need not spend.
 */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import { milliseconds } from "../core/brand.ts";
import { digest } from "../core/digest.ts";
import { messageOf, OperatorError, quoted } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

export interface Credentials {
  /** Changes when the TLS side does: then connections are made anew. */
  readonly id: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: Secret | undefined;
  readonly isInsecure: boolean;
  /** In place of the host, where a kubeconfig says so (`tls-server-name`). */
  readonly servername?: string;
  /** The user to be in place of one's own (`as`). */
  readonly impersonate?: string;
  readonly bearer: Secret | undefined;
}

export interface Connection {
  readonly server: URL;
  /** The namespace to work in where none is given. */
  readonly namespace: string | undefined;
  /** Asked for each request; `isRejected`: the server has just answered 401. */
  credentials(isRejected: boolean): Promise<Credentials>;
}

/** One that is under way. */
interface Reading {
  /** On the monotonic clock. */
  readonly at: number;
  readonly isRejected: boolean;
  readonly credentials: Promise<Credentials>;
}

/** In every pod. */
const POD_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Files are looked at again after this long: the kubelet renews a token when a fifth of its life is left. */
const REREAD_AFTER_MS = 30_000;
/** A plugin that has said nothing for longer has no answer; who asks later begins anew. */
const HUNG_AFTER = milliseconds(60_000);
/** So many plugins run at the same time at most: nobody ends those that hang. */
const MAX_RUNNING = 3;

export interface ConnectionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
  /** Where a pod finds its ServiceAccount; elsewhere only in tests. */
  readonly podDirectory?: string;
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

function podConnection(host: string, port: string, options: ConnectionOptions): Connection {
  const { monotonic, podDirectory: directory = POD_DIRECTORY } = options;
  const read = (): Credentials => {
    const ca = readPodFile(directory, "ca.crt");
    const token = readPodFile(directory, "token").trim();
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
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    namespace: readPodFile(directory, "namespace").trim(),
    credentials: remembering(async () => read(), monotonic),
  };
}

/**
 * What was read lately, or is read anew, once for all who ask meanwhile; what cannot be read any more stays as it was: the server
 * decides on it.
 */
function remembering(
  read: (isRejected: boolean) => Promise<Credentials>,
  monotonic: () => number,
): Connection["credentials"] {
  let known: { readonly at: number; readonly credentials: Credentials } | undefined;
  let pending: Reading | undefined;
  let running = 0;
  const readAnew = async (isRejected: boolean, at: number): Promise<Credentials> => {
    try {
      const credentials = await read(isRejected);
      // What was given up may end after what was begun later.
      if (known === undefined || known.at <= at) known = { at, credentials };
    } catch (error) {
      if (known === undefined) throw error;
      known = { ...known, at: Math.max(known.at, at) };
    }
    return known.credentials;
  };
  return async (isRejected) => {
    const at = monotonic();
    if (known !== undefined && !isRejected && at - known.at <= REREAD_AFTER_MS) return known.credentials;
    // What was begun before a token was refused may bring that same token.
    const shared = isRejected && pending?.isRejected === false ? undefined : pending;
    if (shared !== undefined && at - shared.at <= HUNG_AFTER) return shared.credentials;
    if (pending !== undefined && running >= MAX_RUNNING) return pending.credentials;
    const reading = { at, isRejected, credentials: readAnew(isRejected, at) };
    pending = reading;
    running += 1;
    try {
      return await reading.credentials;
    } finally {
      running -= 1;
      if (pending === reading) pending = undefined;
    }
  };
}

function readPodFile(directory: string, name: string): string {
  const path = join(directory, name);
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
  const { KubeConfig, loadYaml } = await import("@kubernetes/client-node");
  const files =
    options.kubeconfig ?? options.env["KUBECONFIG"] ?? join(options.env["HOME"] ?? "", ".kube", "config");
  const read = (file: string): KubeConfig => {
    const config = new KubeConfig();
    config.loadFromFile(file);
    takeTokenFiles(config, file, loadYaml(readFileSync(file, "utf8")));
    return config;
  };
  const load = (): KubeConfig => loadKubeconfig(read, files, options.context);
  let config = load();
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `kubeconfig ${files} has no current context; expected one, or --context NAME`,
    );
  if (!cluster.server.startsWith("https://"))
    throw new OperatorError("INVALID_CONFIGURATION", `the server of ${files} is not an https:// address`);
  if (cluster.proxyUrl !== undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `kubeconfig ${files} names a proxy (proxy-url), which meshid does not use; expected a server that is reached directly`,
    );
  return {
    server: new URL(cluster.server),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    // An exec plugin is asked when its token has ended by its own account; one that is refused before that is asked for anew.
    credentials: remembering(async (isRejected) => {
      if (isRejected) config = load();
      return credentialsIn(config);
    }, options.monotonic),
  };
}

/** @throws INVALID_CONFIGURATION. */
function loadKubeconfig(
  read: (file: string) => KubeConfig,
  files: string,
  context: string | undefined,
): KubeConfig {
  let config: KubeConfig;
  try {
    const [first = files, ...others] = present(files);
    config = read(first);
    for (const file of others) mergeInto(config, read(file));
  } catch (cause) {
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `kubeconfig ${files} cannot be read; expected a kubeconfig (--kubeconfig FILE or KUBECONFIG), or to run in a pod`,
      { cause },
    );
  }
  if (context === undefined) return config;
  if (config.getContextObject(context) === null)
    throw new OperatorError("INVALID_CONFIGURATION", `--context: ${files} has no context ${context}`);
  config.setCurrentContext(context);
  return config;
}

/**
 * `tokenFile` of a user; it is read anew when the server refuses the token. client-node overlooks it (it knows another
 * spelling) and would ask as system:anonymous.
 */
function takeTokenFiles(config: KubeConfig, file: string, document: unknown): void {
  const { users = [] } = (document ?? {}) as {
    readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: unknown } }[];
  };
  for (const { name, user } of users) {
    if (typeof user?.tokenFile !== "string") continue;
    const token = readFileSync(resolve(dirname(file), user.tokenFile), "utf8").trim();
    config.users = config.users.map((one) => (one.name === name ? { ...one, token } : one));
  }
}

/** Of several files those that are there, as kubectl takes them. */
function present(files: string): readonly string[] {
  const all = files.split(":").filter(Boolean);
  return all.length > 1 ? all.filter((file) => existsSync(file)) : all;
}

/** Whatever has a name already stays as it is: the first file counts. */
function mergeInto(config: KubeConfig, more: KubeConfig): void {
  const [clusters, users, contexts] = [config.clusters, config.users, config.contexts].map(
    (known) => new Set(known.map(({ name }) => name)),
  );
  more.clusters = more.clusters.filter(({ name }) => clusters?.has(name) !== true);
  more.users = more.users.filter(({ name }) => users?.has(name) !== true);
  more.contexts = more.contexts.filter(({ name }) => contexts?.has(name) !== true);
  const hasContext = Boolean(config.getCurrentContext());
  config.mergeConfig(more, hasContext);
}

/** @throws STORAGE_FAILED (retryable) where a plugin gives none, or a file is gone. */
async function credentialsIn(config: KubeConfig): Promise<Credentials> {
  const wanted: TlsOptions = {};
  try {
    await config.applyToHTTPSOptions(wanted);
  } catch (cause) {
    const user = config.getCurrentUser()?.name ?? "";
    // What JSON.parse says shows what it was given, which may be a token.
    const isUnreadable = cause instanceof SyntaxError;
    const why = isUnreadable ? "its plugin printed no JSON" : messageOf(cause).slice(0, 500);
    throw new OperatorError(
      "STORAGE_FAILED",
      `the kubeconfig gives no credentials for user ${quoted(user)}: ${why}`,
      { retryable: true, ...(isUnreadable ? {} : { cause }) },
    );
  }
  return credentialsOf(wanted);
}

/** What client-node fills in, as far as it is of use here. */
interface TlsOptions {
  ca?: Buffer | string;
  cert?: Buffer | string;
  key?: Buffer | string;
  rejectUnauthorized?: boolean;
  servername?: string;
  headers?: Record<string, string>;
}

function credentialsOf({ ca, cert, key, rejectUnauthorized, servername, headers }: TlsOptions): Credentials {
  const impersonate = headers?.["Impersonate-User"];
  const bearer = /^Bearer (.+)$/.exec((headers?.["Authorization"] ?? "").trim())?.[1];
  return {
    id: digest(ca ?? "", cert ?? "", key ?? "", String(rejectUnauthorized), servername ?? ""),
    ca: ca?.toString(),
    cert: cert?.toString(),
    key: key === undefined ? undefined : new Secret(key.toString()),
    isInsecure: rejectUnauthorized === false,
    ...(servername === undefined ? {} : { servername }),
    ...(impersonate === undefined ? {} : { impersonate }),
    bearer: bearer === undefined ? undefined : new Secret(bearer),
  };
}
