/**
 * Cluster mode under fire: two controllers on a real control plane, each behind a wire of its own to the API server. Replicas are
 * killed, wires are cut. Every peer mounts what a kubelet of the test brings from the Secrets, late.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { AuthorityKind } from "../../../src/authority/slot.ts";
import type { AuthorityStatus, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { OwnControlPlane } from "../../support/control-plane/types.ts";
import {
  type ControllerProcess,
  type Installation,
  installChart,
  must,
  untilReady,
} from "../../support/controller-process.ts";
import { type Relay, startRelay } from "../../support/kubernetes/relay.ts";
import { until } from "../../support/local-process.ts";
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
import { Mirror, type Shown } from "./mirror.ts";
import { PEERS, type Peer } from "./peers/told.ts";
import { type Service, startService } from "./service.ts";

const TRUST_DOMAIN = "mesh.example";
const API = "/apis/meshid.dev/v1alpha1";
const MERGE = "application/merge-patch+json";
const SPEC = {
  authority: { rootTTL: "10m", issuingTTL: "3m" },
  jwt: { keyTTL: "5m" },
  rotation: { propagation: "5s" },
  limits: { minTTL: "1m" },
};
/** A controller may be away for longer than a Lease takes to change hands: certificates have 47 s left then, tokens 45. */
const IDENTITY = {
  x509: { ttl: "1m", renewAfterPercent: 20 },
  jwt: { tokens: [{ audience: AUDIENCE, ttl: "90s" }] },
};
/** Of the kubelet, from the change of a Secret to that of its volume. */
const LAG = { min: 800, max: 2000 };
const LEASE_CHANGES_WITHIN = 40_000;
const OPERATOR_NAMESPACE = "meshid-system";

