/**
 * A cluster in which nothing is wrong, as `meshid doctor` finds it: tests change one fact of it.
 */

import type { Facts, IdentityFact, MeshFacts } from "../../src/app/doctor/facts.ts";
import type { Known } from "../../src/app/doctor/finding.ts";
import { neededRights } from "../../src/app/doctor/rights.ts";
import { type Seconds, seconds } from "../../src/core/brand.ts";
import { toRfc3339 } from "../../src/core/clock.ts";
import type { Condition, ConditionType, Reason } from "../../src/registration/conditions.ts";
import type {
  AuthorityStatus,
  ServiceIdentity,
  TrustDomainObject,
} from "../../src/registration/service-identity.ts";
import { NOW } from "./cli.ts";

export const HOUR = 3600;

export const at = (offset: number): string => toRfc3339(seconds(NOW + offset));

export function is<T>(value: T): Known<T> {
  return { known: true, value };
}

export const unknown: Known<never> = { known: false, why: "you may not look" };

export function condition<T extends ConditionType>(
  type: T,
  status: Condition["status"],
  reason: Reason<T>,
  message = "because",
): Condition<T> {
  return { type, status, reason, message, observedGeneration: 1, lastTransitionTime: at(-HOUR) };
}

export function slot(kind: AuthorityStatus["kind"], life: Partial<AuthorityStatus> = {}): AuthorityStatus {
  return {
    kind,
    keyID: `${kind.toLowerCase()}-1`,
    state: "Active",
    notBefore: at(-HOUR),
    notAfter: at(99 * HOUR),
    signedUntil: at(HOUR),
    since: at(-HOUR),
    ...life,
  };
}

export function trustDomain(
  status: Partial<NonNullable<TrustDomainObject["status"]>> = {},
  { name = "mesh.example", spec = {} }: { name?: string; spec?: TrustDomainObject["spec"] } = {},
): TrustDomainObject {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: { name, uid: `uid-of-${name}`, creationTimestamp: at(-9 * HOUR), generation: 1 },
    spec,
    status: {
      observedGeneration: 1,
      bundle: { sequence: 7, hash: "h", namespaces: 2, namespacesCurrent: 2 },
      authorities: [slot("Root"), slot("Issuing"), slot("JWT")],
      conditions: [
        condition("Ready", "True", "Issued"),
        condition("AuthorityReady", "True", "Active"),
        condition("RotationInProgress", "False", "Idle"),
        condition("BundlePublished", "True", "Published"),
      ],
      ...status,
    },
  };
}

export interface IdentityChange {
  readonly name?: string;
  readonly spec?: ServiceIdentity["spec"];
  readonly status?: ServiceIdentity["status"];
  readonly generation?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly changedAt?: Seconds;
  readonly reportedAt?: Seconds | undefined;
}

/** shop/payments, issued an hour ago for two days. */
export function identityFact(change: IdentityChange = {}): IdentityFact {
  const { name = "payments", spec = {}, generation = 1, annotations } = change;
  const status: ServiceIdentity["status"] = {
    observedGeneration: 1,
    x509: {
      serialNumber: "4f",
      notBefore: at(-HOUR),
      notAfter: at(47 * HOUR),
      renewalTime: at(23 * HOUR),
      ttl: "48h0m0s",
      ttlReason: "Requested",
      authorityKeyID: "aa",
      secretName: `${name}-tls`,
      revision: 1,
    },
    conditions: [condition("Ready", "True", "Issued"), condition("X509Issued", "True", "Issued")],
    ...change.status,
  };
  return {
    identity: {
      apiVersion: "meshid.dev/v1alpha1",
      kind: "ServiceIdentity",
      metadata: {
        name,
        namespace: "shop",
        uid: `uid-of-${name}`,
        creationTimestamp: at(-9 * HOUR),
        generation,
        ...(annotations === undefined ? {} : { annotations }),
      },
      spec,
      status,
    },
    changedAt: change.changedAt ?? seconds(NOW - HOUR),
    reportedAt: "reportedAt" in change ? change.reportedAt : seconds(NOW - HOUR),
  };
}

export function healthy(change: Partial<Facts> = {}, mesh: Partial<MeshFacts> = {}): Facts {
  const crd = { isPresent: true, isEstablished: true, isServed: true, missingFields: [], unknownFields: [] };
  const bundle = { name: "meshid-bundle", ownerUid: "uid-of-mesh.example", sequence: 7, digest: "d" };
  return {
    now: NOW,
    serverNow: NOW,
    cliVersion: "0.1.0",
    serverVersion: "v1.37.2",
    unanswered: [],
    scope: undefined,
    operatorNamespace: "meshid-system",
    crds: is([
      { name: "serviceidentities.meshid.dev", ...crd },
      { name: "trustdomains.meshid.dev", ...crd },
    ]),
    deployments: is([
      {
        namespace: "meshid-system",
        name: "meshid",
        serviceAccount: "meshid",
        wanted: 2,
        available: 2,
        updated: 2,
        version: "0.1.0",
        image: "meshid:0.1.0",
        args: ["controller", "--trust-domain=mesh.example"],
      },
    ]),
    rights: is(
      neededRights("mesh.example").map((right) => ({ right, namespace: undefined, isAllowed: true })),
    ),
    admissionPolicies: is(new Set(["meshid-serviceidentities", "meshid-own-objects"])),
    lease: is({ holder: "meshid-1", durationSeconds: 15, renewTime: NOW, isRenewed: true, skew: 0 }),
    journal: is(true),
    trustDomains: is([trustDomain()]),
    namespaces: is(["default", "shop"].map((name) => ({ name, labels: {}, isTerminating: false }))),
    bundles: is(["default", "shop"].map((namespace) => ({ namespace, ...bundle }))),
    identities: is([identityFact()]),
    secrets: is(new Set(["shop/payments-tls"])),
    mesh: {
      rootNamespace: "istio-system",
      servesPolicies: is(true),
      controlPlanes: is([{ name: "istiod", revision: "default", version: "1.27.1" }]),
      configs: is([{ name: "istio", trustDomain: "mesh.example", aliases: [] }]),
      policies: is([]),
      pods: is([]),
      ...mesh,
    },
    ...change,
  };
}
