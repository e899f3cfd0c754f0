/**
 * Controllers whose clock is an hour ahead or behind, on a real control plane: from the start, and by a step while they lead.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { Journal } from "../../../src/authority/slot.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { readJwt } from "../../../src/jwt/jwt-svid.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { verifyX509Svid } from "../../../src/x509/verify.ts";
import { ClusterSuite, DOMAIN, START_LIMIT } from "../../support/cluster-suite.ts";
import { describeCluster } from "../../support/control-plane/shared.ts";
import { type ControllerProcess, untilReady } from "../../support/controller-process.ts";
import { until } from "../../support/local-process.ts";
import { refusedByRbac } from "../../support/rbac-audit.ts";

const MAIN = fileURLToPath(new URL("../../support/skewed-main.ts", import.meta.url));
const HOUR = 3600;
const SPEC = { x509: { ttl: "30m" }, jwt: { tokens: [{ audience: "orders", ttl: "20m" }] } };
const LIFE: Readonly<Record<string, number>> = { x509: 1800, jwt: 1200 };
/** The clock skew that a credential allows for, and the second that a time is rounded to. */
const TOLERANCE = 61;
/** A leader notices within two seconds, ends its work within two more, and another is there at once. */
const HANDOVER = 12_000;
/** One that is alone takes the Lease when nobody has wanted it for its 15 s. */
const ALONE = 60_000;
const BOTH_TIMES = /said (\S+Z) when that of the API server said (\S+Z): set the one that is wrong/;

