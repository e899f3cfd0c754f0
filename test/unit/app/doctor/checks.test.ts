import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { CHECKS, examine } from "../../../../src/app/doctor/checks.ts";
import type { DeploymentFact, Facts } from "../../../../src/app/doctor/facts.ts";
import type { Finding, Result } from "../../../../src/app/doctor/finding.ts";
import { printFindings } from "../../../../src/app/doctor/print.ts";
import { neededRights } from "../../../../src/app/doctor/rights.ts";
import { fieldsOf } from "../../../../src/app/doctor/schema-fields.ts";
import { seconds } from "../../../../src/core/brand.ts";
import { NOW } from "../../../support/cli.ts";
import {
  at,
  condition,
  HOUR,
  healthy,
  identityFact,
  is,
  slot,
  trustDomain,
  unknown,
} from "../../../support/doctor-facts.ts";

const resultOf = (name: string, facts: Facts): Omit<Finding, "name"> | undefined => CHECKS[name]?.(facts);

const deployment = (change: Partial<DeploymentFact>): Partial<Facts> => {
  const { deployments } = healthy();
  return {
    deployments: is(deployments.known ? deployments.value.map((one) => ({ ...one, ...change })) : []),
  };
};

const ago = (length: number): ReturnType<typeof seconds> => seconds(NOW - length);

const MTLS = { mode: "Strict", selector: { matchLabels: { app: "payments" } } } as const;
const meshed = is([identityFact({ spec: { mtls: MTLS } })]);
const pod = (secrets: readonly string[], labels: Readonly<Record<string, string>> = { app: "payments" }) => ({
  namespace: "shop",
  name: "payments-0",
  labels,
  secrets,
  hasSidecar: true,
});
const policy = (name: string, created: number, ownerUid?: string) => ({
  ref: { kind: "PeerAuthentication", namespace: "shop", name } as const,
  ownerUid,
  annotations: {},
  creationTimestamp: at(created),
  spec: { selector: { matchLabels: { app: "payments" } }, mtls: { mode: "STRICT" } },
});

describe("a cluster in which nothing is wrong", () => {
  it("passes every check", () => {
    expect(examine(healthy()).filter(({ result }) => result !== "ok")).toEqual([]);
  });

  it("is examined by these checks, whose names are fixed", () => {
    expect(Object.keys(CHECKS)).toEqual([
      "api-server",
      "crds",
      "operator",
      "operator-rights",
      "admission-policies",
      "leader",
      "clock-skew",
      "journal",
      "trust-domain",
      "trust-domain-name",
      "authority-keys",
      "rotation",
      "bundles",
      "reconciling",
      "identities",
      "credentials",
      "istio",
      "istio-trust-domain",
      "mesh-policies",
      "mesh-pods",
    ]);
  });
});

