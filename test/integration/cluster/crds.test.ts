/**
 * The CRDs on a real API server: what it accepts and refuses, and with which words; what kubectl shows of the objects.
 */

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ApiResponse, ControlPlane } from "../../support/control-plane/types.ts";
import {
  FULL_IDENTITY_SPEC,
  REGISTRATION_CASES,
  type RegistrationCase,
  serviceIdentity,
  trustDomain,
} from "../../support/registration-cases.ts";

/** Trust domains are the whole cluster's: those of this suite have names that no other suite takes. */
const SUITE = `crds-${randomBytes(4).toString("hex")}`;
const API = "/apis/meshid.dev/v1alpha1";

/** The API server's words for what the engine says in ours: every refusal by the schema must be one of these. */
const SERVER_WORDS: readonly (readonly [ours: RegExp, theirs: RegExp])[] = [
  [/is missing/, /^Required value$/],
  [
    /is empty/,
    /should be at least \d+ chars long|should have at least 1 (items|properties)|^Required value$/,
  ],
  [/stands twice/, /^Duplicate value: /],
  [/hours, minutes and seconds/, /should match '\^\(\[0-9\]/],
  [/at most \d+/, /must have at most \d+ items|should be less than or equal to \d+/],
  [/at least \d+/, /should be greater than or equal to \d+/],
  [/a whole number/, /must be of type int(eger|32): /],
  [/expected text such as/, /must be of type string: "integer"/],
  [/one of Strict|one of ES256|ECDSA-P256|RSA-3072|PKCS12/, /^Unsupported value: .*: supported values: "/],
];

interface KubeObject {
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly [member: string]: unknown;
}

interface Cause {
  readonly field: string;
  readonly message: string;
}

interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly causes: readonly Cause[];
}

function refusalIn({ status, body }: ApiResponse): Refusal | undefined {
  if (status < 300) return undefined;
  const { message, details } = body as {
    readonly message: string;
    readonly details?: { readonly causes?: readonly Cause[] };
  };
  return { status, message, causes: details?.causes ?? [] };
}

describeCluster("the CRDs", () => {
  let kube: ControlPlane;
  let namespace: string;

  beforeAll(async () => {
    kube = await controlPlane();
    await kube.installCrds();
    namespace = await kube.makeNamespace();
  });

  afterAll(async () => {
    await kube.kubectl(["delete", "trustdomains", "--selector", `suite=${SUITE}`, "--wait=false"]);
  });

  /** The object at home here: in this suite's namespace, or under this suite's name. */
  const athome = (object: RegistrationCase["object"]): KubeObject => {
    const { kind, metadata } = object as KubeObject;
    const isDomain = kind === "TrustDomain";
    const name = isDomain && metadata.name === "cluster.local" ? `${SUITE}.example` : metadata.name;
    const home = isDomain ? { name, labels: { suite: SUITE } } : { name, namespace };
    return { ...(object as KubeObject), metadata: { ...metadata, ...home } };
  };

  const pathOf = ({ kind, metadata }: KubeObject, isNamed = true): string => {
    const collection =
      kind === "TrustDomain" ? `${API}/trustdomains` : `${API}/namespaces/${namespace}/serviceidentities`;
    return isNamed ? `${collection}/${metadata.name}` : collection;
  };

  const create = (object: KubeObject, query = ""): Promise<ApiResponse> =>
    kube.request({
      method: "POST",
      path: `${pathOf(object, false)}?fieldValidation=Strict${query}`,
      body: object,
    });

  const remove = async (object: KubeObject): Promise<void> => {
    await kube.request({ method: "DELETE", path: pathOf(object) });
  };

  /** The verdict of the API server; nothing stays. */
  const ask = async ({ object, before }: RegistrationCase): Promise<Refusal | undefined> => {
    const wanted = athome(object);
    if (before === undefined) return refusalIn(await create(wanted, "&dryRun=All"));
    const made = await create(athome(before));
    expect(refusalIn(made)).toBeUndefined();
    try {
      const { resourceVersion } = (made.body as KubeObject).metadata;
      const body = { ...wanted, metadata: { ...wanted.metadata, resourceVersion } };
      const path = `${pathOf(wanted)}?fieldValidation=Strict&dryRun=All`;
      return refusalIn(await kube.request({ method: "PUT", path, body }));
    } finally {
      await remove(wanted);
    }
  };

  describe.each([
    ["ServiceIdentity", REGISTRATION_CASES.filter(({ object }) => object["kind"] === "ServiceIdentity")],
    ["TrustDomain", REGISTRATION_CASES.filter(({ object }) => object["kind"] === "TrustDomain")],
  ] as const)("%s", (_kind, cases) => {
    it.each(cases.map((one) => [one.name, one] as const))("%s", async (_name, one) => {
      const refusal = await ask(one);
      expectVerdict(one.verdict, refusal);
    });
  });

  it("are structural, and served without a complaint", async () => {
    for (const name of ["serviceidentities", "trustdomains"]) {
      const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}.meshid.dev`;
      const { body } = await kube.request({ method: "GET", path });
      const { conditions } = (body as { status: { conditions: { type: string; status: string }[] } }).status;
      expect(conditions.map(({ type, status }) => `${type}=${status}`).sort()).toEqual([
        "Established=True",
        "NamesAccepted=True",
      ]);
    }
    const crds = fileURLToPath(new URL("../../../crds", import.meta.url));
    const again = await kube.kubectl(["create", "--dry-run=server", "--validate=strict", "-f", crds]);
    // They are there already; nothing else is to be said.
    expect(again.stderr.replaceAll(/^Error from server \(AlreadyExists\).*$/gm, "").trim()).toBe("");
  });

  it("tell a person what is wrong, where, and what was expected", async () => {
    const spec = { x509: { ttl: "59s", formats: ["PKCS12"], dnsNames: ["Payments.shop.svc"] } };
    const input = JSON.stringify(athome(serviceIdentity(spec)));
    const { code, stderr } = await kube.kubectl(["apply", "-f", "-"], { input });
    expect(code).toBe(1);
    const [head, ...faults] = stderr.trim().split("\n");
    expect(head).toBe('The ServiceIdentity "payments" is invalid: ');
    // Servers before 1.37 show the type in place of the value.
    expect(faults.map((fault) => fault.replace(/Invalid value: ("[^"]*": )?/, "")).sort()).toEqual([
      "* spec.x509.dnsNames[0]: expected a lower-case DNS name without wildcard, of the form [<label>.]<service>.<namespace>.svc[.<cluster domain>]",
      "* spec.x509.pkcs12: format PKCS12 needs a password; expected pkcs12.passwordSecretRef with name and key",
      "* spec.x509.ttl: expected a duration from 1m to 2160h",
    ]);
  });

  it("show a ServiceIdentity with the columns that users know", async () => {
    const object = athome(serviceIdentity({}, { name: "columns" }));
    expect(refusalIn(await create(object))).toBeUndefined();
    expect(await table(["get", "si", "columns", "-n", namespace])).toEqual([
      ["NAME", "READY", "SPIFFE-ID", "SECRET", "EXPIRES", "AGE"],
      ["columns", "", "", "", "", AGE],
    ]);
    await writeStatus(object, IDENTITY_STATUS);
    expect(await table(["get", "si", "columns", "-n", namespace, "-o", "wide"])).toEqual([
      "NAME READY SPIFFE-ID SECRET EXPIRES AGE REASON MTLS RENEWS SERIAL MESSAGE".split(" "),
      [
        "columns",
        "True",
        "spiffe://cluster.local/ns/shop/sa/payments",
        "payments-tls",
        "2026-11-25T10:00:00Z",
        AGE,
        "Degraded",
        "Strict",
        "2026-11-24T22:00:00Z",
        "4f1c09a2",
        "Istio is not installed",
      ],
    ]);
  });

  it("show a TrustDomain with its rotation and its bundle", async () => {
    const object = athome(trustDomain({}, { name: `columns.${SUITE}.example` }));
    expect(refusalIn(await create(object))).toBeUndefined();
    await writeStatus(object, {
      bundle: { sequence: 12, namespaces: 42, namespacesCurrent: 41 },
      conditions: [
        condition("Ready", "False", "NotServed", "this operator serves another one"),
        condition("RotationInProgress", "True", "WaitingForConsumers", "3 namespaces"),
      ],
    });
    expect(await table(["get", "td", object.metadata.name, "-o", "wide"])).toEqual([
      ["NAME", "READY", "ROTATION", "BUNDLE", "NAMESPACES", "AGE", "REASON", "MESSAGE", "ROTATION-MESSAGE"],
      [
        object.metadata.name,
        "False",
        "WaitingForConsumers",
        "12",
        "41",
        AGE,
        "NotServed",
        "this operator serves another one",
        "3 namespaces",
      ],
    ]);
  });

  it("answer to their short names and to the category meshid", async () => {
    const names = async (...args: readonly string[]): Promise<string> =>
      (await kube.kubectl(["get", ...args, "-n", namespace, "-o", "name"])).stdout;
    const [identity, domain] = [
      athome(serviceIdentity({}, { name: "short" })),
      athome(trustDomain({}, { name: `short.${SUITE}.example` })),
    ];
    await Promise.all([create(identity), create(domain)]);
    expect(await names("si", "short")).toBe("serviceidentity.meshid.dev/short\n");
    expect(await names("td", domain.metadata.name)).toBe(`trustdomain.meshid.dev/${domain.metadata.name}\n`);
    const both = (await names("meshid")).split("\n");
    expect(both).toEqual(
      expect.arrayContaining([
        "serviceidentity.meshid.dev/short",
        `trustdomain.meshid.dev/${domain.metadata.name}`,
      ]),
    );
  });

  it("keep status and spec apart: neither is written with the other", async () => {
    const object = athome(serviceIdentity({ x509: { ttl: "1h" } }, { name: "apart" }));
    const made = await create({ ...object, status: { spiffeID: "spiffe://forged/a" } });
    expect(made.body).toMatchObject({ metadata: { generation: 1 } });
    expect(made.body).not.toHaveProperty("status");
    const patch = { spec: { x509: { ttl: "2h" } }, status: { spiffeID: "spiffe://cluster.local/a" } };
    const asStatus = await merge(`${pathOf(object)}/status`, patch);
    expect(asStatus.body).toMatchObject({
      metadata: { generation: 1 },
      spec: { x509: { ttl: "1h" } },
      status: { spiffeID: "spiffe://cluster.local/a" },
    });
    const asSpec = await merge(pathOf(object), { ...patch, status: { spiffeID: "spiffe://forged/a" } });
    expect(asSpec.body).toMatchObject({
      metadata: { generation: 2 },
      spec: { x509: { ttl: "2h" } },
      status: { spiffeID: "spiffe://cluster.local/a" },
    });
  });

  it("take every status that the API names, whole, and refuse what is not in it", async () => {
    const object = athome(serviceIdentity({}, { name: "status" }));
    await create(object);
    await writeStatus(object, IDENTITY_STATUS);
    const { body } = await kube.request({ method: "GET", path: pathOf(object) });
    expect((body as KubeObject)["status"]).toEqual(IDENTITY_STATUS);
    const path = `${pathOf(object)}/status?fieldValidation=Strict`;
    const slip = refusalIn(await merge(path, { status: { spiffeId: "spiffe://cluster.local/a" } }));
    expect(slip?.message).toContain('unknown field "status.spiffeId"');
  });

  it("merge lists by their keys: two appliers each keep their own token", async () => {
    const object = athome(serviceIdentity({}, { name: "lists" }));
    const apply = (manager: string, audience: string): Promise<ApiResponse> =>
      kube.request({
        method: "PATCH",
        path: `${pathOf(object)}?fieldManager=${manager}`,
        contentType: "application/apply-patch+yaml",
        body: { ...object, spec: { jwt: { tokens: [{ audience }] } } },
      });
    await apply("one", "a");
    const { body } = await apply("two", "b");
    expect((body as KubeObject)["spec"]).toEqual({ jwt: { tokens: [{ audience: "a" }, { audience: "b" }] } });
  });

  it("take the largest objects that the schema allows: the rules stay within the server's budget", async () => {
    for (const [kind, spec] of [
      ["ServiceIdentity", LARGEST_IDENTITY_SPEC],
      ["TrustDomain", LARGEST_DOMAIN_SPEC],
    ] as const) {
      const object = athome(
        kind === "TrustDomain"
          ? trustDomain(spec, { name: `largest.${SUITE}.example` })
          : serviceIdentity(spec, { name: "largest" }),
      );
      expect(refusalIn(await create(object))).toBeUndefined();
      // The rules on a change look at both.
      const touched = await merge(pathOf(object), { metadata: { labels: { touched: "1" } } });
      expect(refusalIn(touched)).toBeUndefined();
    }
  });

  it("store what was applied and nothing more: the same manifest again is no change", async () => {
    const object = athome(serviceIdentity(FULL_IDENTITY_SPEC, { name: "again" }));
    const input = JSON.stringify(object);
    for (const how of [["apply"], ["apply", "--server-side", "--force-conflicts"]]) {
      await kube.kubectl([...how, "-f", "-"], { input });
      const before = await kube.request({ method: "GET", path: pathOf(object) });
      expect(before.body).toMatchObject({ spec: FULL_IDENTITY_SPEC });
      expect((await kube.kubectl([...how, "-f", "-"], { input })).code).toBe(0);
      const after = await kube.request({ method: "GET", path: pathOf(object) });
      const versionOf = ({ body }: ApiResponse): unknown => (body as KubeObject).metadata["resourceVersion"];
      expect(versionOf(after)).toBe(versionOf(before));
    }
    expect(await kube.kubectl(["diff", "-f", "-"], { input })).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("explain themselves: every field has its type, what it does and an example", async () => {
    for (const kind of ["serviceidentity", "trustdomain"]) {
      const { stdout } = await kube.kubectl(["explain", kind, "--recursive"]);
      expect(stdout).toMatch(/^GROUP: +meshid\.dev\nKIND: +\w+\nVERSION: +v1alpha1\n/);
      expect(stdout).not.toContain("<no description>");
    }
    const { stdout } = await kube.kubectl(["explain", "si.spec.x509.keyAlgorithm"]);
    expect(stdout.replaceAll(/\s+/g, " ").trim()).toBe(
      "GROUP: meshid.dev KIND: ServiceIdentity VERSION: v1alpha1 FIELD: keyAlgorithm <string> ENUM: ECDSA-P256 " +
        "ECDSA-P384 RSA-2048 RSA-3072 RSA-4096 Ed25519 DESCRIPTION: The algorithm of the workload's key; default " +
        "ECDSA-P256 (or the first that the TrustDomain's limits allow). Envoy cannot use Ed25519. Example: ECDSA-P384",
    );
    const spec = await kube.kubectl(["explain", "si.spec"]);
    for (const field of ["jwt\t<Object>", "mtls\t<Object>", "serviceAccountName\t<string>", "x509\t<Object>"])
      expect(spec.stdout).toContain(`  ${field}\n`);
    expect(spec.stdout.match(/Example:/g)).toHaveLength(5);
  });

  const merge = (path: string, body: unknown): Promise<ApiResponse> =>
    kube.request({ method: "PATCH", path, contentType: "application/merge-patch+json", body });

  const writeStatus = async (object: KubeObject, status: unknown): Promise<void> => {
    const answer = await merge(`${pathOf(object)}/status?fieldValidation=Strict`, { status });
    expect(refusalIn(answer)).toBeUndefined();
  };

  /** The cells of what kubectl prints, by the places of the column heads. */
  const table = async (args: readonly string[]): Promise<readonly (readonly string[])[]> => {
    const { code, stdout, stderr } = await kube.kubectl(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [head = "", ...lines] = stdout.trimEnd().split("\n");
    const starts = [...head.matchAll(/\S+/g)].map(({ index }) => index);
    const cells = (line: string): readonly string[] =>
      starts.map((start, at) => line.slice(start, starts[at + 1]).trim());
    return [head, ...lines].map(cells);
  };
});

const AGE: unknown = expect.stringMatching(/^\d+[sm]\d*s?$/);

function condition(type: string, status: string, reason: string, message: string): object {
  return { type, status, reason, message, observedGeneration: 1, lastTransitionTime: "2026-11-24T10:00:00Z" };
}

/** Every field of it. */
const IDENTITY_STATUS = {
  observedGeneration: 1,
  spiffeID: "spiffe://cluster.local/ns/shop/sa/payments",
  x509: {
    serialNumber: "4f1c09a2",
    notBefore: "2026-11-24T09:59:00Z",
    notAfter: "2026-11-25T10:00:00Z",
    renewalTime: "2026-11-24T22:00:00Z",
    ttl: "24h0m0s",
    ttlReason: "Requested",
    authorityKeyID: "0f3a6c1d9b2e4f5a8c7d6e5f4a3b2c1d0e9f8a7b",
    secretName: "payments-tls",
    revision: 7,
  },
  jwt: {
    tokens: [
      {
        audience: "orders.shop",
        key: "orders.shop.jwt",
        keyID: "0f3a6c1d",
        notAfter: "2026-11-24T11:00:00Z",
      },
    ],
    secretName: "payments-jwt",
  },
  mtls: { mode: "Strict", peerAuthentication: "payments" },
  lastManualRenewal: "2026-11-24-key-leaked",
  conditions: [
    condition("Ready", "True", "Degraded", "Istio is not installed"),
    condition("X509Issued", "True", "Issued", "issued"),
  ],
};

const many = <T>(count: number, make: (index: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const padded = (index: number, length: number): string =>
  `${String(index).padStart(2, "0")}${"a".repeat(length - 2)}`;
const labelKey = (index: number): string => `${many(4, () => "a".repeat(62)).join(".")}/${padded(index, 63)}`;
const labels = Object.fromEntries(many(16, (index) => [labelKey(index), "b".repeat(63)]));

const LARGEST_IDENTITY_SPEC = {
  serviceAccountName: "a".repeat(253),
  x509: {
    ttl: "999h1m1s",
    dnsNames: many(
      16,
      (index) => `${padded(index, 63)}.${"b".repeat(63)}.${"c".repeat(63)}.svc.${"d".repeat(53)}`,
    ),
    secretName: "s".repeat(253),
    formats: ["PEM", "Istio", "PKCS12", "Combined"],
    pkcs12: { passwordSecretRef: { name: "p".repeat(253), key: "k".repeat(253) } },
  },
  jwt: {
    // Half with a default key, for which each character is looked at, and half with a key of their own.
    tokens: many(8, (index) =>
      index % 2 === 0
        ? { audience: padded(index, 249).replaceAll("a", "/"), ttl: "1h" }
        : { audience: padded(index, 512).replaceAll("a", "/"), key: padded(index, 253), ttl: "1h" },
    ),
    secretName: "j".repeat(253),
  },
  mtls: {
    mode: "Strict",
    selector: { matchLabels: labels },
    exceptions: many(32, (index) => ({ port: index + 1, mode: "Permissive" })),
  },
};

const LARGEST_DOMAIN_SPEC = {
  authority: { source: "Secret", secretRef: { name: "s".repeat(253) }, rootTTL: "9999h", issuingTTL: "999h" },
  jwt: { issuer: `https://${many(4, () => "a".repeat(62)).join(".")}:65535/${"p".repeat(246)}` },
  bundle: {
    namespaceSelector: {
      matchLabels: labels,
      matchExpressions: many(16, (index) => ({
        key: labelKey(index),
        operator: "In",
        values: many(64, (value) => padded(value, 63)),
      })),
    },
    configMapName: "c".repeat(253),
    additionalRoots: `-----BEGIN CERTIFICATE-----\n${"A".repeat(65_508)}`,
  },
  limits: {
    keyAlgorithms: ["ECDSA-P256", "ECDSA-P384", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519"],
    identitiesPerNamespace: 1_000_000,
  },
};

/** Accepted where the table says so, otherwise refused at that field with those words. */
function expectVerdict(verdict: RegistrationCase["verdict"], refusal: Refusal | undefined): void {
  if (verdict === "valid" || verdict.by === "engine") {
    expect(refusal).toBeUndefined();
    return;
  }
  if (refusal?.status === 400) {
    expect(verdict.by).toBe("schema");
    expect(refusal.message).toContain(`unknown field "${verdict.field}"`);
    return;
  }
  expect(refusal).toMatchObject({ status: 422 });
  const words = verdict.by === "cel" ? [verdict.message] : serverWords(verdict.message);
  const isSaid = ({ field, message }: Cause): boolean =>
    // A key of a map is named with it.
    (field === verdict.field || field.startsWith(`${verdict.field}[`)) &&
    words.some((one) => (typeof one === "string" ? message.includes(one) : one.test(message)));
  const causes = refusal?.causes ?? [];
  const said = { field: verdict.field, words, causes };
  expect({ ...said, isSaid: causes.some(isSaid) }).toEqual({ ...said, isSaid: true });
}

function serverWords(message: string): readonly RegExp[] {
  return SERVER_WORDS.filter(([ours]) => ours.test(message)).map(([, theirs]) => theirs);
}