describeCluster("a controller whose clock is wrong", () => {
  let suite: ClusterSuite;
  let shop: string;
  const replicas: ControllerProcess[] = [];

  beforeAll(async () => {
    const trustDomain = { rotation: { propagation: "2s" }, limits: { minTTL: "1m" } };
    suite = await ClusterSuite.start({ main: MAIN, trustDomain });
    shop = await suite.kube.makeNamespace({});
  }, START_LIMIT);

  afterAll(async () => {
    await suite?.[Symbol.asyncDispose]();
  });

  const setClock = (name: string, offset: number): void =>
    writeFileSync(join(suite.kube.dir, `${name}.clock`), String(offset));
  const start = async (name: string, offset = 0): Promise<ControllerProcess> => {
    setClock(name, offset);
    const one = await suite.chart.start({ name, waits: false });
    replicas.push(one);
    return one;
  };
  const holder = async (): Promise<string> => {
    const lease = await suite.object("/apis/coordination.k8s.io/v1/namespaces/meshid-system/leases/meshid");
    return (lease?.spec as { readonly holderIdentity?: string } | undefined)?.holderIdentity ?? "";
  };
  const untilHeldBy = (name: string, limit: number): Promise<true> =>
    until(`the Lease is ${name}'s`, async () => (await holder()).startsWith(`${name}_`) || undefined, limit);
  const authorityReady = async (): Promise<{ readonly seen: string; readonly message: string }> => {
    const { status } = await suite.trustDomain();
    const found = status?.conditions?.find(({ type }) => type === "AuthorityReady");
    return { seen: `${found?.status} ${found?.reason}`, message: found?.message ?? "" };
  };
  const untilAuthority = (wanted: string): Promise<string> =>
    until(
      `AuthorityReady ${wanted}`,
      async () => {
        const { seen, message } = await authorityReady();
        return seen === wanted ? message : undefined;
      },
      ALONE,
    );
  /** Seconds by which the clocks in a message differ; the API server's is about right. */
  const differenceIn = (message: string): number => {
    const [, own = "", server = ""] = BOTH_TIMES.exec(message) ?? [];
    expect(Math.abs(Date.parse(server) - Date.now())).toBeLessThan(90_000);
    return (Date.parse(own) - Date.parse(server)) / 1000;
  };
  const issuedBy = (one: ControllerProcess): number =>
    one.logs().filter(({ msg }) => msg.startsWith("issued ")).length;
  const saysInLog = (one: ControllerProcess): readonly string[] =>
    one.logs().flatMap(({ level, err }) => {
      const message = (err as { readonly message?: string } | undefined)?.message ?? "";
      return level === "error" && BOTH_TIMES.test(message) ? [message] : [];
    });
  const journal = async (): Promise<Journal> =>
    JSON.parse((await suite.secret("meshid-system", "meshid-authority"))["journal.json"] ?? "") as Journal;

  /** Whatever was ever issued fits the time at which it was, and whoever has the right time takes what is there now. */
  const expectAllSound = async (): Promise<void> => {
    for (const { msg, time, kind, notAfter } of replicas.flatMap((one) => one.logs())) {
      if (!msg.startsWith("issued ")) continue;
      const life = (Date.parse(String(notAfter)) - Date.parse(time)) / 1000;
      expect(Math.abs(life - (LIFE[String(kind)] ?? 0))).toBeLessThanOrEqual(TOLERANCE);
    }
    const now = systemClock.now();
    const roots = splitPem(await suite.roots()).map((der) => parseCertificate(der));
    for (const { metadata } of await suite.list(shop)) {
      const { "tls.crt": pem = "" } = await suite.secret(shop, `${metadata.name}-tls`);
      const chain = splitPem(pem).map((der) => parseCertificate(der));
      verifyX509Svid({ chain, roots, now, trustDomain: parseTrustDomain(DOMAIN) });
      const { "orders.jwt": token = "" } = await suite.secret(shop, `${metadata.name}-jwt`);
      const { claims } = readJwt(token);
      expect(claims.iat).toBeLessThanOrEqual(now + TOLERANCE);
      expect(claims.exp).toBeGreaterThan(now);
    }
    const { savedAt, takenOverAt, bundle, slots } = await journal();
    const instants = slots.flatMap(({ since, observedAt = since, notBefore }) => [
      since,
      observedAt,
      notBefore,
    ]);
    expect(Math.max(savedAt, takenOverAt, bundle.publishedAt, ...instants)).toBeLessThanOrEqual(
      now + TOLERANCE,
    );
  };

  it.each([
    ["ahead", HOUR],
    ["behind", -HOUR],
  ])(
    "from the start, an hour %s: makes no authority, issues nothing and says so with both times",
    async (name, offset) => {
      const one = await start(`first-${name}`, offset);
      if (name === "ahead") await suite.identity(shop, "early", SPEC);
      const message = await until(
        "both times in the TrustDomain",
        async () => {
          const { seen, message } = await authorityReady();
          if (seen !== "False ClockSkew") throw new Error(seen);
          // Another may have said so before.
          return Math.sign(differenceIn(message)) === Math.sign(offset) ? message : undefined;
        },
        ALONE,
      );
      expect(Math.abs(differenceIn(message) - offset)).toBeLessThanOrEqual(10);
      expect(saysInLog(one)).toHaveLength(1);
      // Whoever comes with a right clock need not wait.
      await until("the Lease is nobody's", async () => ((await holder()) === "" ? true : undefined));
      expect(await suite.secretObject("meshid-system", "meshid-authority")).toBeUndefined();
      expect(await suite.secretObject(shop, "early-tls")).toBeUndefined();
      expect(issuedBy(one)).toBe(0);
      if (name === "ahead") await one.kill();
    },
  );

  it("begins by itself once the clock is set", async () => {
    setClock("first-behind", 0);
    await suite.ready(shop, "early", ALONE);
    await untilAuthority("True Active");
    await expectAllSound();
  });

  it("lets one with a right clock lead, however early it competes itself", async () => {
    const wrong = await start("wrong", HOUR);
    await untilReady(wrong);
    await untilReady(await start("right"));
    const [first] = replicas.filter((one) => one.isRunning());
    await first?.stop();
    await untilHeldBy("right", 3000);
    await suite.identity(shop, "second", SPEC);
    await suite.ready(shop, "second");
    expect((await authorityReady()).seen).toBe("True Active");
    expect(wrong.logs().filter(({ result }) => result === "leader")).toEqual([]);
    setClock("wrong", 0);
  });

  it.each([
    ["forward", "right", "wrong", HOUR],
    ["back", "wrong", "right", -HOUR],
  ])(
    "set an hour %s while it leads: hands the Lease to one whose clock is right, which goes on",
    async (name, from, to, offset) => {
      await untilHeldBy(from, ALONE);
      const leading = replicas.find((one) => one.name === from) as ControllerProcess;
      const before = await journal();
      const issued = issuedBy(leading);
      setClock(from, offset);
      await untilHeldBy(to, HANDOVER);
      await suite.identity(shop, `after-${name}`, SPEC);
      await suite.renew(shop, "early", name);
      await suite.ready(shop, `after-${name}`);
      await until("the renewal", async () => {
        const { status } = await suite.get(shop, "early");
        return status?.lastManualRenewal === name || undefined;
      });
      await untilAuthority("True Active");
      expect(issuedBy(leading)).toBe(issued);
      const message = saysInLog(leading).at(-1) ?? "";
      expect(Math.abs(differenceIn(message) - offset)).toBeLessThanOrEqual(10);
      const after = await journal();
      expect(after.epoch).toBe(before.epoch + 1);
      expect(after.slots.map(({ keyID }) => keyID)).toEqual(before.slots.map(({ keyID }) => keyID));
      await expectAllSound();
      setClock(from, 0);
    },
  );

  it("set an hour back with nobody to take over: says so, touches nothing, and goes on once it is set right", async () => {
    await untilHeldBy("right", ALONE);
    await replicas.find((one) => one.name === "wrong")?.kill();
    const leading = replicas.find((one) => one.name === "right") as ControllerProcess;
    const issued = issuedBy(leading);
    const before = await journal();
    const secrets = await Promise.all(["early-tls", "second-jwt"].map((name) => suite.secret(shop, name)));
    setClock("right", -HOUR);
    expect(differenceIn(await untilAuthority("False ClockSkew"))).toBeLessThan(-HOUR + 10);
    await suite.renew(shop, "early", "in vain");
    await until("the Lease is nobody's", async () => ((await holder()) === "" ? true : undefined));
    expect(issuedBy(leading)).toBe(issued);
    expect(await journal()).toEqual(before);
    expect(await Promise.all(["early-tls", "second-jwt"].map((name) => suite.secret(shop, name)))).toEqual(
      secrets,
    );
    setClock("right", 0);
    await until(
      "the renewal",
      async () => {
        const { status } = await suite.get(shop, "early");
        return status?.lastManualRenewal === "in vain" || undefined;
      },
      ALONE,
    );
    await untilAuthority("True Active");
    await expectAllSound();
  });

  it("asks for nothing that it may not have", () => {
    expect(refusedByRbac(suite.audit.all())).toEqual([]);
  });
});
