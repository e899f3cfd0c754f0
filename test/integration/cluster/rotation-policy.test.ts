/**
 * What a person can do to the rotations of a cluster: hold them, distrust a key at once, and bring a CA of their own.
 */

import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { AuthorityKind } from "../../../src/authority/slot.ts";
import type { ConditionType } from "../../../src/registration/conditions.ts";
import type { AuthorityStatus } from "../../../src/registration/service-identity.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { must } from "../../support/controller-process.ts";
import { certificatesIn } from "../../support/credentials.ts";
import { until } from "../../support/local-process.ts";
import { type OpensslCa, opensslCa } from "../../support/openssl-ca.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";

const DOMAIN_PATH = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
const IDENTITIES = ["payments", "orders"] as const;

describeCluster("a person's hand on the rotations", () => {
  let suite: ClusterSuite;
  let shop: string;

  beforeAll(async () => {
    const trustDomain = { rotation: { propagation: "2s" }, limits: { minTTL: "1m" } };
    suite = await ClusterSuite.start({ trustDomain });
    await suite.chart.start();
    shop = await suite.namespace();
    for (const name of IDENTITIES) {
      await suite.identity(shop, name, { jwt: { tokens: [{ audience: "audit" }] } });
      await suite.ready(shop, name);
    }
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const patch = (body: unknown): Promise<unknown> =>
    must(suite.kube, {
      method: "PATCH",
      path: DOMAIN_PATH,
      contentType: "application/merge-patch+json",
      body,
    });
  const annotate = (name: string, value: string): Promise<unknown> =>
    patch({ metadata: { annotations: { [`meshid.dev/${name}`]: value } } });
  const authorities = async (): Promise<readonly AuthorityStatus[]> =>
    (await suite.trustDomain()).status?.authorities ?? [];
  const active = (kind: AuthorityKind): Promise<string> => suite.activeKey(kind);
  const condition = async (type: ConditionType): Promise<{ reason: string; message: string }> => {
    const found = (await suite.trustDomain()).status?.conditions?.find((one) => one.type === type);
    return { reason: found?.reason ?? "", message: found?.message ?? "" };
  };
  const other = (kind: AuthorityKind, before: string): Promise<string> =>
    until(`another ${kind} key than ${before}`, async () => {
      const now = await active(kind);
      return now === before ? undefined : now;
    });

  /** The subject of the issuer of an identity's leaf, which chains to a root of its Secret and of the namespace's bundle. */
  const issuerOf = async (name: string): Promise<string> => {
    const secret = await suite.secret(shop, `${name}-tls`);
    const [leaf, ...above] = certificates(secret["tls.crt"] ?? "");
    const bundle = (await suite.configMap(shop, "meshid-bundle"))?.data?.["ca.crt"] ?? "";
    let current = leaf;
    for (const next of [...above, ...certificates(secret["ca.crt"] ?? "")]) {
      if (current?.checkIssued(next) === true && current.verify(next.publicKey)) current = next;
    }
    expect(certificates(secret["ca.crt"] ?? "").map(print)).toContain(current && print(current));
    expect(certificates(bundle).map(print)).toContain(current && print(current));
    return leaf?.issuer.replaceAll("\n", ", ") ?? "";
  };

  it("holds a rotation while it is paused, says so, and lets it go on afterwards", async () => {
    await patch({ spec: { rotation: { paused: true } } });
    const before = await active("JWT");
    await annotate("rotate-jwt", "while paused");
    const held = await until("Paused", async () => {
      const found = await condition("RotationInProgress");
      return found.reason === "Paused" ? found : undefined;
    });
    expect(held.message).toContain("spec.rotation.paused is true");
    const waiting = (await authorities()).find(({ keyID }) => keyID === before);
    expect(waiting?.waitingUntil).toMatch(/^\d{4}-\d{2}-\d{2}T/);
    expect(await active("JWT")).toBe(before);
    await patch({ spec: { rotation: { paused: false } } });
    await other("JWT", before);
  });

  it("begins outside of the maintenance windows only what was asked for by hand", async () => {
    const schedule = `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`;
    await patch({ spec: { rotation: { maintenanceWindows: [{ schedule, duration: "1h" }] } } });
    // A change of policy that would begin a rotation by itself.
    const before = await active("JWT");
    await patch({ spec: { jwt: { algorithm: "ES384" } } });
    await until("Paused", async () => {
      const { reason, message } = await condition("RotationInProgress");
      return reason === "Paused" && message.includes("the next one opens at") ? true : undefined;
    });
    expect((await authorities()).filter(({ kind, state }) => kind === "JWT" && state === "Prepared")).toEqual(
      [],
    );
    await patch({ spec: { rotation: { maintenanceWindows: [] }, jwt: { algorithm: "ES256" } } });
    expect(await active("JWT")).toBe(before);
  });

  it("takes a stolen root out of every bundle at once, and gives everybody a certificate under another", async () => {
    const stolen = await active("Root");
    const jwt = await active("JWT");
    await annotate("distrust-root", stolen);
    await other("Root", stolen);
    expect((await authorities()).map(({ keyID }) => keyID)).not.toContain(stolen);
    const issuing = await active("Issuing");
    for (const name of IDENTITIES) {
      await until(`${name} under the new root`, async () => {
        const { status } = await suite.get(shop, name);
        return status?.x509?.authorityKeyID === issuing || undefined;
      });
      await issuerOf(name);
      expect(certificates((await suite.secret(shop, `${name}-tls`))["ca.crt"] ?? "")).toHaveLength(1);
    }
    // Tokens are another matter.
    expect(await active("JWT")).toBe(jwt);
    // The annotation stays, and means nothing any more.
    const after = await active("Root");
    await annotate("touched", "yes");
    await suite.audit.whenQuiet(suite.audit.mark());
    expect(await active("Root")).toBe(after);
  });

  it("replaces a stolen JWT key, and every token with it", async () => {
    const signedBy = (name: string, keyID: string): Promise<true> =>
      until(`a token of ${name} by ${keyID}`, async () => {
        const { status } = await suite.get(shop, name);
        return status?.jwt?.tokens[0]?.keyID === keyID || undefined;
      });
    const stolen = await active("JWT");
    for (const name of IDENTITIES) {
      await suite.renew(shop, name, "with the key that is going to be stolen");
      await signedBy(name, stolen);
    }
    await annotate("distrust-jwt", stolen);
    const next = await other("JWT", stolen);
    for (const name of IDENTITIES) {
      await signedBy(name, next);
      expect((await suite.secret(shop, `${name}-jwt`))["jwks.json"]).not.toContain(stolen);
    }
  });

  const bring = async (files: OpensslCa["files"]): Promise<void> => {
    const path = `/api/v1/namespaces/${suite.chart.namespace}/secrets/byo-ca?fieldManager=cert-manager&force=true`;
    const data = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
    );
    await must(suite.kube, {
      method: "PATCH",
      path,
      contentType: "application/apply-patch+yaml",
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "byo-ca", namespace: suite.chart.namespace },
        type: "kubernetes.io/tls",
        data,
      },
    });
  };

  it("moves to a CA from a Secret, follows it to another, and moves back, with every leaf verifiable all along", async () => {
    await bring(opensslCa("one").files);
    for (const [change, issuer] of [
      [
        () => patch({ spec: { authority: { source: "Secret", secretRef: { name: "byo-ca" } } } }),
        "one issuing",
      ],
      [() => bring(opensslCa("two").files), "two issuing"],
      [() => patch({ spec: { authority: { source: "Internal" } } }), `${DOMAIN} issuing`],
    ] as const) {
      const before = await active("Issuing");
      await change();
      await until(`${issuer} in use`, async () => {
        for (const name of IDENTITIES) await issuerOf(name);
        return (await active("Issuing")) === before ? undefined : true;
      });
      for (const name of IDENTITIES) {
        await suite.renew(shop, name, issuer);
        await until(
          `${name} under ${issuer}`,
          async () => (await issuerOf(name)).includes(issuer) || undefined,
        );
      }
    }
  });

  it("says what is wrong with a Secret that cannot be used, and goes on as before", async () => {
    const one = opensslCa("one").files;
    const before = await active("Issuing");
    await bring({ ...one, "tls.key": opensslCa("other").files["tls.key"] });
    await patch({ spec: { authority: { source: "Secret", secretRef: { name: "byo-ca" } } } });
    const { message } = await until("the complaint", async () => {
      const found = await condition("Ready");
      return found.reason === "Degraded" ? found : undefined;
    });
    expect(message).toContain(`Secret ${suite.chart.namespace}/byo-ca: tls.key`);
    await suite.renew(shop, "payments", "meanwhile");
    await suite.ready(shop, "payments");
    expect(await active("Issuing")).toBe(before);
    await patch({ spec: { authority: { source: "Internal" } } });
  });

  it("asks for nothing that may not be asked for", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});

function certificates(pem: string): readonly X509Certificate[] {
  return certificatesIn(pem).map((block) => new X509Certificate(block));
}

function print({ fingerprint256 }: X509Certificate): string {
  return fingerprint256;
}
