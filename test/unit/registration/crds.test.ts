import { describe, expect, it } from "@jest/globals";
import { DURATION_PATTERN } from "../../../src/core/duration.ts";
import { JWT_ALGORITHMS } from "../../../src/jwt/jwt-svid.ts";
import { AUTHORITY_KEY_ALGORITHMS, KEY_ALGORITHMS } from "../../../src/x509/keys.ts";
import { DEFINITIONS } from "../../support/schemas.ts";

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly maximum?: number;
  readonly format?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string; readonly message?: string }[];
}

interface Definition {
  readonly spec: {
    readonly names: { readonly shortNames: readonly string[]; readonly categories: readonly string[] };
    readonly scope: string;
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly subresources: unknown;
      readonly additionalPrinterColumns: readonly {
        name: string;
        type: string;
        priority?: number;
        jsonPath: string;
      }[];
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const [identity, domain] = DEFINITIONS as readonly [Definition, Definition];

/** Every schema in a definition by its field; metadata is the API server's own. */
function fieldsOf(schema: Schema, field = ""): readonly (readonly [string, Schema])[] {
  const members = Object.entries(schema.properties ?? {}).filter(([name]) => name !== "metadata");
  return [
    [field, schema],
    ...members.flatMap(([name, one]) => fieldsOf(one, field === "" ? name : `${field}.${name}`)),
    ...(schema.items === undefined ? [] : fieldsOf(schema.items, `${field}[]`)),
    ...(schema.additionalProperties === undefined ? [] : fieldsOf(schema.additionalProperties, `${field}{}`)),
  ];
}

function schemaOf({ spec }: Definition): Schema {
  const [version] = spec.versions;
  if (version === undefined) throw new Error("no version");
  return version.schema.openAPIV3Schema;
}

function namesWhere(definition: Definition, isWrong: (schema: Schema) => boolean): readonly string[] {
  return fieldsOf(schemaOf(definition))
    .filter(([, schema]) => isWrong(schema))
    .map(([field]) => field);
}

describe.each([
  ["ServiceIdentity", identity],
  ["TrustDomain", domain],
])("the definition of %s", (_name, definition) => {
  it("describes every field, with an example", () => {
    expect(namesWhere(definition, ({ description = "" }) => !/Example: \S/.test(description))).toEqual([]);
  });

  it("bounds every text, list, map and number", () => {
    const isUnbounded = (schema: Schema): boolean =>
      (schema.type === "string" && schema.maxLength === undefined) ||
      (schema.type === "array" && schema.maxItems === undefined) ||
      (schema.additionalProperties !== undefined && schema.maxProperties === undefined) ||
      (schema.type === "integer" && schema.maximum === undefined && schema.format !== "int64");
    expect(namesWhere(definition, isUnbounded)).toEqual([]);
  });

  it("says of every list whether it is a set or a map or neither", () => {
    expect(
      namesWhere(definition, (one) => one.type === "array" && one["x-kubernetes-list-type"] === undefined),
    ).toEqual([]);
  });

  it("leaves every default to the engine", () => {
    expect(namesWhere(definition, (one) => "default" in one)).toEqual([]);
  });

  it("gives durations the one pattern that the engine reads", () => {
    const [inSpec] = Object.entries(schemaOf(definition).properties ?? {}).filter(
      ([name]) => name === "spec",
    );
    const durations = fieldsOf(inSpec?.[1] ?? {}).filter(([field]) => /(ttl|TTL|propagation)$/.test(field));
    expect(durations.length).toBeGreaterThanOrEqual(2);
    expect(new Set(durations.map(([, schema]) => schema.pattern))).toEqual(new Set([DURATION_PATTERN]));
  });

  it("gives every rule a message that says what was expected or what is fixed", () => {
    const messages = fieldsOf(schemaOf(definition)).flatMap(
      ([, one]) => one["x-kubernetes-validations"] ?? [],
    );
    expect(messages.filter(({ message = "" }) => !message.includes("expected"))).toEqual([]);
  });

  it("is served and stored as v1alpha1 with a status of its own, in category meshid", () => {
    const [version] = definition.spec.versions;
    expect(definition.spec.versions).toHaveLength(1);
    expect(version).toMatchObject({
      name: "v1alpha1",
      served: true,
      storage: true,
      subresources: { status: {} },
    });
    expect(definition.spec.names.categories).toEqual(["meshid"]);
  });
});

describe("the definitions", () => {
  it("have the short names and scopes that users know", () => {
    expect([identity, domain].map(({ spec }) => [spec.names.shortNames, spec.scope])).toEqual([
      [["si"], "Namespaced"],
      [["td"], "Cluster"],
    ]);
  });

  it("show the columns that users know; EXPIRES is text, for a date in the future prints as invalid", () => {
    const columns = identity.spec.versions[0]?.additionalPrinterColumns ?? [];
    const headers = (wide: boolean): string =>
      columns
        .filter(({ priority = 0 }) => wide === priority > 0)
        .map(({ name }) => name.toUpperCase())
        .join(" ");
    expect(headers(false)).toBe("READY SPIFFE-ID SECRET EXPIRES AGE");
    expect(headers(true)).toBe("REASON MTLS RENEWS SERIAL MESSAGE");
    expect(columns.filter(({ type }) => type === "date").map(({ name }) => name)).toEqual(["Age"]);
  });

  it("name the algorithms that the engine has", () => {
    const enums = new Map(
      [...fieldsOf(schemaOf(identity)), ...fieldsOf(schemaOf(domain))].map(([field, one]) => [
        field,
        one.enum,
      ]),
    );
    expect(enums.get("spec.x509.keyAlgorithm")).toEqual(KEY_ALGORITHMS);
    expect(enums.get("spec.limits.keyAlgorithms[]")).toEqual(KEY_ALGORITHMS);
    expect(enums.get("spec.authority.keyAlgorithm")).toEqual(AUTHORITY_KEY_ALGORITHMS);
    expect(enums.get("spec.jwt.algorithm")).toEqual(JWT_ALGORITHMS);
  });
});
