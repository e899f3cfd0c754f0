import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { readCredentials } from "../../../examples/peers/credentials.ts";
import { openLocal } from "../../../src/app/commands/local.ts";
import { composeLocal, type Local } from "../../../src/app/compose.ts";
import type { LocalConfig } from "../../../src/app/config.ts";
import { serveLocal } from "../../../src/app/serve.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { readJwt } from "../../../src/jwt/jwt-svid.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";
import { NO_METRICS } from "../../../src/telemetry/metrics.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import { splitPem } from "../../../src/x509/pem.ts";
import { verifyX509Svid } from "../../../src/x509/verify.ts";
import {
  identityYaml,
  makeWorkspace,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";
import { SteppedClock } from "../../support/stepped-clock.ts";

const DAY = 86_400;
const HOUR = 3600;
const SPEC = "{jwt: {tokens: [{audience: orders.shop}]}}";

interface Running extends AsyncDisposable {
  readonly local: Local;
  /** All lines so far. */
  readonly log: () => string;
}

describe("meshid local when the clock jumps", () => {
  let work: Workspace;
  let clock: SteppedClock;
  let running: Running | undefined;

  beforeEach(async () => {
    work = await makeWorkspace();
    clock = new SteppedClock();
    for (const name of ["one", "two"]) await work.put(`${name}.yaml`, identityYaml(name, SPEC));
  });

  afterEach(async () => {
    await running?.[Symbol.asyncDispose]();
    await work[Symbol.asyncDispose]();
  });

  /** The engine of `meshid local`, as the command puts it together, on the clock of the test. */
  const begin = async (): Promise<Running> => {
    const config: LocalConfig = {
      identities: work.identities,
      out: work.out,
      state: work.state,
      trustDomain: undefined,
      clusterDomain: "cluster.local",
      listen: undefined,
      probes: undefined,
      group: undefined,
      onRenew: undefined,
      once: false,
      workers: 2,
      logLevel: "info",
      logFormat: "json",
    };
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const logger = createLogger({ level: "info", format: "json", write });
    const local = await composeLocal(config, {
      clock,
      random: systemRandom,
      logger,
      metrics: NO_METRICS,
      env: {},
    });
    const lock = await openLocal(local, config);
    const stop = new AbortController();
    const serving = serveLocal({ local, config, logger, clock, metrics: undefined }, stop.signal);
    running = {
      local,
      log: () => lines.join(""),
      [Symbol.asyncDispose]: async () => {
        running = undefined;
        stop.abort();
        await serving;
        lock[Symbol.dispose]();
      },
    };
    return running;
  };

  const condition = async (path: string, type: string): Promise<string> => {
    const { status } = parse(await work.read(path)) as {
      readonly status?: { readonly conditions?: readonly { readonly [key: string]: string }[] };
    };
    const found = status?.conditions?.find((one) => one["type"] === type);
    return `${found?.["status"]} ${found?.["reason"]}`;
  };
  const messageOf = async (path: string, type: string): Promise<string> => {
    const { status } = parse(await work.read(path)) as {
      readonly status?: { readonly conditions?: readonly { readonly [key: string]: string }[] };
    };
    return status?.conditions?.find((one) => one["type"] === type)?.["message"] ?? "";
  };
  const untilCondition = (path: string, type: string, wanted: string): Promise<true> =>
    until(`${path}: ${type} ${wanted}`, async () => {
      const seen = await condition(path, type);
      if (seen !== wanted) throw new Error(seen);
      return true as const;
    });
  const allIssued = async (): Promise<void> => {
    for (const name of ["one", "two"])
      await untilCondition(`shop/${name}.serviceidentity.yaml`, "Ready", "True Issued");
    await untilCondition("trustdomain.yaml", "AuthorityReady", "True Active");
  };
  const authority = (wanted: string): Promise<true> =>
    untilCondition("trustdomain.yaml", "AuthorityReady", wanted);

  const held = async (): Promise<Readonly<Record<string, string>>> => {
    const found: Record<string, string> = {};
    for (const name of ["one", "two"]) {
      found[`${name} certificate`] = (await readCredentials(join(work.out, `shop/${name}-tls`))).cert;
      found[`${name} token`] = await work.read(`shop/${name}-jwt/orders.shop.jwt`);
    }
    return found;
  };
  const roots = (): Promise<string> => work.read("shop/meshid-bundle/ca.crt");
  const keyFiles = async (): Promise<readonly string[]> =>
    (await readdir(join(work.state, "keys"))).toSorted();

  /** What a peer with this clock, who reads the published documents, would refuse. */
  const refusedBy = async (peer: Pick<Clock, "now">): Promise<readonly string[]> => {
    const refused: string[] = [];
    const now = peer.now();
    const { keys: known } = JSON.parse(await work.read("shop/meshid-bundle/jwks.json")) as {
      readonly keys: readonly { readonly kid: string }[];
    };
    for (const name of ["one", "two"]) {
      const chain = splitPem(await work.read(`shop/${name}-tls/tls.crt`)).map((der) => parseCertificate(der));
      const trusted = splitPem(await roots()).map((der) => parseCertificate(der));
      try {
        verifyX509Svid({ chain, roots: trusted, now, trustDomain: parseTrustDomain("cluster.local") });
      } catch (error) {
        refused.push(`${name}: ${String(error)}`);
      }
      const { header, claims } = readJwt(await work.read(`shop/${name}-jwt/orders.shop.jwt`));
      if (now >= claims.exp || claims.iat > now + 60) refused.push(`${name}: token of another time`);
      if (!known.some(({ kid }) => kid === header.kid)) refused.push(`${name}: token of an unknown key`);
    }
    return refused;
  };

  it("one day forward: renews all that is due, with what every peer of that time accepts", async () => {
    const { log } = await begin();
    await allIssued();
    const before = await held();
    const root = await roots();
    clock.step(DAY);
    await until("all renewed", async () => {
      const now = await held();
      return Object.keys(before).every((name) => now[name] !== before[name]) ? true : undefined;
    });
    await allIssued();
    expect(await refusedBy(clock)).toEqual([]);
    expect(await roots()).toBe(root);
    for (const name of ["one", "two"]) {
      expect(lines(log(), `shop/${name}`, "RenewalDue")).toHaveLength(2);
    }
  });

  it("one day forward past the life of the signing keys: signs with new ones that peers of that time know", async () => {
    const authorities =
      "authority: {rootTTL: 40h, issuingTTL: 18h}, jwt: {keyTTL: 20h}, rotation: {propagation: 1s}";
    await work.put("td.yaml", trustDomainYaml(`{${authorities}}`));
    await begin();
    await allIssued();
    const before = await held();
    const root = await roots();
    const keys = await keyFiles();
    clock.step(DAY);
    await until("all renewed", async () => {
      const now = await held();
      return Object.keys(before).every((name) => now[name] !== before[name]) ? true : undefined;
    });
    await until("all accepted", async () => ((await refusedBy(clock)).length === 0 ? true : undefined));
    await allIssued();
    expect((await keyFiles()).filter((name) => !keys.includes(name)).length).toBeGreaterThanOrEqual(2);
    // The root lives on; what it signed before is still trusted.
    expect(await roots()).toContain(root.trim());
  });

  it("one day back: says so, leaves what there is, and goes on when the clock is right again", async () => {
    const { log } = await begin();
    await allIssued();
    const before = await held();
    const root = await roots();
    clock.step(-DAY);
    await authority("False ClockSkew");
    await work.put("three.yaml", identityYaml("three"));
    await untilCondition("shop/three.serviceidentity.yaml", "X509Issued", "False AuthorityNotReady");
    expect(await held()).toEqual(before);
    expect(await roots()).toBe(root);
    await expect(work.read("shop/three-tls/tls.crt")).rejects.toThrow("ENOENT");
    const [told, ...more] = lines(log(), '"trustDomain"', "ClockSkew");
    expect(more).toEqual([]);
    expect(told).toContain('"level":"warn"');
    expect(told).toContain("set the clock");
    expect(lines(log(), "issued an X.509-SVID")).toHaveLength(2);

    clock.step(DAY);
    await allIssued();
    await untilCondition("shop/three.serviceidentity.yaml", "Ready", "True Issued");
    expect(await held()).toEqual(before);
    expect(await roots()).toBe(root);
  });

  it("one day back over a restart: starts, says so, makes no new root, and recovers", async () => {
    await begin();
    await allIssued();
    await running?.[Symbol.asyncDispose]();
    const before = await held();
    const root = await roots();
    const keys = await keyFiles();
    clock.step(-DAY);
    await work.put("three.yaml", identityYaml("three"));
    await begin();
    await authority("False ClockSkew");
    await untilCondition("shop/three.serviceidentity.yaml", "X509Issued", "False AuthorityNotReady");
    expect(await held()).toEqual(before);
    expect([await roots(), await keyFiles()]).toEqual([root, keys]);
    clock.step(DAY);
    await allIssued();
    await untilCondition("shop/three.serviceidentity.yaml", "Ready", "True Issued");
    expect(await held()).toEqual(before);
    expect([await roots(), await keyFiles()]).toEqual([root, keys]);
  });

  it("forward and back again: what was issued in between is left, and nothing new is signed before its time", async () => {
    const { log } = await begin();
    await allIssued();
    const first = await held();
    const root = await roots();
    clock.step(DAY);
    await until("all renewed", async () => {
      const now = await held();
      return Object.keys(first).every((name) => now[name] !== first[name]) ? true : undefined;
    });
    const before = await held();
    const issued = lines(log(), "issued an X.509-SVID").length;
    clock.step(-DAY);
    await authority("False ClockSkew");
    await work.put("three.yaml", identityYaml("three"));
    await untilCondition("shop/three.serviceidentity.yaml", "X509Issued", "False AuthorityNotReady");
    expect(await held()).toEqual(before);
    expect(await roots()).toBe(root);
    expect(lines(log(), "issued an X.509-SVID")).toHaveLength(issued);
    clock.step(DAY);
    await untilCondition("shop/three.serviceidentity.yaml", "Ready", "True Issued");
    expect(await refusedBy(clock)).toEqual([]);
  });

  it("an hour ahead and set right again: says until when nothing is signed and what to do, and goes on then", async () => {
    clock.step(HOUR);
    const { log } = await begin();
    await allIssued();
    const savedAt = clock.now();
    const issued = lines(log(), "issued an X.509-SVID").length;
    clock.step(-HOUR);
    await authority("False ClockSkew");
    await work.put("three.yaml", identityYaml("three"));
    await untilCondition("shop/three.serviceidentity.yaml", "X509Issued", "False AuthorityNotReady");
    const told = [
      await messageOf("trustdomain.yaml", "AuthorityReady"),
      await messageOf("shop/three.serviceidentity.yaml", "X509Issued"),
    ];
    for (const message of told) {
      expect(message).toMatch(/^the clock says \S+, but the journal was saved at \S+: set the clock; /);
      const until = Date.parse(/nothing is signed until (\S+Z)/.exec(message)?.[1] ?? "") / 1000;
      expect(until).toBeLessThanOrEqual(savedAt - 60);
      expect(until).toBeGreaterThan(savedAt - 90);
    }
    expect(lines(log(), "issued an X.509-SVID")).toHaveLength(issued);
    // As time does, when nobody does anything about it.
    clock.step(HOUR - 61 + 5);
    await untilCondition("shop/three.serviceidentity.yaml", "Ready", "True Issued");
    await allIssued();
  });
});

/** The log lines that hold all of `texts`. */
function lines(log: string, ...texts: readonly string[]): readonly string[] {
  return log.split("\n").filter((line) => texts.every((text) => line.includes(text)));
}