describe("a fault", () => {
  const NO_CONDITIONS = { conditions: [] };
  it.each<[check: string, result: Result, what: string, facts: Facts, message: RegExp]>([
    [
      "api-server",
      "failed",
      "an old Kubernetes",
      healthy({ serverVersion: "v1.29.9" }),
      /1\.29\.9 is older than 1\.30/,
    ],
    [
      "api-server",
      "failed",
      "silence in between",
      healthy({ unanswered: ["list Pods"] }),
      /1 request got no answer.*list Pods/,
    ],
    [
      "crds",
      "failed",
      "no CRD",
      healthy({ crds: is([crd({ isPresent: false })]) }),
      /not installed: trustdomains/,
    ],
    [
      "crds",
      "failed",
      "a CRD that is not served",
      healthy({ crds: is([crd({ isEstablished: false })]) }),
      /v1alpha1 is not served/,
    ],
    [
      "crds",
      "warning",
      "an old schema",
      healthy({ crds: is([crd({ missingFields: ["spec.new"] })]) }),
      /older than meshid 0\.1\.0: 1 field .*trustdomains\.meshid\.dev spec\.new/,
    ],
    [
      "crds",
      "warning",
      "a newer schema",
      healthy({ crds: is([crd({ unknownFields: ["spec.newer"] })]) }),
      /newer than this meshid/,
    ],
    ["operator", "failed", "no Deployment", healthy({ deployments: is([]) }), /no Deployment of meshid/],
    ["operator", "failed", "no pod wanted", healthy(deployment({ wanted: 0, available: 0 })), /scaled to 0/],
    [
      "operator",
      "failed",
      "no pod available",
      healthy(deployment({ available: 0 })),
      /none of 2 pods of meshid-system\/meshid/,
    ],
    ["operator", "warning", "a pod missing", healthy(deployment({ available: 1 })), /1 of 2 pods/],
    ["operator", "warning", "a rollout", healthy(deployment({ updated: 1 })), /being rolled out/],
    [
      "operator",
      "warning",
      "another version",
      healthy(deployment({ version: "0.2.0" })),
      /is meshid 0\.2\.0, this is meshid 0\.1\.0/,
    ],
    [
      "operator-rights",
      "failed",
      "a right missing",
      healthy({
        rights: is([
          {
            right: { group: "", resource: "secrets", verb: "patch", where: "served" },
            namespace: "shop",
            isAllowed: false,
          },
        ]),
      }),
      /lacks 1 right: patch secrets in shop/,
    ],
    [
      "admission-policies",
      "warning",
      "a policy missing",
      healthy({ admissionPolicies: is(new Set(["meshid-own-objects"])) }),
      /meshid-serviceidentities/,
    ],
    ["leader", "failed", "no Lease", healthy({ lease: is(undefined) }), /no controller has ever led/],
    [
      "leader",
      "failed",
      "a Lease that stands still",
      healthy({
        lease: is({
          holder: "meshid-1",
          durationSeconds: 15,
          renewTime: ago(300),
          isRenewed: false,
          skew: undefined,
        }),
      }),
      /meshid-1 holds it, last renewed 5 minutes ago/,
    ],
    [
      "leader",
      "failed",
      "a Lease that was given up",
      healthy({
        lease: is({ holder: "", durationSeconds: 15, renewTime: ago(9), isRenewed: false, skew: undefined }),
      }),
      /nobody holds it/,
    ],
    [
      "clock-skew",
      "failed",
      "a leader in the future",
      healthy({ lease: is({ holder: "m", durationSeconds: 15, renewTime: NOW, isRenewed: true, skew: 90 }) }),
      /leader's clock is 90 s before/,
    ],
    [
      "clock-skew",
      "warning",
      "a leader a little behind",
      healthy({
        lease: is({ holder: "m", durationSeconds: 15, renewTime: NOW, isRenewed: true, skew: -20 }),
      }),
      /20 s behind/,
    ],
    [
      "clock-skew",
      "warning",
      "our own clock",
      healthy({ now: seconds(NOW + 600) }),
      /this machine's clock is 600 s before/,
    ],
    [
      "journal",
      "failed",
      "no journal beside a published bundle",
      healthy({ journal: is(false) }),
      /gone, although a bundle was published/,
    ],
    [
      "journal",
      "warning",
      "no journal yet",
      healthy({ journal: is(false), trustDomains: is([]) }),
      /no journal .* yet/,
    ],
    ["trust-domain", "failed", "none", healthy({ trustDomains: is([]) }), /no TrustDomain that is served/],
    [
      "trust-domain",
      "failed",
      "one that nobody looked at",
      healthy({ trustDomains: is([trustDomain(NO_CONDITIONS)]) }),
      /no controller has looked at it/,
    ],
    [
      "trust-domain",
      "failed",
      "an authority that is not ready",
      healthy({
        trustDomains: is([
          trustDomain({ conditions: [condition("AuthorityReady", "False", "JournalMissing", "it is gone")] }),
        ]),
      }),
      /AuthorityReady is False: JournalMissing: it is gone/,
    ],
    [
      "rotation",
      "warning",
      "consumers that are excluded",
      healthy({
        trustDomains: is([
          trustDomain({ conditions: [condition("RotationInProgress", "True", "ConsumersExcluded")] }),
        ]),
      }),
      /goes on without consumers .*: because/,
    ],
    [
      "trust-domain",
      "warning",
      "a spec that cannot be served",
      healthy({
        trustDomains: is([
          trustDomain({ conditions: [condition("Ready", "True", "Degraded", "spec.jwt: bad")] }),
        ]),
      }),
      /Ready is True: Degraded: spec\.jwt: bad/,
    ],
    [
      "trust-domain",
      "warning",
      "a second one",
      healthy({
        trustDomains: is([
          trustDomain(),
          trustDomain({ conditions: [condition("Ready", "False", "NotServed")] }, { name: "other" }),
        ]),
      }),
      /others that are not: other/,
    ],
    [
      "trust-domain-name",
      "warning",
      "cluster.local",
      healthy({ trustDomains: is([trustDomain({}, { name: "cluster.local" })]) }),
      /not unique.*never federate/,
    ],
    [
      "authority-keys",
      "failed",
      "no active key",
      healthy({ trustDomains: is([trustDomain({ authorities: [slot("Root"), slot("JWT")] })]) }),
      /no issuing key is active/,
    ],
    [
      "authority-keys",
      "failed",
      "a key at its end without a successor",
      healthy({
        trustDomains: is([
          trustDomain({ authorities: [slot("Root"), slot("Issuing", { notAfter: at(600) }), slot("JWT")] }),
        ]),
      }),
      /issuing key issuing-1 ends in 10m .*, and there is no successor/,
    ],
    [
      "authority-keys",
      "failed",
      "a key at its end with a successor that waits",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [
              slot("Root", { notAfter: at(600) }),
              slot("Root", { state: "Prepared", keyID: "r2", waitingFor: "shop" }),
              slot("Issuing"),
              slot("JWT"),
            ],
          }),
        ]),
      }),
      /its successor r2 waits: shop/,
    ],
    [
      "authority-keys",
      "warning",
      "a key past half its life without a successor",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [slot("Root"), slot("Issuing"), slot("JWT", { notAfter: at(HOUR / 2) })],
          }),
        ]),
      }),
      /JWT key .*no successor yet/,
    ],
    [
      "authority-keys",
      "warning",
      "a key in its last quarter with a successor that waits",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [
              slot("Root"),
              slot("Issuing", { notAfter: at(HOUR * 0.3) }),
              slot("Issuing", { state: "Prepared", keyID: "i2", waitingFor: "shop" }),
              slot("JWT"),
            ],
          }),
        ]),
      }),
      /issuing-1 ends in 18m .*, in the last quarter of its life, and its successor i2 waits: shop/,
    ],
    [
      "authority-keys",
      "warning",
      "a brought key that ends and is not replaced",
      healthy({
        trustDomains: is([
          trustDomain(
            { authorities: [slot("Root"), slot("Issuing", { notAfter: at(HOUR / 2) }), slot("JWT")] },
            { spec: { authority: { source: "Secret", secretRef: { name: "byo-ca" } } } },
          ),
        ]),
      }),
      /issuing key .*no successor yet/,
    ],
    [
      "rotation",
      "warning",
      "a pause that holds up the preparation of a successor",
      healthy({
        trustDomains: is([
          trustDomain(
            {
              authorities: [
                slot("Root"),
                slot("Issuing", { notBefore: at(-5 * HOUR - 60), notAfter: at(4 * HOUR) }),
                slot("JWT"),
              ],
            },
            { spec: { rotation: { paused: true } } },
          ),
        ]),
      }),
      /the successor of the issuing key is prepared in 37m30s .* at the latest, pause or not/,
    ],
    [
      "rotation",
      "warning",
      "a closed window that holds up the use of a successor",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [
              slot("Root"),
              slot("Issuing"),
              slot("JWT", { notBefore: at(-5 * HOUR - 60), notAfter: at(4 * HOUR) }),
              slot("JWT", { state: "Prepared", keyID: "jwt-2" }),
            ],
            conditions: [condition("RotationInProgress", "True", "Paused", "held: outside of the windows")],
          }),
        ]),
      }),
      /held back \(held: outside of the windows\), and the successor of the JWT key is used in 1h45m .* at the latest/,
    ],
    [
      "rotation",
      "warning",
      "a consumer that lags for longer than three times the propagation",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [slot("Root"), slot("Root", { state: "Prepared", keyID: "r2", since: at(-5401) })],
            conditions: [condition("RotationInProgress", "True", "WaitingForConsumers", "shop lacks it")],
          }),
        ]),
      }),
      /the new Root key r2 was published 90 minutes ago .* and still waits: shop lacks it/,
    ],
    [
      "rotation",
      "warning",
      "a propagation that is shorter than istiod's cache, where there are tokens",
      healthy({
        trustDomains: is([trustDomain({}, { spec: { rotation: { propagation: "19m" } } })]),
        identities: is([identityFact({ spec: { jwt: { tokens: [{ audience: "a" }] } } })]),
      }),
      /propagation is 19m, and istiod keeps its copy of the JWKS for 20m/,
    ],
    [
      "bundles",
      "failed",
      "a namespace without one",
      healthy({
        namespaces: is(
          ["default", "shop", "bank"].map((name) => ({ name, labels: {}, isTerminating: false })),
        ),
      }),
      /of 3 namespaces: missing in bank/,
    ],
    [
      "bundles",
      "failed",
      "an old one",
      healthy({ bundles: is([bundle("default"), bundle("shop", { sequence: 6, digest: "old" })]) }),
      /not meshid's present one in shop/,
    ],
    [
      "bundles",
      "failed",
      "a changed one",
      healthy({ bundles: is([bundle("a"), bundle("default"), bundle("shop", { digest: "x" })]) }),
      /not meshid's present one in shop/,
    ],
    [
      "bundles",
      "failed",
      "one of someone else",
      healthy({ bundles: is([bundle("default"), bundle("shop", { ownerUid: "other" })]) }),
      /not meshid's present one in shop/,
    ],
    [
      "bundles",
      "warning",
      "one that is on its way",
      healthy({
        bundles: is([bundle("default")]),
        trustDomains: is([
          trustDomain({ conditions: [condition("BundlePublished", "False", "Publishing")] }),
        ]),
      }),
      /missing in shop/,
    ],
    [
      "reconciling",
      "failed",
      "a new identity that nobody looks at",
      healthy({ identities: is([identityFact({ reportedAt: undefined })]) }),
      /1 identity waits for the controller: shop\/payments \(new, /,
    ],
    [
      "reconciling",
      "failed",
      "a change that nobody looks at",
      healthy({ identities: is([identityFact({ generation: 2 })]) }),
      /shop\/payments \(changed /,
    ],
    [
      "reconciling",
      "failed",
      "a renewal that nobody makes",
      healthy({ identities: is([identityFact({ annotations: { "meshid.dev/renew": "now" } })]) }),
      /shop\/payments \(renewal asked for\)/,
    ],
    [
      "reconciling",
      "failed",
      "a renewal that is overdue",
      healthy({ serverNow: seconds(NOW + 24 * HOUR) }),
      /shop\/payments \(renewal due 60 minutes ago\)/,
    ],
    [
      "identities",
      "failed",
      "one that is not Ready",
      healthy({
        identities: is([
          identityFact({
            status: {
              observedGeneration: 1,
              conditions: [
                condition("Ready", "False", "Pending"),
                condition("X509Issued", "False", "SecretConflict", "in the way"),
              ],
            },
          }),
        ]),
      }),
      /1 of 1 identity not Ready: shop\/payments \(SecretConflict: in the way\)/,
    ],
    [
      "identities",
      "warning",
      "one that is Degraded",
      healthy({
        identities: is([
          identityFact({
            status: {
              conditions: [
                condition("Ready", "True", "Degraded"),
                condition("MTLSApplied", "False", "ShadowedByOlderPolicy", "by old"),
              ],
            },
          }),
        ]),
      }),
      /Degraded: shop\/payments \(ShadowedByOlderPolicy: by old\)/,
    ],
    [
      "credentials",
      "failed",
      "a Secret that is gone",
      healthy({ secrets: is(new Set<string>()) }),
      /1 Secret missing .*shop\/payments-tls/,
    ],
    [
      "credentials",
      "failed",
      "one that has ended",
      healthy({ serverNow: seconds(NOW + 48 * HOUR) }),
      /at the end of its life: shop\/payments X\.509-SVID 60 minutes ago/,
    ],
    [
      "credentials",
      "warning",
      "one that is near its end",
      healthy({ serverNow: seconds(NOW + 40 * HOUR) }),
      /near the end of its life: shop\/payments X\.509-SVID in 7h/,
    ],
    [
      "credentials",
      "failed",
      "a token that has ended",
      healthy({
        secrets: unknown,
        identities: is([
          identityFact({
            status: {
              jwt: {
                secretName: "payments-jwt",
                tokens: [{ audience: "orders", key: "orders.jwt", keyID: "k", notAfter: at(-60) }],
              },
            },
          }),
        ]),
      }),
      /token for orders 60 seconds ago/,
    ],
    [
      "istio",
      "warning",
      "no Istio for who needs it",
      healthy({ identities: meshed }, { servesPolicies: is(false), controlPlanes: is([]) }),
      /serves no PeerAuthentication, and 1 identity asks for mTLS: shop\/payments/,
    ],
    [
      "istio",
      "warning",
      "no istiod",
      healthy({}, { controlPlanes: is([]) }),
      /no istiod is to be seen in istio-system/,
    ],
    [
      "istio",
      "failed",
      "an old istiod",
      healthy({}, { controlPlanes: is([{ name: "istiod", revision: "default", version: "1.21.6" }]) }),
      /older than 1\.22/,
    ],
    [
      "istio-trust-domain",
      "failed",
      "another trust domain where mTLS is asked for",
      healthy(
        { identities: meshed },
        { configs: is([{ name: "istio", trustDomain: "cluster.local", aliases: [] }]) },
      ),
      /meshid's trust domain is mesh\.example, but .*istio says cluster\.local/,
    ],
    [
      "istio-trust-domain",
      "warning",
      "another trust domain where nobody cares",
      healthy({}, { configs: is([{ name: "istio", trustDomain: "cluster.local", aliases: [] }]) }),
      /istio says cluster\.local/,
    ],
    [
      "mesh-policies",
      "failed",
      "an older policy",
      healthy(
        { identities: meshed },
        { policies: is([policy("older", -9), policy("payments", -1, "uid-of-payments")]) },
      ),
      /shop\/older before shop\/payments/,
    ],
    [
      "mesh-pods",
      "warning",
      "a pod without its Secret",
      healthy({ identities: meshed }, { pods: is([pod(["payments-tls"]), pod(["other"])]) }),
      /1 pod under .*shop\/payments-0 \(sidecar, identity payments, Secret payments-tls\)/,
    ],
  ])("%s: %s for %s, with a remedy", (...[name, result, , facts, message]) => {
    const finding = resultOf(name, facts);
    expect(finding).toMatchObject({ result, message: expect.stringMatching(message) });
    expect(finding?.remedy).toMatch(/\w{3}/);
  });

  function crd(change: object) {
    const whole = {
      isPresent: true,
      isEstablished: true,
      isServed: true,
      missingFields: [],
      unknownFields: [],
    };
    return { name: "trustdomains.meshid.dev", ...whole, ...change };
  }

  function bundle(namespace: string, change: object = {}) {
    const whole = { name: "meshid-bundle", ownerUid: "uid-of-mesh.example", sequence: 7, digest: "d" };
    return { namespace, ...whole, ...change };
  }
});

