import { describe, expect, it } from "@jest/globals";
import {
  type RegistrationEntry,
  type RegistrationLimits,
  registerIdentity,
} from "../../../src/registration/registration-entry.ts";
import type { ServiceIdentity, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { trustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { FULL_IDENTITY_SPEC, serviceIdentity, trustDomain } from "../../support/registration-cases.ts";

const policy = trustDomainPolicy(trustDomain({}) as unknown as TrustDomainObject, {
  mode: "cluster",
  clusterDomain: "cluster.local",
}).registration;

function register(
  spec: unknown,
  metadata = {},
  limits: Partial<RegistrationLimits> = {},
): ReturnType<typeof registerIdentity> {
  const object = serviceIdentity(spec, {
    uid: "u",
    generation: 3,
    ...metadata,
  }) as unknown as ServiceIdentity;
  return registerIdentity(object, { ...policy, limits: { ...policy.limits, ...limits } });
}

function entry(...given: Parameters<typeof register>): RegistrationEntry {
  const result = register(...given);
  if (!result.ok) throw new Error(result.fault.message);
  return result.entry;
}

describe("registerIdentity", () => {
  it("fills in every default", () => {
    expect(entry({})).toEqual({
      key: "shop/payments",
      uid: "u",
      namespace: "shop",
      name: "payments",
      generation: 3,
      serviceAccountName: "payments",
      spiffeId: "spiffe://cluster.local/ns/shop/sa/payments",
      x509: {
        ttl: 86_400,
        renewAfterPercent: 50,
        keyAlgorithm: "ECDSA-P256",
        dnsNames: ["payments.shop.svc", "payments.shop.svc.cluster.local"],
        secretName: "payments-tls",
        formats: ["PEM"],
        passwordSecretRef: undefined,
      },
      jwt: undefined,
      mtls: undefined,
      renew: undefined,
    });
  });

  it("fills in the defaults of tokens", () => {
    expect(entry({ jwt: { tokens: [{ audience: "https://orders.shop/~" }] } }).jwt).toEqual({
      tokens: [{ audience: "https://orders.shop/~", key: "https___orders.shop__.jwt", ttl: 3600 }],
      secretName: "payments-jwt",
    });
  });

  it("takes what the spec says over every default", () => {
    const { x509, jwt, mtls } = entry(FULL_IDENTITY_SPEC);
    expect(x509.dnsNames).toEqual(["payments.shop.svc"]);
    expect(x509.passwordSecretRef).toEqual({ name: "payments-p12", key: "password" });
    expect(jwt?.tokens[0]?.key).toBe("orders.shop.jwt");
    expect(mtls).toEqual({
      mode: "Strict",
      matchLabels: { app: "payments" },
      exceptions: [{ port: 9090, mode: "Permissive" }],
    });
  });

  it("derives the SPIFFE ID from the ServiceAccount, not from the name", () => {
    expect(entry({ serviceAccountName: "till" }).spiffeId).toBe("spiffe://cluster.local/ns/shop/sa/till");
  });

  it("always writes PEM, and names formats in a fixed order", () => {
    expect(entry({ x509: { formats: ["Combined", "Istio"] } }).x509.formats).toEqual([
      "PEM",
      "Istio",
      "Combined",
    ]);
  });

  it("gives no DNS name where the name is none of a Service", () => {
    expect(entry({}, { name: "payments.v1" }).x509.dnsNames).toEqual([]);
    expect(entry({}, { name: "p".repeat(64) }).x509.dnsNames).toEqual([]);
  });

  it("lets a default give way to the limits", () => {
    const limits = { maxTTL: 7200, maxTokenTTL: 600, minTTL: 60, keyAlgorithms: ["Ed25519", "RSA-3072"] };
    const { x509, jwt } = entry(
      { jwt: { tokens: [{ audience: "a" }] } },
      {},
      limits as unknown as RegistrationLimits,
    );
    expect([x509.ttl, x509.keyAlgorithm, jwt?.tokens[0]?.ttl]).toEqual([7200, "Ed25519", 600]);
    const mesh = { x509: { formats: ["Istio"] } };
    expect(entry(mesh, {}, limits as unknown as RegistrationLimits).x509.keyAlgorithm).toBe("RSA-3072");
  });

  it.each([
    [
      "a ttl above maxTTL",
      { x509: { ttl: "3h" } },
      { maxTTL: 7200 },
      "spec.x509.ttl",
      "at most limits.maxTTL, 2h0m0s",
    ],
    [
      "a token above maxTokenTTL",
      { jwt: { tokens: [{ audience: "a", ttl: "2h" }] } },
      { maxTokenTTL: 3600 },
      "spec.jwt.tokens[0].ttl",
      "at most limits.maxTokenTTL, 1h0m0s",
    ],
    [
      "an algorithm that is not allowed",
      { x509: { keyAlgorithm: "RSA-2048" } },
      { keyAlgorithms: ["ECDSA-P256"] },
      "spec.x509.keyAlgorithm",
      "one of limits.keyAlgorithms: ECDSA-P256",
    ],
    [
      "a mesh where only Ed25519 is allowed",
      { x509: { formats: ["Istio"] } },
      { keyAlgorithms: ["Ed25519"] },
      "spec.x509.keyAlgorithm",
      "an ECDSA or RSA algorithm in limits.keyAlgorithms",
    ],
  ])("refuses %s as LimitExceeded", (...[, spec, limits, field, message]) => {
    const result = register(spec, {}, limits as unknown as RegistrationLimits);
    expect(result).toMatchObject({ ok: false, fault: { reason: "LimitExceeded", field } });
    expect(result.ok ? "" : result.fault.message).toContain(message);
  });

  it("reports the first fault in the order of the fields, with its path", () => {
    const result = register({
      jwt: { tokens: [{ audience: "a", ttl: "25h" }] },
      x509: { dnsNames: ["a.shop.svc", "b.bank.svc"] },
    });
    expect(result).toMatchObject({ ok: false, fault: { path: ["spec", "x509", "dnsNames", 1] } });
  });

  it("takes the value of the annotation that asks for a renewal", () => {
    expect(entry({}, { annotations: { "meshid.dev/renew": "now" } }).renew).toBe("now");
  });
});
