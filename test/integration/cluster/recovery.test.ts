/**
 * The ways out that JournalMissing and JournalCorrupt name, on a real control plane with the controller running all the time.
 */

import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "@jest/globals";
import type { Condition } from "../../../src/registration/conditions.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { type Meshid, meshidWith } from "../../support/cluster-cli.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, must } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";

const DOMAIN_PATH = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
const MERGE = "application/merge-patch+json";
const KEYS = "meshid.dev/key";

describeCluster("an authority that was lost", () => {
  let suite: ClusterSuite;
  let controller: ControllerProcess;
  let meshid: Meshid;
  let store: string;
  let shop: string;
  let secrets: string;
  let backups = 0;

  beforeAll(async () => {
    store = mkdtempSync(join(tmpdir(), "meshid-backups-"));
    const limits = { minTTL: "1m", maxTTL: "24h" };
    suite = await ClusterSuite.start({ trustDomain: { rotation: { propagation: "2s" }, limits } });
    meshid = meshidWith(suite.kube.kubeconfig);
    secrets = `/api/v1/namespaces/${suite.chart.namespace}/secrets`;
    controller = await suite.chart.start();
    shop = await suite.namespace();
    await suite.identity(shop, "payments", { jwt: { tokens: [{ audience: "orders" }] } });
    await suite.ready(shop, "payments");
  }, START_LIMIT);

  afterAll(async () => {
    rmSync(store, { recursive: true, force: true });
    await suite?.[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    expect(controller.isRunning()).toBe(true);
  });

  const authorityReady = async (): Promise<Condition | undefined> => {
    const { status } = await suite.trustDomain();
    return status?.conditions?.find(({ type }) => type === "AuthorityReady");
  };
  const untilAuthority = (reason: string): Promise<Condition> =>
    until(
      `AuthorityReady ${reason}`,
      async () => {
        const found = await authorityReady();
        return found?.reason === reason ? found : undefined;
      },
      30_000,
    );
  const sequence = async (): Promise<number> => (await suite.trustDomain()).status?.bundle?.sequence ?? 0;
  const backup = async (): Promise<string> => {
    const file = join(store, `backup-${++backups}`);
    const { code, stdout, stderr } = await meshid("backup", file);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      new RegExp(`^Saved the authority of ${DOMAIN} from namespace meshid-system of https://`),
    );
    return file;
  };
  /** Everything that the authority has in the cluster, but for the Secrets named. */
  const lose = async (kept: (name: string) => boolean = () => false): Promise<void> => {
    const { items } = await must<{ items: { metadata: { name: string } }[] }>(suite.kube, {
      method: "GET",
      path: secrets,
    });
    for (const { metadata } of items)
      if (/^meshid-(?:authority$|key-)/.test(metadata.name) && !kept(metadata.name))
        await must(suite.kube, { method: "DELETE", path: `${secrets}/${metadata.name}` });
  };
  /** Asks for a rotation: the leader looks at the journal when it has something to save. */
  const disturb = async (value: string): Promise<void> => {
    const body = { metadata: { annotations: { "meshid.dev/rotate-jwt": value } } };
    await must(suite.kube, { method: "PATCH", path: DOMAIN_PATH, contentType: MERGE, body });
  };
  const credential = async (name: string): Promise<readonly (string | undefined)[]> => {
    const [tls, jwt] = [await suite.secret(shop, `${name}-tls`), await suite.secret(shop, `${name}-jwt`)];
    return [tls["tls.crt"], tls["tls.key"], tls["ca.crt"], jwt["orders.jwt"]];
  };
  const untilSettled = async (): Promise<void> => {
    await until("no key that is to be used next", async () => {
      const { status } = await suite.trustDomain();
      return status?.authorities?.every(({ state }) => state !== "Prepared") || undefined;
    });
  };
  const rootsOf = async (name: string): Promise<readonly string[]> => {
    const { "ca.crt": roots = "" } = await suite.secret(shop, `${name}-tls`);
    return splitPem(roots).map((der) => parseCertificate(der).subjectKeyID ?? "");
  };

  it("is said to be missing with the commands that help, comes back by the first without a restart, and nothing is issued anew", async () => {
    const before = {
      root: await suite.activeKey("Root"),
      issuing: await suite.activeKey("Issuing"),
      credential: await credential("payments"),
      sequence: await sequence(),
    };
    const file = await backup();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await lose();
    // Longer than anything so far: the journal has to say so before it is signed.
    await suite.identity(shop, "long", { jwt: { tokens: [{ audience: "orders", ttl: "24h" }] } });
    const { message } = await untilAuthority("JournalMissing");
    expect(message).toContain("(meshid restore FILE)");
    expect(message).toContain(`(meshid bootstrap --new-root --confirm ${DOMAIN})`);
    const dry = await meshid("restore", file, "--dry-run");
    expect([dry.code, dry.stderr]).toEqual([0, ""]);
    expect((await authorityReady())?.reason).toBe("JournalMissing");
    const { code, stdout, stderr } = await meshid("restore", file);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Restored the authority of /);
    await untilAuthority("Active");
    expect(await suite.activeKey("Root")).toBe(before.root);
    expect(await suite.activeKey("Issuing")).toBe(before.issuing);
    expect(await sequence()).toBeGreaterThan(before.sequence);
    await suite.ready(shop, "long", 30_000);
    expect(await credential("payments")).toEqual(before.credential);
    expect(controller.isRunning()).toBe(true);
  });

  it("is put back key by key where the journal is good", async () => {
    const file = await backup();
    const issuing = await suite.activeKey("Issuing");
    const journal = await suite.object(`${secrets}/meshid-authority`);
    const good = await meshid("restore", file);
    expect([good.code, good.stdout]).toEqual([2, ""]);
    expect(good.stderr).toMatch(/is good \(revision \d+, saved at .*kubectl -n meshid-system delete secret/);
    await lose((name) => name !== `meshid-key-${issuing}`);
    const { code, stdout } = await meshid("restore", file, "-o", "json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ keys: [{ kind: "Issuing", keyID: issuing }], losses: [] });
    expect(JSON.parse(stdout)).not.toHaveProperty("journal");
    const after = await suite.object(`${secrets}/meshid-authority`);
    expect(after?.metadata.resourceVersion).toBe(journal?.metadata.resourceVersion);
    const key = await suite.object(`${secrets}/meshid-key-${issuing}`);
    expect(key?.["immutable"]).toBe(true);
    expect(key?.metadata.labels).toMatchObject({ [KEYS]: "true" });
  });

  it("whose journal is damaged is replaced while the controller runs, and the damaged one is kept", async () => {
    const root = await suite.activeKey("Root");
    const file = await backup();
    const path = `${secrets}/meshid-authority`;
    const damaged = Buffer.from("{}").toString("base64");
    const body = { data: { "journal.json": damaged } };
    await must(suite.kube, { method: "PATCH", path, contentType: MERGE, body });
    await disturb("after the damage");
    expect((await untilAuthority("JournalCorrupt")).message).toContain("(meshid restore)");
    const { code, stdout } = await meshid("restore", file);
    expect(code).toBe(0);
    const [, kept = ""] = /kept as Secret meshid-system\/(\S+)\.\n/.exec(stdout) ?? [];
    expect((await suite.object(`${secrets}/${kept}`))?.data).toEqual({ "journal.json": damaged });
    await untilAuthority("Active");
    expect(await suite.activeKey("Root")).toBe(root);
  });

  it("is not gone back to behind a rotation unless that is accepted", async () => {
    await untilSettled();
    const before = await suite.activeKey("JWT");
    // It stays published, since it has signed.
    await suite.renew(shop, "payments", "before the backup");
    await until("its signature", async () => {
      const { status } = await suite.get(shop, "payments");
      return status?.jwt?.tokens[0]?.keyID === before || undefined;
    });
    const file = await backup();
    await disturb("ahead of the backup");
    const next = await until("another JWT key", async () => {
      const now = await suite.activeKey("JWT");
      return now === before ? undefined : now;
    });
    await lose();
    const refused = await meshid("restore", file);
    expect([refused.code, refused.stdout]).toEqual([2, ""]);
    expect(refused.stderr).toContain(`the JWT key ${next} is published and not in the backup`);
    expect(await suite.object(`${secrets}/meshid-authority`)).toBeUndefined();
    const accepted = await meshid("restore", file, "--accept-loss");
    expect([accepted.code, accepted.stderr]).toEqual([0, expect.stringContaining(next)]);
    await disturb("after the return");
    await untilAuthority("Active");
    await suite.renew(shop, "payments", "after the return");
    await until("a token under a key that is served", async () => {
      const { status } = await suite.get(shop, "payments");
      const key = status?.jwt?.tokens[0]?.keyID;
      const { status: domain } = await suite.trustDomain();
      return domain?.authorities?.some(({ keyID }) => keyID === key) || undefined;
    });
  });

  it("begins anew under a new root where there is no backup, and everything is issued under it", async () => {
    const before = { root: await suite.activeKey("Root"), sequence: await sequence() };
    const old = await credential("payments");
    const good = await meshid("bootstrap", "--new-root", "--confirm", DOMAIN);
    expect([good.code, good.stderr]).toEqual([
      2,
      expect.stringContaining("meshid rotate root --compromised"),
    ]);
    await lose();
    // Nothing is there to be saved: the watch alone tells of the loss.
    await untilAuthority("JournalMissing");
    const wrong = await meshid("bootstrap", "--new-root", "--confirm", "cluster.local");
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining(`expected --confirm ${DOMAIN}`)]);
    const { code, stdout, stderr } = await meshid("bootstrap", "--new-root", "--confirm", DOMAIN);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Began anew: /);
    await untilAuthority("Active");
    const root = await suite.activeKey("Root");
    expect(root).not.toBe(before.root);
    expect(await sequence()).toBeGreaterThan(before.sequence);
    for (const name of ["payments", "long"])
      await until(`${name} under the new root`, async () => {
        const { status } = await suite.get(shop, name);
        return status?.x509?.authorityKeyID === (await suite.activeKey("Issuing")) || undefined;
      });
    expect(await rootsOf("payments")).toEqual([root]);
    const now = await credential("payments");
    for (const [index, text] of now.entries()) expect(text).not.toBe(old[index]);
    expect((await meshid("verify", "secret/payments-tls", "-n", shop)).code).toBe(0);
    expect(await meshid("backup", join(store, "the-new-one"))).toMatchObject({ code: 0 });
  });

  it("is for those who may read and write its Secrets, and leaves no key in any output", async () => {
    const ann = meshidWith(await suite.kube.userKubeconfig("ann"));
    const { code, stderr } = await ann("backup", join(store, "stolen"));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/you may not .*Secrets in meshid-system/)]);
    const { keys } = JSON.parse(readFileSync(join(store, "the-new-one"), "utf8")) as {
      keys: { privateKey: string }[];
    };
    const log = JSON.stringify(controller.logs());
    for (const { privateKey } of keys) expect(log).not.toContain(privateKey.split("\n")[1]);
  });
});