describe("what is in order", () => {
  it.each<[check: string, what: string, facts: Facts]>([
    [
      "istio-trust-domain",
      "an alias",
      healthy({}, { configs: is([{ name: "istio", trustDomain: "old", aliases: ["mesh.example"] }]) }),
    ],
    [
      "istio",
      "no Istio and nobody who needs it",
      healthy({}, { servesPolicies: is(false), controlPlanes: is([]) }),
    ],
    [
      "mesh-policies",
      "a younger policy",
      healthy(
        { identities: meshed },
        { policies: is([policy("younger", -1), policy("payments", -9, "uid-of-payments")]) },
      ),
    ],
    [
      "mesh-pods",
      "a pod of another",
      healthy({ identities: meshed }, { pods: is([pod([], { app: "other" })]) }),
    ],
    [
      "bundles",
      "a namespace that goes away",
      healthy({ namespaces: is([{ name: "gone", labels: {}, isTerminating: true }]) }),
    ],
    [
      "bundles",
      "a namespace that is not selected",
      healthy({
        trustDomains: is([
          trustDomain({}, { spec: { bundle: { namespaceSelector: { matchLabels: { mesh: "yes" } } } } }),
        ]),
        bundles: is([]),
      }),
    ],
    [
      "bundles",
      "a namespace that is not watched",
      healthy({
        ...deployment({ args: ["--watch-namespaces=default"] }),
        bundles: is([
          {
            namespace: "default",
            name: "meshid-bundle",
            ownerUid: "uid-of-mesh.example",
            sequence: 7,
            digest: "d",
          },
        ]),
      }),
    ],
    [
      "reconciling",
      "an identity that was made just now",
      healthy({ identities: is([identityFact({ reportedAt: undefined, changedAt: ago(5) })]) }),
    ],
    [
      "identities",
      "an identity that was made just now",
      healthy({ identities: is([identityFact({ status: {}, changedAt: ago(5) })]) }),
    ],
    [
      "authority-keys",
      "a key past half its life with a successor",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [
              slot("Root"),
              slot("Issuing"),
              slot("JWT", { notAfter: at(HOUR / 2) }),
              slot("JWT", { state: "Prepared" }),
            ],
          }),
        ]),
      }),
    ],
    [
      "rotation",
      "a pause while nothing is due",
      healthy({
        trustDomains: is([trustDomain({}, { spec: { rotation: { paused: true } } })]),
      }),
    ],
    [
      "rotation",
      "a consumer that lags for no longer than three times the propagation",
      healthy({
        trustDomains: is([
          trustDomain({
            authorities: [slot("Root"), slot("Root", { state: "Prepared", keyID: "r2", since: at(-5400) })],
            conditions: [condition("RotationInProgress", "True", "WaitingForConsumers", "shop lacks it")],
          }),
        ]),
      }),
    ],
    [
      "rotation",
      "a short propagation without tokens",
      healthy({ trustDomains: is([trustDomain({}, { spec: { rotation: { propagation: "1m" } } })]) }),
    ],
    [
      "rotation",
      "a short propagation without Istio",
      healthy(
        {
          trustDomains: is([trustDomain({}, { spec: { rotation: { propagation: "1m" } } })]),
          identities: is([identityFact({ spec: { jwt: { tokens: [{ audience: "a" }] } } })]),
        },
        { servesPolicies: is(false), controlPlanes: is([]) },
      ),
    ],
    [
      "credentials",
      "one whose renewal is not due although little of its life is left",
      healthy({ serverNow: seconds(NOW + 23 * HOUR - 1) }),
    ],
  ])("%s: ok for %s", (name, _, facts) => {
    expect(resultOf(name, facts)).toMatchObject({ result: "ok" });
  });

  it("sends who brings a CA to its Secret, since nothing else makes a successor", () => {
    const authorities = [slot("Root"), slot("Issuing", { notAfter: at(HOUR / 2) }), slot("JWT")];
    const spec = { authority: { source: "Secret", secretRef: { name: "byo-ca" } } } as const;
    const verdict = resultOf(
      "authority-keys",
      healthy({ trustDomains: is([trustDomain({ authorities }, { spec })]) }),
    );
    expect(verdict?.remedy).toMatch(
      /^write a new tls\.crt, tls\.key and ca\.crt into the Secret byo-ca of the operator's namespace/,
    );
  });

  it("does not blame twice: why an identity is not Ready is no matter of reconciling", () => {
    const conditions = [
      condition("Ready", "False", "Pending"),
      condition("X509Issued", "False", "LimitExceeded"),
    ];
    const identities = is([
      identityFact({
        annotations: { "meshid.dev/renew": "x" },
        status: { observedGeneration: 1, conditions },
      }),
    ]);
    expect(resultOf("reconciling", healthy({ identities }))).toMatchObject({ result: "ok" });
  });
});

