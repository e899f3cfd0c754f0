import { describe, expect, it } from "@jest/globals";
import { compileSchemas } from "../../../src/registration/schema.ts";
import { FULL_IDENTITY_SPEC, serviceIdentity, trustDomain } from "../../support/registration-cases.ts";
import { DEFINITIONS } from "../../support/schemas.ts";

const validate = compileSchemas(DEFINITIONS);

function lines(document: unknown): readonly string[] {
  return validate(document).map(
    ({ field, message, expected }) => `${field}: ${message}; expected ${expected}`,
  );
}

describe("compileSchemas", () => {
  it.each([
    [
      "nothing",
      null,
      ": the document is nothing; expected an object with apiVersion, kind, metadata and spec",
    ],
    ["a list", [], ": the document is a list; expected an object with apiVersion, kind, metadata and spec"],
    ["no kind", {}, "kind: is missing; expected ServiceIdentity or TrustDomain"],
    [
      "another kind",
      { kind: "Deployment" },
      'kind: "Deployment" is not a kind of meshid; expected ServiceIdentity or TrustDomain',
    ],
    [
      "another version",
      { ...serviceIdentity({}), apiVersion: "meshid.dev/v1" },
      'apiVersion: "meshid.dev/v1" is not served; expected meshid.dev/v1alpha1',
    ],
    [
      "another top-level field",
      { ...serviceIdentity({}), data: {} },
      "data: is not a known field; expected one of apiVersion, kind, metadata, spec, status",
    ],
    [
      "a slip in metadata",
      serviceIdentity({}, { lables: {} }),
      "metadata.lables: is not a known field; expected one of name, namespace, labels, annotations, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generateName, selfLink, finalizers, ownerReferences, managedFields",
    ],
    [
      "a name that is a number",
      serviceIdentity({}, { name: 7 }),
      "metadata.name: is the number 7; expected text such as payments",
    ],
    [
      "an object in place of a list",
      serviceIdentity({ x509: { dnsNames: {} } }),
      "spec.x509.dnsNames: is an object; expected a list such as [payments.shop.svc]",
    ],
    [
      "a field left empty",
      serviceIdentity({ x509: null }),
      "spec.x509: is empty; expected an object such as {ttl: 12h, formats: [PEM, Istio]}",
    ],
    [
      "a yes for text",
      serviceIdentity({ x509: { ttl: true } }),
      "spec.x509.ttl: is the boolean true; expected text such as 12h",
    ],
    [
      "not a number",
      trustDomain({ limits: { identitiesPerNamespace: Number.NaN } }),
      "spec.limits.identitiesPerNamespace: is the number NaN; expected a whole number such as 100",
    ],
  ])("explains %s", (_name, document, line) => {
    expect(lines(document)).toEqual([line]);
  });

  it("reports every fault with the path to it", () => {
    const tokens = [{ audience: "a" }, { ttl: "1h", key: 5 }];
    const faults = validate(
      serviceIdentity({ jwt: { tokens }, mtls: { mode: "Strict", selector: { matchLabels: { "1": 2 } } } }),
    );
    expect(faults.map(({ path }) => path)).toEqual([
      ["spec", "jwt", "tokens", 1, "audience"],
      ["spec", "jwt", "tokens", 1, "key"],
      ["spec", "mtls", "selector", "matchLabels", "1"],
    ]);
  });

  it("leaves status aside, and what an API server adds to metadata", () => {
    const metadata = {
      uid: "u",
      creationTimestamp: null,
      resourceVersion: "1",
      managedFields: [{ manager: "kubectl" }],
    };
    expect(lines({ ...serviceIdentity({}, metadata), status: { forged: true } })).toEqual([]);
  });

  it("knows no field that every object inherits", () => {
    expect(lines(serviceIdentity(JSON.parse('{"__proto__": {}, "constructor": 1}')))).toEqual([
      expect.stringContaining("spec.__proto__: is not a known field"),
      expect.stringContaining("spec.constructor: is not a known field"),
    ]);
  });

  it("shows at most twenty faults, and one of a document that is very large", () => {
    const unknown = (count: number): unknown =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 1]));
    expect(validate(serviceIdentity(unknown(100)))).toHaveLength(20);
    expect(validate(serviceIdentity(unknown(100_000)))).toHaveLength(1);
  });

  it("ends on a document that aliases have made endless", () => {
    let node: unknown = {};
    for (let i = 0; i < 60; i++) node = { a: node, b: node };
    expect(validate(serviceIdentity({ x509: node }))).not.toEqual([]);
    const cycle: Record<string, unknown> = {};
    cycle["x509"] = cycle;
    expect(validate(serviceIdentity(cycle))).not.toEqual([]);
  });

  it("judges no document so slowly that a flood of them could hold it up", () => {
    const good = serviceIdentity(FULL_IDENTITY_SPEC);
    const bad = serviceIdentity({ x509: { ttl: "90d", dnsNames: ["a", "a"] }, jwt: {} });
    const start = performance.now();
    for (let i = 0; i < 5000; i++) {
      validate(good);
      validate(bad);
    }
    // 0.4 s on an idle machine.
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it("refuses definitions that it would understand in part only", () => {
    const changed = structuredClone(DEFINITIONS[0]) as {
      spec: {
        versions: { schema: { openAPIV3Schema: { properties: { spec: Record<string, unknown> } } } }[];
      };
    };
    const { spec } = changed.spec.versions[0]!.schema.openAPIV3Schema.properties;
    spec["oneOf"] = [];
    expect(() => compileSchemas([changed])).toThrow("keyword oneOf at spec is not understood");
    expect(() => compileSchemas([{ kind: "ConfigMap" }])).toThrow("not a CustomResourceDefinition");
  });
});
