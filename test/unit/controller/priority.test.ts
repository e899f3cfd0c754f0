import { describe, expect, it } from "@jest/globals";
import { priorityOf } from "../../../src/controller/priority.ts";
import { seconds } from "../../../src/core/brand.ts";
import { toRfc3339 } from "../../../src/core/clock.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { NOW } from "../../support/builders.ts";

/** With a certificate of 1000 s that ends after `left`, and a token that ends after `token`. */
function identityOf(left: number | undefined, token?: number): ServiceIdentity {
  const end = (after: number): string => toRfc3339(seconds(NOW + after));
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name: "a", namespace: "shop", uid: "a", creationTimestamp: "", generation: 1 },
    spec: {},
    status: {
      ...(left === undefined ? {} : { x509: { notBefore: end(left - 1000), notAfter: end(left) } as never }),
      ...(token === undefined ? {} : { jwt: { tokens: [{ notAfter: end(token) }] } as never }),
    },
  };
}

describe("priorityOf", () => {
  it.each<[string, ServiceIdentity | undefined, string, number]>([
    ["an identity that is gone", undefined, "Urgent", 0],
    ["a first issuance", identityOf(undefined), "Urgent", 0],
    ["a certificate with time", identityOf(500), "Routine", 500],
    ["a certificate at its last tenth", identityOf(100), "Routine", 100],
    ["a certificate in its last tenth", identityOf(99), "Urgent", 99],
    ["a token that ends before the certificate", identityOf(500, 200), "Routine", 200],
    ["an expired certificate", identityOf(-10), "Urgent", -10],
  ])("%s", (_what, identity, urgency, deadline) => {
    expect(priorityOf(identity, NOW)).toEqual({ urgency, deadline: NOW + deadline });
  });
});
