/**
 * The authority's keys on a real control plane: how they change while identities live by them, and what is said where the
 * journal of it is damaged.
 */

import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import type { AuthorityKind } from "../../../src/authority/slot.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";

const DOMAIN_PATH = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
const MERGE = "application/merge-patch+json";

describeCluster("rotations of the authority", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let shop: string;

  beforeAll(async () => {
    const limits = { minTTL: "1m", maxTTL: "24h" };
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: "2s" }, limits } });
    controller = await suite.chart.start();
    shop = await suite.namespace();
    for (const name of ["payments", "refused"]) {
      await suite.identity(shop, name, { jwt: { tokens: [{ audience: "audit" }] } });
      await suite.ready(shop, name);
    }
    await suite.patch(shop, "refused", { spec: { x509: { ttl: "25h" } } });
    await suite.untilReason([shop, "refused"], "X509Issued", "LimitExceeded");
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  const authorityReady = async (): Promise<string> => {
    const { status } = await suite.trustDomain();
    const found = status?.conditions?.find(({ type }) => type === "AuthorityReady");
    return `${found?.status} ${found?.reason}`;
  };
  const rotate = async (kind: AuthorityKind, value: string): Promise<string> => {
    const before = await suite.activeKey(kind);
    const annotations = { [`meshid.dev/rotate-${kind.toLowerCase()}`]: value };
    await must(suite.kube, {
      method: "PATCH",
      path: DOMAIN_PATH,
      contentType: MERGE,
      body: { metadata: { annotations } },
    });
    return until(`another ${kind} key`, async () => {
      const now = await suite.activeKey(kind);
      return now === before ? undefined : now;
    });
  };
  const rootsOf = async (name: string): Promise<readonly string[]> => {
    const { "ca.crt": roots = "" } = await suite.secret(shop, `${name}-tls`);
    return splitPem(roots).map((der) => parseCertificate(der).subjectKeyID ?? "");
  };
  /** The key of the root that the identity's certificate chains to. */
  const ownRootOf = async (name: string): Promise<string> => {
    const { "tls.crt": chain = "" } = await suite.secret(shop, `${name}-tls`);
    const issuing = splitPem(chain).at(-1);
    return (issuing && parseCertificate(issuing).authorityKeyID) ?? "";
  };
  const keysOf = async (name: string): Promise<readonly string[]> => {
    const { "jwks.json": jwks = "{}" } = await suite.secret(shop, `${name}-jwt`);
    return (JSON.parse(jwks) as { readonly keys: readonly { readonly kid: string }[] }).keys.map(
      ({ kid }) => kid,
    );
  };

  it.each(["payments", "refused"])(
    "bring the next root to %s before it is used, beside the old one",
    async (name) => {
      const own = await ownRootOf(name);
      const { length } = controller.logs();
      const next = await rotate("Root", `for ${name}`);
      // No consumer was waited for until its time was over.
      const later = controller.logs().slice(length);
      expect(later.filter(({ reason }) => reason === "Forced" || reason === "ConsumersExcluded")).toEqual([]);
      // Others, the last one among them, may have left meanwhile: nothing was signed with them.
      expect(await rootsOf(name)).toEqual(expect.arrayContaining([own, next]));
    },
  );

  it.each(["payments", "refused"])(
    "bring the next JWT key to %s before it is used, beside that of its token",
    async (name) => {
      const { status } = await suite.get(shop, name);
      const signer = status?.jwt?.tokens[0]?.keyID;
      const next = await rotate("JWT", `for ${name}`);
      expect(next).not.toBe(signer);
      expect(await keysOf(name)).toEqual(expect.arrayContaining([signer, next]));
    },
  );

  it("give the certificate of an identity the new issuing key once it is renewed, under a root that everybody has", async () => {
    const next = await rotate("Issuing", "1");
    await suite.renew(shop, "payments", "under the new key");
    await until("the new key's signature", async () => {
      const { status } = await suite.get(shop, "payments");
      return status?.x509?.authorityKeyID === next || undefined;
    });
    const { "tls.crt": chain = "" } = await suite.secret(shop, "payments-tls");
    const issuing = new X509Certificate(chain.slice(chain.lastIndexOf("-----BEGIN")));
    const { "ca.crt": roots = "" } = await suite.secret(shop, "refused-tls");
    const blocks = roots.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? [];
    expect(blocks.some((pem) => issuing.verify(new X509Certificate(pem).publicKey))).toBe(true);
  });

  it("do nothing when the same value is applied again", async () => {
    const before = await suite.trustDomain();
    const annotations = { "meshid.dev/rotate-issuing": "1", "example.org/touched": "yes" };
    const body = { metadata: { annotations } };
    await must(suite.kube, { method: "PATCH", path: DOMAIN_PATH, contentType: MERGE, body });
    await suite.audit.whenQuiet(suite.audit.mark());
    expect((await suite.trustDomain()).status?.authorities).toEqual(before.status?.authorities);
  });

  it("are said to be impossible while the journal is damaged, and go on when it is mended", async () => {
    const path = `/api/v1/namespaces/${suite.chart.namespace}/secrets/meshid-authority`;
    const { data = {} } = (await suite.object(path)) ?? {};
    const damage = { data: { "journal.json": Buffer.from("{}").toString("base64") } };
    await must(suite.kube, { method: "PATCH", path, contentType: MERGE, body: damage });
    const annotations = { "meshid.dev/rotate-jwt": "in vain" };
    await must(suite.kube, {
      method: "PATCH",
      path: DOMAIN_PATH,
      contentType: MERGE,
      body: { metadata: { annotations } },
    });
    await until(
      "JournalCorrupt",
      async () => (await authorityReady()) === "False JournalCorrupt" || undefined,
    );
    await must(suite.kube, { method: "PATCH", path, contentType: MERGE, body: { data } });
    await until("Active", async () => (await authorityReady()) === "True Active" || undefined, 20_000);
  });

  it("ask for nothing that may not be asked for", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});
