import { beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { BroughtCa } from "../../../src/app/brought-ca.ts";
import type { ExternalFiles } from "../../../src/authority/external-authority.ts";
import { seconds } from "../../../src/core/brand.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { TrustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { DAY, NOW, TRUST_DOMAIN } from "../../support/certificates.ts";
import {
  authority,
  type ExternalChain,
  type ExternalKeys,
  externalChain,
  externalFiles,
  externalKeys,
} from "../../support/external-ca.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("BroughtCa", () => {
  let keys: ExternalKeys;
  let chain: ExternalChain;
  let clock: FakeClock;
  /** `undefined`: there is no such Secret. */
  let files: ExternalFiles | undefined;
  let source: "Secret" | "Internal";
  let brought: BroughtCa;

  beforeAll(async () => {
    keys = await externalKeys();
    chain = externalChain(keys);
  });

  beforeEach(() => {
    clock = new FakeClock(NOW);
    source = "Secret";
    const other = authority({ signer: { key: keys.middle }, key: keys.middle, subject: "other" });
    files = externalFiles(chain, keys, { roots: chain.root.pem() + other.pem() });
    brought = new BroughtCa({
      desired: {
        secretValue: async (_namespace, _name, key) => {
          if (files === undefined) return undefined;
          if (key === "tls.key") return files.key;
          return new Secret(key === "tls.crt" ? files.certificate : files.roots);
        },
      },
      namespace: "meshid-system",
      clusterDomain: "cluster.local",
      clock,
      policy: () =>
        ({
          trustDomain: TRUST_DOMAIN,
          authority: { source, secretRef: { name: "byo-ca" } },
          rotation: { propagation: seconds(3600) },
        }) as unknown as TrustDomainPolicy,
      onProblem: () => {},
    });
  });

  const refresh = async (): Promise<void> => {
    await clock.advance(60);
    await brought.refresh();
  };

  it("takes no root away from those who need it because the Secret is gone for a moment, or holds a slip", async () => {
    await refresh();
    expect(brought.otherRoots).toHaveLength(1);
    const good = files;
    for (const slip of [undefined, good && { ...good, roots: "nothing" }]) {
      files = slip;
      await refresh();
      expect(brought.problem).toContain("Secret meshid-system/byo-ca");
      expect(brought.current()?.authority).toBeUndefined();
      expect(brought.otherRoots).toHaveLength(1);
    }
  });

  it("does not know of other roots before it has read them, and has none where meshid makes its own", async () => {
    files = undefined;
    await refresh();
    expect(brought.otherRoots).toBeUndefined();
    source = "Internal";
    await refresh();
    expect(brought.otherRoots).toEqual([]);
  });

  it("goes on with what was good before it was away, however little life is left", async () => {
    await refresh();
    const good = files;
    await clock.advance(10 * DAY - 7200);
    files = undefined;
    await refresh();
    files = good;
    await refresh();
    expect(brought.problem).toBeUndefined();
    expect(brought.current()?.authority).toBeDefined();
  });
});
