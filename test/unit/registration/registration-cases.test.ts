import { describe, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import { fieldFault } from "../../../src/registration/field-path.ts";
import { registerIdentity } from "../../../src/registration/registration-entry.ts";
import { compileSchemas } from "../../../src/registration/schema.ts";
import type { ServiceIdentity, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import {
  checkIdentityTransition,
  checkTrustDomainTransition,
} from "../../../src/registration/transitions.ts";
import {
  DEFAULT_OPERATOR_NAMESPACE,
  defaultIssuer,
  type TrustDomainPolicy,
  trustDomainPolicy,
} from "../../../src/registration/trust-domain-policy.ts";
import { REGISTRATION_CASES, type RegistrationCase, trustDomain } from "../../support/registration-cases.ts";
import { DEFINITIONS } from "../../support/schemas.ts";

interface Refusal {
  readonly by: "schema" | "engine";
  readonly field: string;
  readonly text: string;
  readonly reason?: string;
}

const validate = compileSchemas(DEFINITIONS);
const policy = policyOf(trustDomain({}) as unknown as TrustDomainObject);

function policyOf(object: TrustDomainObject): TrustDomainPolicy {
  return trustDomainPolicy(object, { mode: "cluster", clusterDomain: "cluster.local" });
}

/** As local mode judges: the schema, what may not change, then the engine. */
function judge({ object, before }: RegistrationCase): Refusal | undefined {
  const [fault] = validate(object);
  if (fault !== undefined)
    return { by: "schema", field: fault.field, text: `${fault.message}; expected ${fault.expected}` };
  return object["kind"] === "TrustDomain"
    ? judgeDomain(object as unknown as TrustDomainObject, before as TrustDomainObject | undefined)
    : judgeIdentity(object as unknown as ServiceIdentity, before as ServiceIdentity | undefined);
}

function judgeIdentity(object: ServiceIdentity, before: ServiceIdentity | undefined): Refusal | undefined {
  const change = before && checkIdentityTransition(before, object);
  if (change !== undefined) return { by: "engine", field: change.field, text: change.message };
  const result = registerIdentity(object, policy.registration);
  if (result.ok) return undefined;
  const { field, message, reason } = result.fault;
  return { by: "engine", field, text: message, reason };
}

function judgeDomain(object: TrustDomainObject, before: TrustDomainObject | undefined): Refusal | undefined {
  const issuer = defaultIssuer(DEFAULT_OPERATOR_NAMESPACE);
  const change = before && checkTrustDomainTransition(before.spec, object.spec, issuer);
  if (change !== undefined) return { by: "engine", field: change.field, text: change.message };
  try {
    policyOf(object);
    return undefined;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { by: "engine", field: String(error.details["field"]), text: error.message };
  }
}

describe.each([
  ["ServiceIdentity", REGISTRATION_CASES.filter(({ object }) => object["kind"] === "ServiceIdentity")],
  ["TrustDomain", REGISTRATION_CASES.filter(({ object }) => object["kind"] === "TrustDomain")],
] as const)("%s", (_kind, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))("%s", (_name, one) => {
    const refusal = judge(one);
    if (one.verdict === "valid") {
      expect(refusal).toBeUndefined();
      return;
    }
    const { by, field, message, reason } = one.verdict;
    expect(refusal?.by).toBe(by === "schema" ? "schema" : "engine");
    expect(refusal?.text).toContain(message);
    // An API server names the list where we name the item.
    const named = by === "cel" && refusal?.field.startsWith(field) === true ? field : refusal?.field;
    expect(named).toBe(field);
    if (refusal?.by === "engine" && one.object["kind"] === "ServiceIdentity" && one.before === undefined) {
      expect(refusal.reason).toBe(reason ?? "InvalidSpec");
    }
  });
});

describe("the table of cases", () => {
  it("names every case once and every field as a field", () => {
    const names = REGISTRATION_CASES.map(({ name, object }) => `${String(object["kind"])} ${name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { verdict } of REGISTRATION_CASES) {
      if (verdict !== "valid") expect(fieldFault(verdict.field, "", "").path[0]).toBe("spec");
    }
  });
});
