/**
 * Starts the three peers of a run, and gathers what they tell.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { freePort } from "../../support/control-plane/start.ts";
import { until } from "../../support/local-process.ts";
import { AUDIENCE, type Bed } from "./bed.ts";
import { envoyCounters, findEnvoy, type Upstream, writeEnvoyConfig } from "./envoy.ts";
import { Mounted } from "./peers/mounted.ts";
import { type InPlay, PEERS, type Peer, type PeerSettings, type Told } from "./peers/told.ts";

const run = promisify(execFile);
const NODE_PEER = new URL("peers/node-peer.ts", import.meta.url);
const ENVOY_APP = new URL("peers/envoy-app.ts", import.meta.url);
const GO_PEER = new URL("peers/go/", import.meta.url);
const BUILD_LIMIT = 180_000;
const START_LIMIT = 30_000;

export interface Programs {
  readonly envoy: string;
  readonly go: string;
}

/** @throws Error where Go is missing, or Envoy cannot be had. */
export async function findPrograms(directory: string): Promise<Programs> {
  const go = join(directory, "go-peer");
  const env = { ...process.env, GOFLAGS: "", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
  await run("go", ["build", "-buildvcs=false", "-o", go, "."], {
    cwd: fileURLToPath(GO_PEER),
    env,
    timeout: BUILD_LIMIT,
  });
  return { envoy: await findEnvoy(), go };
}

export interface Peers extends AsyncDisposable {
  /** From now on they call each other. */
  call(): void;
  /** No more calls; returns when the last one has been told of. */
  finish(): Promise<void>;
  /** How often Envoy has fetched the JWKS. */
  envoyFetches(): Promise<{ readonly ok: number; readonly failed: number }>;
  /** Those that have ended though they should not. */
  readonly lost: readonly string[];
}

export interface PeersOptions {
  readonly bed: Bed;
  readonly programs: Programs;
  readonly directory: string;
  readonly rate: number;
  readonly onTold: (told: Told) => void;
}

export async function startPeers(options: PeersOptions): Promise<Peers> {
  const { programs, directory } = options;
  const children = new Map<string, ChildProcess>();
  const ended = new Map<string, Promise<unknown>>();
  const lost: string[] = [];
  const listening = new Set<string>();
  let isOver = false;
  const begin = (name: string, program: string, args: readonly string[]): ChildProcess => {
    const log = openSync(join(directory, `${name}.log`), "a");
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", log],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    closeSync(log);
    children.set(name, child);
    const end = new Promise((resolve) => {
      child.once("error", (error) => resolve(lost.push(`${name}: ${error.message}`)));
      child.once("close", (code, signal) => {
        if (!isOver) lost.push(`${name} ended with ${code ?? signal}: ${lastWords(directory, name)}`);
        resolve(undefined);
      });
    });
    ended.set(name, end);
    child.stdin?.on("error", () => {});
    return child;
  };
  const listen = (name: string, child: ChildProcess): void => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const told = JSON.parse(line) as Told;
      if (told.tell === "listening") listening.add(name);
      else options.onTold(told);
    });
  };
  const kill = async (): Promise<void> => {
    isOver = true;
    for (const child of children.values()) child.kill("SIGKILL");
    await Promise.all(ended.values());
  };

  const adminPort = await freePort();
  try {
    mkdirSync(directory, { recursive: true });
    const ports = { node: await freePort(), envoy: await freePort(), go: await freePort() };
    const settings = (peer: Peer): PeerSettings => settingsOf(options, peer, ports);
    const upstreams: Upstream[] = [];
    for (const callee of settings("envoy").callees)
      upstreams.push({ ...callee, localPort: await freePort() });
    const app: PeerSettings = {
      ...settings("envoy"),
      callees: upstreams.map((one) => ({ ...one, port: one.localPort })),
    };
    const config = await writeEnvoyConfig(directory, settings("envoy"), { upstreams, adminPort });
    const flags = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"];
    begin("envoy", programs.envoy, ["--config-path", config, ...flags]);
    await untilOpen([ports.envoy, ...upstreams.map((one) => one.localPort)], lost);
    const node = (script: URL, given: PeerSettings): readonly string[] => [
      "--disable-warning=ExperimentalWarning",
      fileURLToPath(script),
      JSON.stringify(given),
    ];
    listen("node", begin("node", process.execPath, node(NODE_PEER, settings("node"))));
    listen("envoy-app", begin("envoy-app", process.execPath, node(ENVOY_APP, app)));
    listen("go", begin("go", programs.go, [JSON.stringify(settings("go"))]));
    await started("the peers", lost, async () => listening.size === 3 || undefined);
  } catch (error) {
    await kill();
    throw error;
  }
  const callers = (): readonly ChildProcess[] =>
    [...children].flatMap(([name, child]) => (name === "envoy" ? [] : [child]));
  return {
    lost,
    call: () => {
      for (const child of callers()) child.stdin?.write("call\n");
    },
    finish: async () => {
      isOver = true;
      for (const child of callers()) child.stdin?.end();
      await Promise.all([...ended].flatMap(([name, end]) => (name === "envoy" ? [] : [end])));
    },
    envoyFetches: async () => {
      const counters = await envoyCounters(adminPort, "jwks_fetch");
      const of = (end: string): number =>
        [...counters].reduce((sum, [name, value]) => sum + (name.endsWith(end) ? value : 0), 0);
      return { ok: of("jwks_fetch_success"), failed: of("jwks_fetch_failed") };
    },
    [Symbol.asyncDispose]: kill,
  };
}

