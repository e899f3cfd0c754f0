/**
 * A tenant with full rights in one namespace against everyone else: a written list of attempts. After each it holds no
 * identity but its own, no key of the authority, and another namespace has noticed nothing.
 */

import { X509Certificate } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { isWrite } from "../../support/audit-log.ts";
import {
  ClusterSuite,
  DOMAIN,
  type Found,
  identityObject,
  START_LIMIT,
} from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import type { Completed } from "../../support/control-plane/types.ts";
import { type ControllerProcess, must, pause } from "../../support/controller-process.ts";
import { certificatesIn } from "../../support/credentials.ts";
import { until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";
import { makeTenant, type Tenant } from "../../support/tenant.ts";

const PEER_AUTHENTICATIONS = fileURLToPath(
  new URL("../../support/istio/peerauthentications.yaml", import.meta.url),
);
const SYSTEM = "meshid-system";
const LIMIT = 40;
const MANAGED = { "app.kubernetes.io/managed-by": "meshid" };

/** Who is attacked, and with what. */
interface Scene {
  readonly tenant: Tenant;
  /** Another namespace, with the identity `payments` and the ServiceAccount `admin`. */
  readonly victim: string;
}

type Spec = Readonly<Record<string, unknown>>;

const identity = ({ tenant }: Scene, name: string, spec: Spec, more: Spec = {}): unknown => {
  const object = identityObject(tenant.namespace, name, spec);
  return { ...object, metadata: { ...(object["metadata"] as object), ...more } };
};

const ask =
  (name: string, spec: (scene: Scene) => Spec) =>
  (scene: Scene): Promise<Completed> =>
    scene.tenant.create(identity(scene, name, spec(scene)));

const run =
  (args: (scene: Scene) => readonly string[]) =>
  (scene: Scene): Promise<Completed> =>
    scene.tenant.kubectl(args(scene));

const x509 = (members: Spec): Spec => ({ x509: members });
const tokens = (...list: readonly unknown[]): Spec => ({ jwt: { tokens: list } });

/** What the API server refuses at once, with the reason that it gives. */
const REFUSED: readonly (readonly [string, (scene: Scene) => Promise<Completed>, RegExp])[] = [
  [
    "the ServiceAccount of another namespace",
    ask("r1", ({ victim }) => ({ serviceAccountName: `${victim}/admin` })),
    /serviceAccountName/,
  ],
  [
    "a path out of its namespace in the name of the ServiceAccount",
    ask("r2", () => ({ serviceAccountName: "../../meshid-system/sa/meshid" })),
    /serviceAccountName/,
  ],
  [
    "a SPIFFE ID of its choice",
    ask("r3", ({ victim }) => ({ spiffeID: `spiffe://${DOMAIN}/ns/${victim}/sa/admin` })),
    /unknown field/,
  ],
  [
    "the DNS name of another namespace's Service",
    ask("r4", ({ victim }) => x509({ dnsNames: [`payments.${victim}.svc`] })),
    /is not a Service of namespace/,
  ],
  [
    "the DNS name of meshid itself",
    ask("r5", () => x509({ dnsNames: ["meshid.meshid-system.svc"] })),
    /is not a Service of namespace/,
  ],
  ["a wildcard", ask("r6", ({ tenant }) => x509({ dnsNames: [`*.${tenant.namespace}.svc`] })), /dnsNames/],
  [
    "a name of the outside",
    ask("r7", () => x509({ dnsNames: ["login.example.com"] })),
    /dnsNames|is not a Service/,
  ],
  [
    "a name that hides another's behind its own",
    ask("r8", ({ tenant, victim }) => x509({ dnsNames: [`payments.${victim}.svc.${tenant.namespace}.svc`] })),
    /dnsNames/,
  ],
  [
    "a name with a line end in it",
    ask("r9", ({ tenant }) => x509({ dnsNames: [`a.${tenant.namespace}.svc\nevil.example`] })),
    /dnsNames/,
  ],
  [
    "seventeen DNS names",
    ask("r10", ({ tenant }) =>
      x509({ dnsNames: Array.from({ length: 17 }, (_, n) => `s${n}.${tenant.namespace}.svc`) }),
    ),
    /16 items/,
  ],
  ["a certificate for ten years", ask("r11", () => x509({ ttl: "87600h" })), /ttl/],
  [
    "the name of a Secret that leads elsewhere",
    ask("r12", () => x509({ secretName: "../meshid-system/meshid-authority" })),
    /secretName/,
  ],
  [
    "a key of a Secret that leads elsewhere",
    ask("r13", () => tokens({ audience: "a", key: "../../etc/passwd" })),
    /key/,
  ],
  [
    "a token in place of the bundle",
    ask("r14", () => tokens({ audience: "a", key: "bundle.json" })),
    /bundle\.json/,
  ],
  [
    "nine tokens",
    ask("r15", () => tokens(...Array.from({ length: 9 }, (_, n) => ({ audience: `a${n}` })))),
    /8 items/,
  ],
  ["a token for a week", ask("r16", () => tokens({ audience: "a", ttl: "168h" })), /ttl/],
  [
    "a PKCS#12 password from another namespace",
    ask("r17", ({ victim }) =>
      x509({
        formats: ["PKCS12"],
        pkcs12: { passwordSecretRef: { name: `${victim}/payments-tls`, key: "tls.key" } },
      }),
    ),
    /passwordSecretRef/,
  ],
  [
    "a mesh policy for everyone",
    ask("r18", () => ({ mtls: { mode: "Disabled", selector: { matchLabels: {} } } })),
    /matchLabels/,
  ],
  [
    "another Secret name later, to leave the old one behind",
    async (scene) => {
      expect(await scene.tenant.create(identity(scene, "r19", {}))).toMatchObject({ code: 0 });
      return scene.tenant.kubectl([
        "patch",
        "si",
        "r19",
        "-n",
        scene.tenant.namespace,
        "--type=merge",
        "-p",
        '{"spec":{"x509":{"secretName":"meshid-authority"}}}',
      ]);
    },
    /secretName/,
  ],
  [
    "a status of its own making",
    async (scene) => {
      expect(await scene.tenant.create(identity(scene, "r20", {}))).toMatchObject({ code: 0 });
      const status = { spiffeID: `spiffe://${DOMAIN}/ns/${scene.victim}/sa/admin`, conditions: [] };
      return scene.tenant.kubectl([
        "patch",
        "si",
        "r20",
        "-n",
        scene.tenant.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        JSON.stringify({ status }),
      ]);
    },
    /forbidden/i,
  ],
  [
    "an identity in another namespace",
    ({ tenant, victim }) => tenant.create(identityObject(victim, "admin")),
    /forbidden/i,
  ],
  [
    "an identity in meshid's namespace",
    ({ tenant }) => tenant.create(identityObject(SYSTEM, "meshid")),
    /forbidden/i,
  ],
  ["the signing keys", run(() => ["get", "secrets", "-n", SYSTEM]), /forbidden/i],
  ["the journal", run(() => ["get", "secret", "meshid-authority", "-n", SYSTEM, "-o", "yaml"]), /forbidden/i],
  [
    "a token of meshid's ServiceAccount",
    run(() => ["create", "token", "meshid", "-n", SYSTEM]),
    /forbidden/i,
  ],
  [
    "to be meshid",
    run(({ victim }) => ["get", "secrets", "-n", victim, "--as", `system:serviceaccount:${SYSTEM}:meshid`]),
    /cannot impersonate/,
  ],
  ["the Secrets of another namespace", run(({ victim }) => ["get", "secrets", "-n", victim]), /forbidden/i],
  [
    "the identity of another namespace gone",
    run(({ victim }) => ["delete", "si", "payments", "-n", victim]),
    /forbidden/i,
  ],
  [
    "another trust domain's rules",
    run(() => ["patch", "td", DOMAIN, "--type=merge", "-p", '{"spec":{"limits":{"maxTTL":"2160h"}}}']),
    /forbidden/i,
  ],
  [
    "a rotation of the root",
    run(() => ["annotate", "td", DOMAIN, "meshid.dev/rotate-root=now"]),
    /forbidden/i,
  ],
  [
    "a TrustDomain of its own",
    ({ tenant }) =>
      tenant.create({
        apiVersion: "meshid.dev/v1alpha1",
        kind: "TrustDomain",
        metadata: { name: "evil.example" },
        spec: {},
      }),
    /forbidden/i,
  ],
  ["the Lease", run(() => ["delete", "lease", "meshid", "-n", SYSTEM]), /forbidden/i],
  [
    "a policy for the whole mesh",
    ({ tenant }) => tenant.create(policy("istio-system", "default", "DISABLE")),
    /forbidden/i,
  ],
  [
    "a megabyte of annotations",
    (scene) => scene.tenant.create(identity(scene, "r35", {}, { annotations: { big: "x".repeat(1 << 20) } })),
    /annotations|too large|Too long/,
  ],
];

function policy(namespace: string, name: string, mode: string, labels?: Spec): unknown {
  const spec = { mtls: { mode }, ...(labels === undefined ? {} : { selector: { matchLabels: labels } }) };
  return {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name, namespace },
    spec,
  };
}

