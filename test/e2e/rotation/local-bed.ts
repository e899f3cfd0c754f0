/**
 * Local mode under fire: `meshid local` on a directory, killed at random. Node and Envoy read OUT itself; Go reads a copy of it
 * that comes late, as files do that are brought to another machine.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { parse } from "yaml";
import type { AuthorityKind } from "../../../src/authority/slot.ts";
import type { AuthorityStatus, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { freePort } from "../../support/control-plane/start.ts";
import {
  MAIN,
  makeWorkspace,
  meshid,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";
import {
  AUDIENCE,
  type Bed,
  between,
  type Disturbance,
  type LogStep,
  NAMESPACE,
  oneOf,
  stepOf,
} from "./bed.ts";
import { type Lag, Mirror, type Shown, shownIn } from "./mirror.ts";
import { PEERS, type Peer } from "./peers/told.ts";

const TRUST_DOMAIN = "cluster.local";
/** The shortest that are allowed, of keys and of what they sign: so a retired key is gone soonest. */
const SPEC = {
  authority: { rootTTL: "10m", issuingTTL: "3m" },
  jwt: { keyTTL: "4m" },
  rotation: { propagation: "5s" },
};
const LAG = { min: 1000, max: 2000 };
const BACK_WITHIN = 20_000;

export interface LocalBedOptions {
  /** A module that the program loads first. */
  readonly preload?: string;
  /** Of the copies; within the propagation time. */
  readonly lag?: Lag;
}