export async function startClusterBed(): Promise<Bed> {
  const kube = await startControlPlane();
  const bed = new ClusterBed(kube, await mkdtemp(join(tmpdir(), "meshid-volumes-")));
  try {
    await bed.start();
    return bed;
  } catch (error) {
    await bed[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
}

interface Replica {
  readonly relay: Relay;
  process: ControllerProcess;
}

interface SecretItem {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: Readonly<Record<string, string>>;
}

class ClusterBed implements Bed {
  readonly mode = "cluster";
  readonly trustDomain = TRUST_DOMAIN;
  readonly namespace = NAMESPACE;
  readonly issuer = "https://meshid.meshid-system.svc";
  readonly #kube: OwnControlPlane;
  readonly #directory: string;
  readonly #mirror: Mirror;
  readonly #replicas: Replica[] = [];
  /** All that ever ran, for their logs. */
  readonly #processes: ControllerProcess[] = [];
  #chart: Installation | undefined;
  #service: Service | undefined;
  #round = 0;

  constructor(kube: OwnControlPlane, directory: string) {
    this.#kube = kube;
    this.#directory = directory;
    this.#mirror = new Mirror(LAG, () => this.#secrets());
  }

  async start(): Promise<void> {
    this.#chart = await installChart(this.#kube, {
      values: { trustDomain: { name: TRUST_DOMAIN, spec: SPEC } },
    });
    for (let index = 0; index < 2; index++) {
      const relay = await startRelay(new URL(this.#kube.server));
      this.#replicas.push({ relay, process: await this.#startProcess(relay) });
    }
    this.#service = await startService({
      replicas: () => this.#running(),
      onReady: (ready) => this.#publishEndpoints(ready),
    });
    await this.#makeIdentities();
    this.#mirror.start();
    await until("every peer's volumes", async () => {
      const volumes = await this.#secrets();
      return volumes.size === 2 * PEERS.length || undefined;
    });
    // The first content arrives at once.
    await pause(1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mirror[Symbol.asyncDispose]();
    await this.#service?.[Symbol.asyncDispose]();
    await this.#chart?.[Symbol.asyncDispose]();
    for (const { relay } of this.#replicas) await relay[Symbol.asyncDispose]();
    await this.#kube.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get jwks(): Bed["jwks"] {
    return { port: this.#service?.port ?? 0, serverName: "meshid.meshid-system.svc" };
  }

  volumes(peer: Peer): { readonly tls: string; readonly jwt: string } {
    return { tls: join(this.#directory, `${peer}-tls`), jwt: join(this.#directory, `${peer}-jwt`) };
  }

  async authorities(): Promise<readonly AuthorityStatus[]> {
    const path = `${API}/trustdomains/${TRUST_DOMAIN}`;
    const { status } = await must<TrustDomainObject>(this.#kube, { method: "GET", path });
    return status?.authorities ?? [];
  }

  async rotate(kind: AuthorityKind): Promise<void> {
    const annotations = { [`meshid.dev/rotate-${kind.toLowerCase()}`]: String(Date.now()) };
    await this.#annotate(`${API}/trustdomains/${TRUST_DOMAIN}`, annotations);
  }

  async renew(peers: readonly Peer[]): Promise<void> {
    this.#round += 1;
    const annotations = { "meshid.dev/renew": String(this.#round) };
    for (const peer of peers)
      await this.#annotate(`${API}/namespaces/${NAMESPACE}/serviceidentities/${peer}`, annotations);
  }

  async disturb(): Promise<Disturbance> {
    const deeds: readonly (() => Promise<string>)[] = [
      () => this.#killLeader(),
      () => this.#killStandby(),
      () => this.#killBoth(),
      () => this.#cutAll(),
      () => this.#resetAll(),
      () => this.#cutLeader(),
      () => this.#cutStandby(),
      () => this.#cutAndKill(),
      () => this.#killServer(),
    ];
    const from = Date.now();
    const what = await oneOf(deeds)();
    await this.#untilWell();
    return { what, from, to: Date.now() };
  }

  steps(): readonly LogStep[] {
    return this.#processes.flatMap((one) => one.logs().flatMap((line) => stepOf(line) ?? []));
  }

  async #killLeader(): Promise<string> {
    await this.#kill(await this.#leader());
    return "SIGKILL of the leader";
  }

  async #killStandby(): Promise<string> {
    await this.#kill(await this.#standby());
    return "SIGKILL of the standby";
  }

  async #killBoth(): Promise<string> {
    await Promise.all(this.#replicas.map((replica) => this.#kill(replica)));
    return "SIGKILL of both replicas";
  }

  async #kill(replica: Replica): Promise<void> {
    await replica.process.kill();
    await pause(Math.random() < 0.5 ? 0 : between(500, 4000));
    replica.process = await this.#startProcess(replica.relay);
  }

  /** Nothing passes for a while; what hung is then reset, as by a load balancer that comes back. */
  async #cutAll(): Promise<string> {
    const seconds = await this.#stall(this.#replicas, between(2000, 9000));
    return `API server cut off from both for ${seconds} s`;
  }

  /** Every connection ends at once, a few times. */
  async #resetAll(): Promise<string> {
    for (let times = 3; times > 0; times--) {
      for (const { relay } of this.#replicas) relay.cut();
      await pause(between(100, 1500));
    }
    return "every connection to the API server reset three times";
  }

  /** Long enough for it to lose the Lease; then it goes on serving what it knew, while its successor publishes a key. */
  async #cutLeader(): Promise<string> {
    const stalled = this.#stall([await this.#leader()], between(12_000, 22_000));
    await this.rotate(oneOf(["Root", "JWT"]));
    return `API server cut off from the leader for ${await stalled} s, while a rotation was asked for`;
  }

  /** It goes on serving what it knew, while a key is published. */
  async #cutStandby(): Promise<string> {
    const stalled = this.#stall([await this.#standby()], between(10_000, 16_000));
    await this.rotate(oneOf(["Root", "JWT"]));
    return `API server cut off from the standby for ${await stalled} s, while a key was published`;
  }

  async #cutAndKill(): Promise<string> {
    const leader = await this.#leader();
    const stalled = this.#stall(this.#replicas, between(2000, 6000));
    await pause(between(0, 2000));
    await leader.process.kill();
    const seconds = await stalled;
    leader.process = await this.#startProcess(leader.relay);
    return `API server cut off from both for ${seconds} s, meanwhile SIGKILL of the leader`;
  }

  /** One that has just begun to listen knows no roles yet, and refuses everything for a moment. */
  async #killServer(): Promise<string> {
    await this.#kube.kill();
    await pause(between(0, 4000));
    await this.#kube.restart();
    return "SIGKILL of the API server, started again";
  }

  async #stall(replicas: readonly Replica[], length: number): Promise<string> {
    for (const { relay } of replicas) relay.stall();
    await pause(length);
    for (const { relay } of replicas) {
      if (Math.random() < 0.5) relay.cut();
      relay.resume();
    }
    return (length / 1000).toFixed(1);
  }

  #running(): readonly ControllerProcess[] {
    return this.#replicas.map((one) => one.process).filter((one) => one.isRunning());
  }

  async #startProcess(relay: Relay): Promise<ControllerProcess> {
    if (this.#chart === undefined) throw new TypeError("no chart");
    const server = `https://127.0.0.1:${relay.port}`;
    const process = await this.#chart.start({ server, waits: false, host: "" });
    this.#processes.push(process);
    await untilReady(process);
    return process;
  }

  /** As Kubernetes does it for pods; an address of the loopback is refused there. */
  async #publishEndpoints(ready: readonly ControllerProcess[]): Promise<void> {
    const address = ownAddress();
    if (address === undefined) return;
    const labels = { "kubernetes.io/service-name": "meshid" };
    for (const one of this.#processes) {
      const targetRef = { kind: "Pod", name: one.name, namespace: OPERATOR_NAMESPACE };
      const conditions = { ready: ready.includes(one) };
      const endpoints = one.isRunning() ? [{ addresses: [address], conditions, targetRef }] : [];
      await must(this.#kube, {
        method: "PATCH",
        path: `/apis/discovery.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/endpointslices/${one.name}?fieldManager=test&force=true`,
        contentType: "application/apply-patch+yaml",
        body: {
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: { name: one.name, labels },
          addressType: "IPv4",
          endpoints,
          ports: [{ name: "https", port: one.listenPort, protocol: "TCP" }],
        },
      });
    }
  }

  async #holder(): Promise<string> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/meshid`;
    const lease = await must<{ readonly spec?: { readonly holderIdentity?: string } }>(this.#kube, {
      method: "GET",
      path,
    });
    return lease.spec?.holderIdentity ?? "";
  }

  async #leader(): Promise<Replica> {
    return until("a leader", async () => {
      const holder = await this.#holder();
      return this.#replicas.find((one) => holder.startsWith(one.process.name) && one.process.isRunning());
    });
  }

  async #standby(): Promise<Replica> {
    const leader = await this.#leader();
    const found = this.#replicas.find((one) => one !== leader);
    if (found === undefined) throw new Error("no standby");
    return found;
  }

  /** Somebody that runs leads, and says so. */
  async #untilWell(): Promise<void> {
    await until(
      "a leader at work",
      async () => {
        const { process } = await this.#leader();
        const { body } = await process.probe("/metrics");
        return /^leader_election_master_status(\{[^}]*\})? 1$/m.test(body) || undefined;
      },
      LEASE_CHANGES_WITHIN,
    );
    for (const one of this.#running()) await untilReady(one);
  }

  async #makeIdentities(): Promise<void> {
    const metadata = { name: NAMESPACE };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata };
    await must(this.#kube, { method: "POST", path: "/api/v1/namespaces", body: namespace });
    for (const name of PEERS) {
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } };
      const accounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
      await must(this.#kube, { method: "POST", path: accounts, body: account });
      const identity = {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        metadata: { name },
        spec: IDENTITY,
      };
      const identities = `${API}/namespaces/${NAMESPACE}/serviceidentities`;
      await must(this.#kube, { method: "POST", path: identities, body: identity });
    }
  }

  async #annotate(path: string, annotations: Readonly<Record<string, string>>): Promise<void> {
    const body = { metadata: { annotations } };
    // The API server may be away just now: as a person does, ask again.
    await until("the API server takes it", async () => {
      await must(this.#kube, { method: "PATCH", path, contentType: MERGE, body });
      return true;
    });
  }

  /** As the kubelet sees them: its way to the API server is another one. */
  async #secrets(): Promise<ReadonlyMap<string, Shown>> {
    const path = `/api/v1/namespaces/${NAMESPACE}/secrets`;
    const { items } = await must<{ readonly items: readonly SecretItem[] }>(this.#kube, {
      method: "GET",
      path,
    });
    return new Map(
      items.map(({ metadata, data }) => [
        join(this.#directory, metadata.name),
        { version: metadata.resourceVersion, files: decoded(data) },
      ]),
    );
  }
}

/** Undefined on a machine without a network. */
function ownAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((of = []) => of);
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
}

function decoded(data: SecretItem["data"]): Readonly<Record<string, Buffer>> {
  return Object.fromEntries(
    Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64")]),
  );
}