describe("what may not be read", () => {
  const NOTHING: Partial<Facts> = {
    crds: unknown,
    deployments: unknown,
    rights: unknown,
    admissionPolicies: unknown,
    lease: unknown,
    journal: unknown,
    trustDomains: unknown,
    namespaces: unknown,
    bundles: unknown,
    identities: unknown,
    secrets: unknown,
  };
  const NO_MESH = {
    servesPolicies: unknown,
    controlPlanes: unknown,
    configs: unknown,
    policies: unknown,
    pods: unknown,
  };

  it("is skipped with the reason, and nothing else is said of it", () => {
    const findings = examine(healthy(NOTHING, NO_MESH));
    const rest = findings.filter(({ name }) => name !== "api-server" && name !== "clock-skew");
    expect(rest).toEqual(rest.map(({ name }) => ({ name, result: "skipped", message: "you may not look" })));
  });

  it("leaves the checks that need less", () => {
    const { bundles, identities, namespaces, secrets } = healthy();
    const findings = examine(
      healthy({ ...NOTHING, scope: "shop", bundles, identities, namespaces, secrets }, NO_MESH),
    );
    const passed = findings.filter(({ result }) => result === "ok").map(({ name }) => name);
    expect(passed).toEqual(expect.arrayContaining(["bundles", "reconciling", "identities", "credentials"]));
  });
});

