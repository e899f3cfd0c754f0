/**
 * What a Lease says (coordination.k8s.io/v1), and the bodies that take it, keep it and give it up.
 */

import type { Seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { MANAGED_BY_LABELS } from "../reconcile/manifests/manifest.ts";
import type { KubeMeta, KubeObject } from "./objects.ts";
import { LEASES } from "./resources.ts";

export interface LeaseRecord {
  /** Empty: nobody. */
  readonly holder: string;
  /** 0 where the Lease names none that makes sense. */
  readonly durationSeconds: number;
  /** As written: MicroTime. */
  readonly acquireTime: string | undefined;
  /** As written. A reader only asks whether it changed: clocks differ. */
  readonly renewTime: string | undefined;
  /** How often the Lease went from one holder to another. */
  readonly transitions: number;
}

/** Of a Lease as the API server sends it. What a person has put there may have any form. */
export function recordOf(object: KubeObject): LeaseRecord {
  const spec = (object["spec"] ?? {}) as Readonly<Record<string, unknown>>;
  return {
    holder: textOr(spec["holderIdentity"], ""),
    durationSeconds: numberOr(spec["leaseDurationSeconds"], 0),
    acquireTime: textOr(spec["acquireTime"], undefined),
    renewTime: textOr(spec["renewTime"], undefined),
    transitions: numberOr(spec["leaseTransitions"], 0),
  };
}

/** Whether nothing that a holder writes is different: a new label is no sign of life. */
export function isSameRecord(one: LeaseRecord, other: LeaseRecord): boolean {
  return (
    one.holder === other.holder &&
    one.durationSeconds === other.durationSeconds &&
    one.acquireTime === other.acquireTime &&
    one.renewTime === other.renewTime &&
    one.transitions === other.transitions
  );
}

/** The body of a POST. */
export function newLease(
  at: { readonly namespace: string; readonly name: string },
  record: LeaseRecord,
): unknown {
  return {
    apiVersion: LEASES.apiVersion,
    kind: LEASES.kind,
    metadata: { ...at, labels: MANAGED_BY_LABELS },
    spec: specOf(record),
  };
}

/** The body of a PUT: uid and resourceVersion make it a compare-and-swap, and what is not ours stays as it is. */
export function changedLease(object: KubeObject, record: LeaseRecord): unknown {
  // Where managedFields are left out the server keeps its own.
  const { managedFields: _, ...metadata } = object.metadata as KubeMeta & {
    readonly managedFields?: unknown;
  };
  const spec = (object["spec"] ?? {}) as Readonly<Record<string, unknown>>;
  return {
    apiVersion: LEASES.apiVersion,
    kind: LEASES.kind,
    metadata,
    spec: { ...spec, ...specOf(record) },
  };
}

/**
 * `2026-11-24T10:00:00.000000Z`: exactly six digits, else Go refuses it. `fraction` is in milliseconds and of any size: the
 * part below a second is written. It only has to differ between two renewals, which would else be no change to see.
 */
export function microTime(instant: Seconds, fraction: number): string {
  const micros = Math.floor((fraction % 1000) * 1000);
  return toRfc3339(instant).replace("Z", `.${String(micros).padStart(6, "0")}Z`);
}

function specOf(record: LeaseRecord): object {
  return {
    holderIdentity: record.holder,
    leaseDurationSeconds: record.durationSeconds,
    acquireTime: record.acquireTime,
    renewTime: record.renewTime,
    leaseTransitions: record.transitions,
  };
}

function textOr<T>(value: unknown, otherwise: T): string | T {
  return typeof value === "string" ? value : otherwise;
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" && value > 0 ? value : otherwise;
}