export async function startLocalBed(options: LocalBedOptions = {}): Promise<Bed> {
  const work = await makeWorkspace();
  const port = await freePort();
  const bed = new LocalBed(work, port, options);
  try {
    await bed.start();
    return bed;
  } catch (error) {
    await bed[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
}

class LocalBed implements Bed {
  readonly mode = "local";
  readonly trustDomain = TRUST_DOMAIN;
  readonly namespace = NAMESPACE;
  readonly issuer: string;
  readonly jwks: Bed["jwks"];
  readonly #work: Workspace;
  readonly #options: LocalBedOptions;
  readonly #mirror: Mirror;
  readonly #steps: LogStep[] = [];
  #process: ChildProcess | undefined;
  #round = 0;

  constructor(work: Workspace, port: number, options: LocalBedOptions) {
    this.#work = work;
    this.#options = options;
    this.issuer = `https://localhost:${port}`;
    this.jwks = { port, serverName: "localhost" };
    this.#mirror = new Mirror(options.lag ?? LAG, () => this.#copies());
  }

  async start(): Promise<void> {
    const spec = { ...SPEC, jwt: { ...SPEC.jwt, issuer: this.issuer } };
    await this.#work.put("trust-domain.yaml", trustDomainYaml(JSON.stringify(spec)));
    await this.renew(PEERS);
    this.#startProcess();
    await until("every peer's credentials", async () => {
      for (const peer of PEERS)
        for (const part of ["tls", "jwt"]) await shownIn(join(this.#work.out, NAMESPACE, `${peer}-${part}`));
      return true;
    });
    this.#mirror.start();
    const { tls, jwt } = this.volumes("go");
    await until("the copies", async () => [await shownIn(tls), await shownIn(jwt)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mirror[Symbol.asyncDispose]();
    const ended = this.#end("SIGTERM");
    await Promise.race([ended, pause(10_000, undefined, { ref: false }).then(() => this.#end("SIGKILL"))]);
    await this.#work[Symbol.asyncDispose]();
  }

  volumes(peer: Peer): { readonly tls: string; readonly jwt: string } {
    const base = peer === "go" ? join(this.#work.dir, "copies") : join(this.#work.out, NAMESPACE);
    return { tls: join(base, `${peer}-tls`), jwt: join(base, `${peer}-jwt`) };
  }

  async authorities(): Promise<readonly AuthorityStatus[]> {
    const domain = parse(await this.#work.read("trustdomain.yaml")) as TrustDomainObject;
    return domain.status?.authorities ?? [];
  }

  async rotate(kind: AuthorityKind): Promise<void> {
    const { code, stderr } = await meshid(["rotate", kind.toLowerCase(), "--state", this.#work.state]);
    if (code !== 0) throw new Error(stderr);
  }

  async renew(peers: readonly Peer[]): Promise<void> {
    this.#round += 1;
    for (const peer of peers) {
      const metadata = {
        name: peer,
        namespace: NAMESPACE,
        annotations: { "meshid.dev/renew": String(this.#round) },
      };
      const spec = { x509: { ttl: "1m" }, jwt: { tokens: [{ audience: AUDIENCE, ttl: "1m" }] } };
      const identity = { apiVersion: "meshid.dev/v1alpha1", kind: "ServiceIdentity", metadata, spec };
      await this.#work.put(`${peer}.json`, JSON.stringify(identity));
    }
  }

  async disturb(): Promise<Disturbance> {
    const deeds = [() => this.#kill(), () => this.#kill(), () => this.#killWhilePublished()];
    const from = Date.now();
    const what = await oneOf(deeds)();
    return { what, from, to: Date.now() };
  }

  async #kill(): Promise<string> {
    await this.#end("SIGKILL");
    // At once, as a supervisor does it, or after a while.
    const away = oneOf([0, between(500, 8000)]);
    await pause(away);
    await this.#startAgain();
    return `SIGKILL, started again ${away === 0 ? "at once" : `after ${(away / 1000).toFixed(1)} s`}`;
  }

  /** When it is back a key is due that nobody could fetch meanwhile, and everything is to be signed anew. */
  async #killWhilePublished(): Promise<string> {
    await this.rotate("JWT");
    const isPublished = async (): Promise<boolean> =>
      (await this.authorities()).some(({ kind, state }) => kind === "JWT" && state === "Prepared");
    // It is put off while many retired ones are still published.
    for (let looks = 0; looks < 50 && !(await isPublished()); looks++) await pause(100);
    await pause(between(0, 1000));
    await this.#end("SIGKILL");
    await pause(between(4000, 7000));
    await this.renew(PEERS);
    await this.#startAgain();
    return "SIGKILL while a JWT key was published, started again when it was due, renewals asked for meanwhile";
  }

  async #startAgain(): Promise<void> {
    this.#startProcess();
    await this.#untilServing();
  }

  steps(): readonly LogStep[] {
    return this.#steps;
  }

  #startProcess(): void {
    const { identities, out } = this.#work;
    const preload = this.#options.preload === undefined ? [] : ["--import", this.#options.preload];
    const flags = ["--disable-warning=ExperimentalWarning", ...preload, MAIN, "local"];
    const places = ["--identities", identities, "--out", out, "--listen", `127.0.0.1:${this.jwks.port}`];
    const child = spawn(process.execPath, [...flags, ...places, "--log-format", "json"], {
      stdio: ["ignore", "inherit", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    createInterface({ input: child.stderr }).on("line", (line) => this.#read(line));
    this.#process = child;
  }

  #read(line: string): void {
    if (!line.startsWith("{")) return console.log(`meshid local: ${line}`);
    const step = stepOf(JSON.parse(line));
    if (step !== undefined) this.#steps.push(step);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  async #untilServing(): Promise<void> {
    const { connect } = await import("node:net");
    await until(
      "meshid local serves again",
      () =>
        new Promise<true>((resolve, reject) => {
          const socket = connect(this.jwks.port, "127.0.0.1", () => {
            socket.destroy();
            resolve(true);
          });
          socket.on("error", reject);
        }),
      BACK_WITHIN,
    );
  }

  /** What the copies are to show. */
  async #copies(): Promise<ReadonlyMap<string, Shown>> {
    const { tls, jwt } = this.volumes("go");
    const out = (name: string): string => join(this.#work.out, NAMESPACE, name);
    return new Map([
      [tls, await shownIn(out("go-tls"))],
      [jwt, await shownIn(out("go-jwt"))],
    ]);
  }
}