describeCluster("a hostile tenant", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let scene: Scene;
  let mine: string;
  let before: readonly unknown[];
  let authorityKeys: readonly string[];

  beforeAll(async () => {
    suite = await ClusterSuite.start({
      trustDomain: { rotation: { propagation: "1s" }, limits: { identitiesPerNamespace: LIMIT } },
    });
    expect(await suite.kube.kubectl(["apply", "-f", PEER_AUTHENTICATIONS])).toMatchObject({ code: 0 });
    await must(suite.kube, {
      method: "POST",
      path: "/api/v1/namespaces",
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name: "istio-system" } },
    });
    controller = await suite.chart.start();
    const tenant = await makeTenant(suite);
    mine = tenant.namespace;
    const victim = await suite.namespace();
    scene = { tenant, victim };
    await suite.account(victim, "admin");
    const mtls = { mode: "Strict", selector: { matchLabels: { app: "payments" } } };
    await suite.identity(victim, "payments", { ...tokens({ audience: "orders.shop" }), mtls });
    await suite.untilReason([victim, "payments"], "MTLSApplied", "Applied");
    const keys = await must<{ readonly items: readonly Found[] }>(suite.kube, {
      method: "GET",
      path: `/api/v1/namespaces/${SYSTEM}/secrets?labelSelector=meshid.dev/key`,
    });
    authorityKeys = keys.items.flatMap(({ data }) => Object.values(data ?? {}));
    expect(authorityKeys).toHaveLength(3);
    // Policies and the roles that they ask about take a moment to be known.
    await until("the tenant's rights", async () => {
      const can = await tenant.kubectl(["auth", "can-i", "create", "serviceidentities", "-n", mine]);
      const refused = await ask("probe", () => x509({ dnsNames: ["meshid.meshid-system.svc"] }))(scene);
      return (can.code === 0 && /is not a Service of namespace/.test(refused.stderr)) || undefined;
    });
    before = await stateOfVictim();
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  afterEach(async () => {
    expect(controller.isRunning()).toBe(true);
    expect(await stateOfVictim()).toEqual(before);
    await expectOnlyOwnIdentities();
  });

  /** All that meshid has made in the other namespace, to the last version number. */
  const stateOfVictim = async (): Promise<readonly unknown[]> => {
    const { victim } = scene;
    const found = [
      await suite.secretObject(victim, "payments-tls"),
      await suite.secretObject(victim, "payments-jwt"),
      await suite.configMap(victim, "meshid-bundle"),
      await suite.peerAuthentication(victim, "payments"),
      await suite.object(`/apis/meshid.dev/v1alpha1/namespaces/${victim}/serviceidentities/payments`),
    ];
    return found.map((one) => [one?.metadata.name, one?.metadata.uid, one?.metadata.resourceVersion]);
  };

  /** Whatever lies in the tenant's Secrets and ConfigMaps: names of its own namespace, and no key that signs. */
  const expectOnlyOwnIdentities = async (): Promise<void> => {
    const own = `spiffe://${DOMAIN}/ns/${mine}/sa/`;
    for (const kind of ["secrets", "configmaps"]) {
      const path = `/api/v1/namespaces/${mine}/${kind}`;
      const { items } = await must<{ readonly items: readonly Found[] }>(suite.kube, { method: "GET", path });
      for (const { data = {} } of items) {
        for (const key of authorityKeys) expect(Object.values(data)).not.toContain(key);
        const text = (name: string): string => Buffer.from(data[name] ?? "", "base64").toString();
        if (kind !== "secrets") continue;
        for (const name of Object.keys(data).filter((one) => one.endsWith(".jwt")))
          expect(subjectOf(text(name))).toEqual(expect.stringContaining(own));
        const [leaf] = certificatesIn(text("tls.crt"));
        if (leaf !== undefined) expectOwnNames(new X509Certificate(leaf), own);
      }
    }
  };

  const expectOwnNames = ({ subjectAltName, ca }: X509Certificate, own: string): void => {
    expect(ca).toBe(false);
    const [uri = "", ...names] = (subjectAltName ?? "").split(", ");
    expect(uri.startsWith(`URI:${own}`)).toBe(true);
    for (const name of names)
      expect(name).toMatch(new RegExp(`^DNS:[^ ]+\\.${mine}\\.svc(\\.cluster\\.local)?$`));
  };

  const subjectOf = (token: string): unknown =>
    (JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { readonly sub: unknown })
      .sub;

  const account = (name: string): unknown => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace: mine },
  });

  const secret = (name: string, more: Spec = {}, metadata: Spec = {}): unknown => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: mine, ...metadata },
    ...more,
  });

  const made = async (...objects: readonly unknown[]): Promise<void> => {
    const { code, stderr } = await scene.tenant.create(...objects);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  };

  const did = async (args: readonly string[]): Promise<void> => {
    const { code, stderr } = await scene.tenant.kubectl([...args, "-n", mine]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
  };

  const merge = (kind: string, name: string, body: unknown): Promise<void> =>
    did(["patch", kind, name, "--type=merge", "-p", JSON.stringify(body)]);

  /** A new identity of another namespace is served while the tenant keeps meshid busy. */
  const expectServedElsewhere = async (): Promise<void> => {
    const namespace = await suite.namespace();
    await suite.account(namespace, "elsewhere");
    await suite.identity(namespace, "elsewhere");
    await suite.ready(namespace, "elsewhere");
  };

  describe("is refused", () => {
    it.each(REFUSED)("%s", async (_, attempt, reason) => {
      const { code, stderr } = await attempt(scene);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(reason) });
    });
  });

  describe("gains nothing by", () => {
    it("a status that it sends along with a new object", async () => {
      const forged = {
        ...(identity(scene, "g1", {}) as object),
        status: { spiffeID: `spiffe://${DOMAIN}/ns/${scene.victim}/sa/admin`, lastManualRenewal: "x" },
      };
      await made(account("g1"), forged);
      const { status } = await suite.ready(mine, "g1");
      expect(status?.spiffeID).toBe(`spiffe://${DOMAIN}/ns/${mine}/sa/g1`);
      expect(status?.lastManualRenewal).toBeUndefined();
    });

    it("fields that no schema knows, sent past kubectl's own check", async () => {
      const spec = { spiffeID: `spiffe://${DOMAIN}/ns/${scene.victim}/sa/admin`, namespace: scene.victim };
      await made(account("g2"));
      const sent = await scene.tenant.kubectl(
        ["create", "--validate=false", "-f", "-"],
        identity(scene, "g2", spec),
      );
      expect(sent).toMatchObject({ code: 0 });
      expect((await suite.ready(mine, "g2")).status?.spiffeID).toBe(`spiffe://${DOMAIN}/ns/${mine}/sa/g2`);
    });

    it("an audience that would break out of the token's claims", async () => {
      const audience = `a"],"sub":"spiffe://${DOMAIN}/ns/${scene.victim}/sa/admin","x":["`;
      await made(account("g3"), identity(scene, "g3", tokens({ audience, key: "forged.jwt" })));
      await suite.ready(mine, "g3");
      const token = (await suite.secret(mine, "g3-jwt"))["forged.jwt"] ?? "";
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Spec;
      expect(claims).toMatchObject({ sub: `spiffe://${DOMAIN}/ns/${mine}/sa/g3`, aud: [audience] });
    });

    it("a Secret that squats on the name, with a label and an owner that look like meshid's", async () => {
      await made(account("g4-owner"), identity(scene, "g4-owner", {}));
      const { metadata } = await suite.ready(mine, "g4-owner");
      const owner = {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        name: "g4-owner",
        uid: metadata.uid,
        controller: true,
      };
      const forged = { labels: MANAGED, ownerReferences: [owner] };
      await made(
        secret("g4-tls", { stringData: { mine: "yes" } }, forged),
        account("g4"),
        identity(scene, "g4", {}),
      );
      // It counts as g4-owner's, which does not want it: the name is free again.
      await suite.ready(mine, "g4");
      const [leaf = ""] = certificatesIn((await suite.secret(mine, "g4-tls"))["tls.crt"]);
      expect(new X509Certificate(leaf).subjectAltName).toContain(`/ns/${mine}/sa/g4,`);
    });

    it("an object in its namespace that claims another namespace's identity as its owner", async () => {
      const { metadata } = await suite.get(scene.victim, "payments");
      const owner = {
        apiVersion: "meshid.dev/v1alpha1",
        kind: "ServiceIdentity",
        name: "payments",
        uid: metadata.uid,
        controller: true,
      };
      const claimed = { labels: MANAGED, ownerReferences: [owner] };
      await made(secret("payments-tls", {}, claimed), secret("g5-other", {}, claimed));
      await pause(1000);
    });

    it("Secrets under the names and labels of the journal and the keys", async () => {
      const journal = { "journal.json": JSON.stringify({ version: 1, revision: 99, slots: [] }) };
      await made(
        secret("meshid-authority", { stringData: journal }, { labels: MANAGED }),
        secret(
          `meshid-key-${"a".repeat(40)}`,
          { stringData: { "key.pem": "x" } },
          { labels: { ...MANAGED, "meshid.dev/key": "true" } },
        ),
        secret("meshid-server-tls", {}, { labels: MANAGED }),
      );
      const ca = await suite.roots();
      expect((await controller.fetch("/.well-known/jwks.json", ca)).status).toBe(200);
      const ready = (await suite.trustDomain()).status?.conditions?.find(
        ({ type }) => type === "AuthorityReady",
      );
      expect(ready).toMatchObject({ status: "True", reason: "Active" });
    });

    it("an identity whose Secret is called like one of meshid's, in its own namespace", async () => {
      await made(account("g7"), identity(scene, "g7", x509({ secretName: "meshid-server-tls2" })));
      await suite.ready(mine, "g7");
      expect(await suite.secretObject(SYSTEM, "meshid-server-tls2")).toBeUndefined();
    });

    it("roots of its own in its bundle, by edit, deletion, and a squatter without a label", async () => {
      const forged = {
        data: { "ca.crt": "-----BEGIN CERTIFICATE-----\nforged\n-----END CERTIFICATE-----\n" },
      };
      await merge("configmap", "meshid-bundle", forged);
      const ca = await suite.roots();
      const isWhole = async (): Promise<true | undefined> =>
        (await suite.configMap(mine, "meshid-bundle"))?.data?.["ca.crt"] === ca ? true : undefined;
      await until("the bundle is whole", isWhole);
      await merge("configmap", "meshid-bundle", {
        ...forged,
        metadata: { labels: null, ownerReferences: null },
      });
      await until("BundleConflict", async () =>
        (await suite.trustDomain()).status?.conditions?.find(({ reason }) => reason === "BundleConflict"),
      );
      await expectServedElsewhere();
      await did(["delete", "configmap", "meshid-bundle"]);
    });

    it("annotations for the TrustDomain on an object of its own", async () => {
      const annotations = {
        "meshid.dev/rotate-root": "1",
        "meshid.dev/rotate-issuing": "1",
        "meshid.dev/rotate-jwt": "1",
      };
      await made(account("g9"), identity(scene, "g9", {}, { annotations }));
      await suite.ready(mine, "g9");
      const { status } = await suite.trustDomain();
      expect(status?.authorities?.map(({ state }) => state)).toEqual(["Active", "Active", "Active"]);
    });

    it("forged notes on its Secret: whose it is, how often and since when it was issued", async () => {
      await made(account("g10"), identity(scene, "g10", {}));
      await suite.ready(mine, "g10");
      const annotations = {
        "meshid.dev/spiffe-id": `spiffe://${DOMAIN}/ns/${scene.victim}/sa/admin`,
        "meshid.dev/revision": "1e308",
        "meshid.dev/issued-since": "1970-01-01T00:00:00Z",
        "meshid.dev/ttl": "999999h",
        "meshid.dev/content": "tls.crt=,tls.key=",
      };
      await merge("secret", "g10-tls", { metadata: { annotations } });
      const { status } = await until("it is issued anew", async () => {
        const found = await suite.get(mine, "g10");
        return found.status?.x509 !== undefined && found.status.x509.ttl === "24h0m0s" ? found : undefined;
      });
      expect(status?.spiffeID).toBe(`spiffe://${DOMAIN}/ns/${mine}/sa/g10`);
      expect(Number.isSafeInteger(status?.x509?.revision)).toBe(true);
    });

    it("a Secret that it has made immutable: that identity says so, and meshid does not run in circles", async () => {
      await made(account("g11"), identity(scene, "g11", {}));
      await suite.ready(mine, "g11");
      await merge("secret", "g11-tls", { immutable: true });
      const mark = suite.audit.mark();
      await did(["annotate", "si", "g11", "meshid.dev/renew=1"]);
      await until("a word of it", async () => {
        const { status } = await suite.get(mine, "g11");
        const issued = status?.conditions?.find(({ type }) => type === "X509Issued");
        return issued?.reason === "WriteRefused" || status?.lastManualRenewal === "1" || undefined;
      });
      await pause(3000);
      const attempts = suite.audit
        .since(mark)
        .filter(isWrite)
        .filter(({ objectRef }) => objectRef?.name === "g11-tls");
      expect(attempts.length).toBeLessThanOrEqual(3);
    });

    it("a PeerAuthentication that has the name, or stands before its own: it is alone with it", async () => {
      const mtls = { mode: "Strict", selector: { matchLabels: { app: "g12" } } };
      await made(
        policy(mine, "g12", "DISABLE", { app: "g12" }),
        account("g12"),
        identity(scene, "g12", { mtls }),
      );
      await suite.untilReason([mine, "g12"], "MTLSApplied", "PeerAuthenticationConflict");
    });

    it("two identities for one ServiceAccount", async () => {
      await made(account("g13"), identity(scene, "g13", {}));
      await suite.ready(mine, "g13");
      await made(identity(scene, "g13-twin", { serviceAccountName: "g13" }));
      await suite.untilReason([mine, "g13-twin"], "X509Issued", "IdentityConflict");
    });

    it("deleting its credentials again and again", async () => {
      await made(account("g14"), identity(scene, "g14", tokens({ audience: "a" })));
      await suite.ready(mine, "g14");
      const mark = suite.audit.mark();
      const isSaid = async (): Promise<boolean> => {
        const { status } = await suite.get(mine, "g14");
        return status?.conditions?.some(({ reason }) => reason === "SecretRewritten") === true;
      };
      for (let end = Date.now() + 60_000, after = 0; after < 30 && Date.now() < end; ) {
        await suite.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${mine}/secrets/g14-tls` });
        await suite.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${mine}/secrets/g14-jwt` });
        await pause(30);
        if (after > 0 || (await isSaid())) after++;
      }
      const writes = suite.audit
        .since(mark)
        .filter(isWrite)
        .filter(({ objectRef }) => objectRef?.name?.startsWith("g14-"))
        // One that had just been deleted again is not there to be changed.
        .filter(({ responseStatus }) => (responseStatus?.code ?? 0) < 400);
      // Five repairs of each, then one in two minutes.
      expect(writes.length).toBeLessThanOrEqual(12);
      await suite.untilReason([mine, "g14"], "X509Issued", "SecretRewritten");
    });
  });

  describe("holds nobody up by", () => {
    it("asking for renewals without end: one a second is honoured", async () => {
      await made(account("f1"), identity(scene, "f1", {}));
      await suite.ready(mine, "f1");
      const mark = suite.audit.mark();
      const start = Date.now();
      for (let round = 0; Date.now() - start < 4000; round++) await suite.renew(mine, "f1", `round ${round}`);
      await expectServedElsewhere();
      const seconds = (Date.now() - start) / 1000;
      const issued = suite.audit
        .since(mark)
        .filter(isWrite)
        .filter(({ objectRef }) => objectRef?.name === "f1-tls");
      expect(issued.length).toBeLessThanOrEqual(seconds + 2);
    });

    it("a crowd of RSA-4096 keys", async () => {
      const names = Array.from({ length: 12 }, (_, index) => `f2-${index}`);
      await made(...names.map(account));
      await made(...names.map((name) => identity(scene, name, x509({ keyAlgorithm: "RSA-4096" }))));
      try {
        await expectServedElsewhere();
        const through = (await suite.list(mine)).filter(
          ({ metadata, status }) => metadata.name.startsWith("f2-") && status?.x509 !== undefined,
        );
        // It did not wait for them.
        expect(through.length).toBeLessThan(names.length);
      } finally {
        await did(["delete", "si", ...names]);
      }
    });

    it("more identities than it may have: the oldest have theirs, the others a reason", async () => {
      const names = Array.from({ length: LIMIT + 10 }, (_, index) => `f3-${index}`);
      // Not with kubectl, which makes one after the other.
      await Promise.all(names.map((name) => suite.identity(mine, name)));
      await expectServedElsewhere();
      await until("the limit is named", async () => {
        const all = await suite.list(mine);
        const over = all.filter(({ status }) =>
          status?.conditions?.some(({ reason }) => reason === "LimitExceeded"),
        );
        return over.length === all.length - LIMIT || undefined;
      });
      await did(["delete", "si", ...names]);
    });

    it("a quota that forbids Secrets: that namespace is told, the others are served", async () => {
      const quota = {
        apiVersion: "v1",
        kind: "ResourceQuota",
        metadata: { name: "none" },
        spec: { hard: { secrets: "0" } },
      };
      // The role admin may not; here someone has given it what it asked for.
      await must(suite.kube, {
        method: "POST",
        path: `/api/v1/namespaces/${mine}/resourcequotas`,
        body: quota,
      });
      await until("the quota is counted", async () => {
        const found = await suite.object(`/api/v1/namespaces/${mine}/resourcequotas/none`);
        return (found?.["status"] as { readonly hard?: unknown } | undefined)?.hard;
      });
      await made(account("f4"), identity(scene, "f4", {}));
      const { message } = await suite.untilReason([mine, "f4"], "X509Issued", "WriteRefused");
      expect(message).toContain("exceeded quota");
      await expectServedElsewhere();
      await must(suite.kube, { method: "DELETE", path: `/api/v1/namespaces/${mine}/resourcequotas/none` });
    });

    it("an identity that a finalizer keeps from going", async () => {
      await made(account("f5"), identity(scene, "f5", {}, { finalizers: ["evil.example/never"] }));
      await suite.ready(mine, "f5");
      await did(["delete", "si", "f5", "--wait=false"]);
      await expectServedElsewhere();
      await merge("si", "f5", { metadata: { finalizers: null } });
    });

    it("a namespace that never ends: it gets nothing more, and no rotation waits for it", async () => {
      const stuck = await suite.namespace();
      const path = `/api/v1/namespaces/${stuck}/configmaps`;
      await must(suite.kube, {
        method: "POST",
        path,
        body: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "held", finalizers: ["evil.example/never"] },
        },
      });
      await must(suite.kube, { method: "DELETE", path: `/api/v1/namespaces/${stuck}` });
      await suite.untilGone(`${path}/meshid-bundle`);
      const domain = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
      const annotations = { "meshid.dev/rotate-jwt": "past the stuck one" };
      await must(suite.kube, {
        method: "PATCH",
        path: domain,
        contentType: "application/merge-patch+json",
        body: { metadata: { annotations } },
      });
      await until("the new key signs", async () => {
        const { status } = await suite.trustDomain();
        const jwt = status?.authorities?.filter(({ kind }) => kind === "JWT") ?? [];
        return jwt.filter(({ state }) => state === "Active").length === 1 && jwt.length === 2
          ? true
          : undefined;
      });
      // What a rotation changes in the other namespace is no effect of the tenant's.
      await until("the other namespace at rest", async () => {
        const last = JSON.stringify(before);
        before = await stateOfVictim();
        await pause(3000);
        return JSON.stringify(before) === last ? true : undefined;
      });
      await suite.kube.request({
        method: "PATCH",
        path: `${path}/held`,
        contentType: "application/merge-patch+json",
        body: { metadata: { finalizers: null } },
      });
    });
  });

  it("has made meshid ask for nothing that it may not have", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
    expect(controller.logs().filter(({ level }) => level === "none")).toEqual([]);
  });
});
