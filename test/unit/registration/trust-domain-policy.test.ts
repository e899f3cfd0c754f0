import { describe, expect, it } from "@jest/globals";
import type { TrustDomainObject } from "../../../src/registration/service-identity.ts";
import {
  type PolicyContext,
  type TrustDomainPolicy,
  trustDomainPolicy,
} from "../../../src/registration/trust-domain-policy.ts";
import { refusalOf } from "../../support/errors.ts";
import { trustDomain } from "../../support/registration-cases.ts";

function policy(spec: unknown, context: Partial<PolicyContext> = {}, metadata = {}): TrustDomainPolicy {
  const object = trustDomain(spec, metadata) as unknown as TrustDomainObject;
  return trustDomainPolicy(object, { mode: "local", clusterDomain: "cluster.local", ...context });
}

describe("trustDomainPolicy", () => {
  it("fills in every default", () => {
    expect(policy({}, { mode: "cluster" })).toEqual({
      trustDomain: "cluster.local",
      authority: {
        keyAlgorithm: "ECDSA-P256",
        rootTTL: 31_536_000,
        issuingTTL: 2_592_000,
        source: "Internal",
        secretRef: undefined,
      },
      jwt: { issuer: "https://meshid.meshid-system.svc", algorithm: "ES256", keyTTL: 604_800 },
      rotation: { propagation: 1800, holdAt: expect.any(Function), crossSignRoots: false },
      bundle: { configMapName: "meshid-bundle", additionalRoots: [] },
      registration: {
        trustDomain: "cluster.local",
        clusterDomain: "cluster.local",
        bundleConfigMapName: "meshid-bundle",
        operatorNamespace: "meshid-system",
        limits: {
          minTTL: 600,
          maxTTL: 7_776_000,
          maxTokenTTL: 86_400,
          keyAlgorithms: [],
          identitiesPerNamespace: 1000,
        },
      },
      refreshHint: 300,
    });
  });

  it("allows shorter lives and more identities in local mode", () => {
    expect(policy({}).registration.limits).toMatchObject({ minTTL: 60, identitiesPerNamespace: 1_000_000 });
  });

  it("takes the longest ttl below the cluster's default of the shortest in local mode", () => {
    expect(policy({ limits: { maxTTL: "5m" } }).registration.limits.maxTTL).toBe(300);
  });

  it.each([
    ["1s", 1],
    ["10s", 2],
    ["19s", 3],
    ["30m", 300],
    ["2h", 300],
  ])("hints at a refresh within a fifth of a propagation of %s: %i s", (propagation, hint) => {
    expect(policy({ rotation: { propagation } }).refreshHint).toBe(hint);
  });

  it("takes the issuing certificate from a Secret in both modes", () => {
    const spec = { authority: { source: "Secret", secretRef: { name: "byo-ca" } } };
    expect(policy(spec).authority.secretRef).toEqual({ name: "byo-ca" });
    expect(policy(spec, { mode: "cluster" }).authority.secretRef).toEqual({ name: "byo-ca" });
  });

  it("names the issuer after the operator's namespace", () => {
    expect(policy({}, { operatorNamespace: "identity" }).jwt.issuer).toBe("https://meshid.identity.svc");
  });

  it("refuses a name that is no trust domain", () => {
    expect(refusalOf(() => policy({}, {}, { name: "Cluster.local" }))).toBe("INVALID_INPUT metadata.name");
  });
});
