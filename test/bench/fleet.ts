/** A controller on a control plane of its own, with any number of identities, and what both cost. */

import type { ServiceIdentity } from "../../src/registration/service-identity.ts";
import { type AuditEvent, isWrite } from "../support/audit-log.ts";
import { ClusterSuite, identityObject } from "../support/cluster-suite.ts";
import { type ControllerProcess, must, pause, usageOf } from "../support/controller-process.ts";

const PER_NAMESPACE = 100;
/** Requests of a user at the same time. */
const USERS = 16;
const LIMIT = 600_000;

export interface Batch {
  /** From the first creation that was sent to the last status that was written. */
  readonly seconds: number;
  /** Milliseconds of processor time for each identity. */
  readonly cpu: Readonly<Record<"controller" | "kube-apiserver" | "etcd", number>>;
  /** What the controller asked for meanwhile, the Lease left out. */
  readonly events: readonly AuditEvent[];
}

export interface At {
  readonly namespace: string;
  readonly name: string;
}

export class Fleet implements AsyncDisposable {
  readonly suite: ClusterSuite;
  controller: ControllerProcess;
  /** All that were made. */
  readonly members: At[] = [];
  #namespaces = 0;

  private constructor(suite: ClusterSuite, controller: ControllerProcess) {
    this.suite = suite;
    this.controller = controller;
  }

  static async start(
    main: string,
    trustDomain: Readonly<Record<string, unknown>> = { limits: { minTTL: "1m" } },
  ): Promise<Fleet> {
    const suite = await ClusterSuite.start({ main, trustDomain });
    return new Fleet(suite, await suite.chart.start({ asPod: true }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.suite[Symbol.asyncDispose]();
  }

  /** Namespaces and ServiceAccounts for `count` identities that are still to be created. */
  async prepare(count: number): Promise<readonly At[]> {
    const places: At[] = [];
    while (places.length < count) {
      const namespace = await this.suite.namespace();
      const prefix = `w${this.#namespaces++}`;
      const size = Math.min(PER_NAMESPACE, count - places.length);
      for (let index = 0; index < size; index++) places.push({ namespace, name: `${prefix}-${index}` });
    }
    await inParallel(places, ({ namespace, name }) => this.suite.account(namespace, name));
    await this.quiet();
    return places;
  }

  /** Has `act` done for each place at once, and measures until the controller has nothing left to do. */
  async measure(places: readonly At[], act: (at: At) => Promise<unknown>): Promise<Batch> {
    const { audit } = this.suite;
    const mark = audit.mark();
    const before = this.#usage();
    const started = Date.now();
    await inParallel(places, act);
    const events = await this.quiet(mark);
    const after = this.#usage();
    const last = Math.max(...events.filter(isStatus).map(({ stageTimestamp }) => Date.parse(stageTimestamp)));
    const each = (name: keyof typeof after): number => (after[name] - before[name]) / places.length;
    return {
      seconds: (last - started) / 1000,
      cpu: {
        controller: each("controller"),
        "kube-apiserver": each("kube-apiserver"),
        etcd: each("etcd"),
      },
      events,
    };
  }

  async create(
    { namespace, name }: At,
    spec: Readonly<Record<string, unknown>> = {},
  ): Promise<ServiceIdentity> {
    this.members.push({ namespace, name });
    return must<ServiceIdentity>(this.suite.kube, {
      method: "POST",
      path: `/apis/meshid.dev/v1alpha1/namespaces/${namespace}/serviceidentities`,
      body: identityObject(namespace, name, spec),
    });
  }

  /** What was asked since `mark`, once the controller is quiet. */
  quiet(mark: number = this.suite.audit.mark()): Promise<readonly AuditEvent[]> {
    return this.suite.audit.whenQuiet(mark, { silence: 2500, limit: LIMIT });
  }

  /** Milliseconds from the creation as the API server received it to the status that says Ready. */
  async untilReady(at: At): Promise<number> {
    const started = Date.now();
    await this.create(at);
    for (;;) {
      const { status } = await this.suite.get(at.namespace, at.name);
      if (status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true)
        return Date.now() - started;
      if (Date.now() - started > LIMIT) throw new Error(`${at.namespace}/${at.name} is not ready`);
      await pause(5);
    }
  }

  /** The number of identities that are Ready, and of certificates of theirs that are all different. */
  async census(): Promise<{ readonly ready: number; readonly serials: number }> {
    const identities = await this.suite.list();
    const ready = identities.filter(({ status }) =>
      status?.conditions?.some((one) => one.type === "Ready" && one.status === "True"),
    );
    return {
      ready: ready.length,
      serials: new Set(ready.map(({ status }) => status?.x509?.serialNumber)).size,
    };
  }

  /** Stops the controller and starts it again; seconds until it has looked at an identity. */
  async restart(): Promise<number> {
    await this.controller.stop();
    const started = Date.now();
    this.controller = await this.suite.chart.start({ asPod: true, waits: false });
    for (;;) {
      const answer = await this.controller.probe("/metrics").catch(() => undefined);
      if (
        /^controller_runtime_reconcile_total\{controller="serviceidentity",[^}]*\} [1-9]/m.test(
          answer?.body ?? "",
        )
      )
        return (Date.now() - started) / 1000;
      if (Date.now() - started > LIMIT) throw new Error("no identity was looked at");
      await pause(50);
    }
  }

  #usage(): Readonly<Record<"controller" | "kube-apiserver" | "etcd", number>> {
    const { kube } = this.suite;
    return {
      controller: this.controller.usage().cpuMs,
      "kube-apiserver": usageOf(kube.pid("kube-apiserver")).cpuMs,
      etcd: usageOf(kube.pid("etcd")).cpuMs,
    };
  }
}

function isStatus({ verb, objectRef }: AuditEvent): boolean {
  return (
    verb === "patch" && objectRef?.resource === "serviceidentities" && objectRef.subresource === "status"
  );
}

/** Of each identity's own Secret: one of them is one issuance. */
export function issuances(events: readonly AuditEvent[]): number {
  return events.filter(({ verb, objectRef }) => verb === "patch" && objectRef?.resource === "secrets").length;
}

export function writes(events: readonly AuditEvent[]): number {
  return events.filter(isWrite).length;
}

export function refused(events: readonly AuditEvent[]): number {
  return events.filter(({ responseStatus }) => (responseStatus?.code ?? 0) === 409).length;
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  const user = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next++];
      if (item !== undefined) await act(item);
    }
  };
  await Promise.all(Array.from({ length: USERS }, user));
}