describe("printFindings", () => {
  it("puts what failed first, with its remedy under it, and counts", () => {
    const facts = healthy({
      lease: is(undefined),
      journal: unknown,
      admissionPolicies: is(new Set<string>()),
    });
    const lines = printFindings(examine(facts), (_, text) => text).split("\n");
    expect(lines[0]).toMatch(/^FAILED {3}leader {14}there is no Lease meshid-system\/meshid/);
    expect(lines[1]).toMatch(/^ {29}→ kubectl -n meshid-system get pods/);
    expect(lines.find((line) => line.startsWith("SKIPPED"))).toBe(
      "SKIPPED  journal             you may not look",
    );
    expect(lines.at(-2)).toBe("1 failed, 1 warning, 1 skipped, 17 ok");
  });

  it("lets no text of the cluster steer the terminal", () => {
    const conditions = [
      condition("AuthorityReady", "False", "Bootstrapping"),
      condition("Ready", "False", "Pending", "\u001B[2J"),
    ];
    const text = printFindings(
      examine(healthy({ trustDomains: is([trustDomain({ conditions })]) })),
      (_, shown) => shown,
    );
    expect(text).toContain("\\u{1b}[2J");
    expect(text).not.toContain("\u001B");
  });
});

describe("the rights that doctor asks for", () => {
  interface Role {
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly rules: readonly {
      readonly apiGroups: readonly string[];
      readonly resources: readonly string[];
      readonly verbs: readonly string[];
      readonly resourceNames?: readonly string[];
    }[];
  }

  it("are those of the chart, all of them and no more", () => {
    const text = readFileSync(new URL("../../../../charts/install.yaml", import.meta.url), "utf8");
    const roles = parseAllDocuments(text)
      .map((document) => document.toJS() as Role | null)
      .filter((each) => each !== null && ["Role", "ClusterRole"].includes(each.kind))
      .filter((each) => each !== null && /^meshid-(read|write|operator)$/.test(each.metadata.name));
    expect(roles).toHaveLength(3);
    const granted = roles.flatMap((role) =>
      (role?.rules ?? []).flatMap(({ apiGroups, resources, verbs, resourceNames = [""] }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            verbs.flatMap((verb) => resourceNames.map((name) => [verb, resource, group, name].join(" "))),
          ),
        ),
      ),
    );
    const asked = neededRights("cluster.local").map(({ group, resource, verb, object = "" }) =>
      [verb, resource, group, object].join(" "),
    );
    expect([...new Set(asked)].sort()).toEqual([...new Set(granted)].sort());
  });
});

describe("fieldsOf", () => {
  it("names every field of a schema, also in lists and maps", () => {
    const text = { type: "string" };
    const schema = {
      properties: {
        spec: {
          properties: {
            tokens: { type: "array", items: { properties: { audience: text } } },
            labels: { additionalProperties: { properties: { value: text } } },
          },
        },
      },
    };
    expect([...fieldsOf(schema)]).toEqual([
      "spec",
      "spec.tokens",
      "spec.tokens[].audience",
      "spec.labels",
      "spec.labels.*.value",
    ]);
  });
});