function settingsOf(
  { bed, rate }: PeersOptions,
  peer: Peer,
  ports: Readonly<Record<Peer, number>>,
): PeerSettings {
  const { trustDomain, namespace, issuer, jwks } = bed;
  const idOf = (name: string): string => `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`;
  const callees = PEERS.filter((other) => other !== peer).map((other) => ({
    peer: other,
    port: ports[other],
    spiffeId: idOf(other),
    dnsName: `${other}.${namespace}.svc`,
  }));
  return {
    peer,
    ...bed.volumes(peer),
    port: ports[peer],
    callees,
    allowed: idOf(""),
    issuer,
    audience: AUDIENCE,
    jwks,
    rate,
  };
}

async function untilOpen(ports: readonly number[], lost: readonly string[]): Promise<void> {
  const { connect } = await import("node:net");
  const open = (port: number): Promise<true> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", reject);
    });
  await started("Envoy", lost, async () => (await Promise.all(ports.map(open))).length > 0);
}

/** @throws Error at once where a process has ended. */
async function started(
  what: string,
  lost: readonly string[],
  look: () => Promise<boolean | undefined>,
): Promise<void> {
  const check = async (): Promise<boolean | undefined> => (lost.length > 0 ? true : look());
  await until(`${what} can be called`, check, START_LIMIT);
  if (lost.length > 0) throw new Error(lost.join("\n"));
}

function lastWords(directory: string, name: string): string {
  return readFileSync(join(directory, `${name}.log`), "utf8")
    .trim()
    .split("\n")
    .slice(-8)
    .join("\n");
}

/** What the volumes of a peer hold now: public parts, for those who look into a failure. */
export function inPlay({ tls, jwt }: { readonly tls: string; readonly jwt: string }): InPlay {
  const short = (id: string | undefined): string => id?.slice(0, 8) ?? "none";
  const certificate = new Mounted(tls, ["tls.crt", "ca.crt"], (files, revision) => {
    const [leaf] = splitPem(files["tls.crt"] ?? "").map((der) => parseCertificate(der));
    return {
      revision,
      serial: leaf?.serialNumber ?? "",
      notAfter: new Date((leaf?.notAfter ?? 0) * 1000).toISOString(),
      issuer: short(leaf?.authorityKeyID),
      roots: splitPem(files["ca.crt"] ?? "").map((der) => short(parseCertificate(der).subjectKeyID)),
    };
  });
  const token = new Mounted(jwt, [`${AUDIENCE}.jwt`, "jwks.json"], (files) => {
    const [header = ""] = (files[`${AUDIENCE}.jwt`] ?? "").split(".");
    const { kid } = JSON.parse(Buffer.from(header, "base64url").toString() || "{}") as {
      readonly kid?: string;
    };
    const { keys } = JSON.parse(files["jwks.json"] ?? "{}") as {
      readonly keys: readonly { readonly kid: string }[];
    };
    return { kid: short(kid), mounted: keys.map((key) => short(key.kid)) };
  });
  return { ...certificate.current, ...token.current };
}
