import { beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { BroughtCa } from "../../../src/app/brought-ca.ts";
import { Authority, type RotationOutcome } from "../../../src/authority/authority.ts";
import type { ExternalFiles } from "../../../src/authority/external-authority.ts";
import type { AuthorityPolicy } from "../../../src/authority/policy.ts";
import { seconds } from "../../../src/core/brand.ts";
import { throwIfAborted } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { TrustDomainPolicy } from "../../../src/registration/trust-domain-policy.ts";
import { time } from "../../../src/x509/asn1.ts";
import { MemoryStores, POLICY } from "../../support/authority-fakes.ts";
import { DAY, type Forgery, NOW, TRUST_DOMAIN } from "../../support/certificates.ts";
import { codeOf } from "../../support/errors.ts";
import {
  authority,
  type ExternalChain,
  type ExternalKeys,
  externalChain,
  externalFiles,
  externalKeys,
} from "../../support/external-ca.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const NEVER = new AbortController().signal;

describe("BroughtCa", () => {
  let keys: ExternalKeys;
  let chain: ExternalChain;
  let clock: FakeClock;
  /** `undefined`: there is no such Secret. */
  let files: ExternalFiles | undefined;
  let source: "Secret" | "Internal";
  let brought: BroughtCa;
  let problems: string[];
  /** What each reading of a value ends with, where it fails. */
  let failure: OperatorError | undefined;
  let readings: number;
  /** Seconds that a reading takes. */
  let duration: number;

  beforeAll(async () => {
    keys = await externalKeys();
    chain = externalChain(keys);
  });

  beforeEach(() => {
    clock = new FakeClock(NOW);
    source = "Secret";
    problems = [];
    [failure, readings, duration] = [undefined, 0, 0];
    const other = authority({ signer: { key: keys.middle }, key: keys.middle, subject: "other" });
    files = externalFiles(chain, keys, { roots: chain.root.pem() + other.pem() });
    brought = new BroughtCa({
      desired: {
        secretValue: async (_namespace, _name, key, signal) => {
          readings += 1;
          clock.jump(duration);
          throwIfAborted(signal);
          if (failure !== undefined) throw failure;
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
      onProblem: (problem) => problems.push(problem),
    });
  });

  const refresh = async (): Promise<void> => {
    await clock.advance(60);
    await brought.refresh(NEVER);
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

  it("reads once more what does not fit together or failed at once, and not what took its time to fail", async () => {
    files = undefined;
    await refresh();
    expect(readings).toBe(2);
    failure = new OperatorError("STORAGE_FAILED", "no answer", { retryable: true });
    await refresh();
    expect([readings, brought.problem]).toEqual([4, "no answer"]);
    duration = 30;
    await refresh();
    expect(readings).toBe(5);
  });

  it("ends where it is when it is told to stop, and what was read before is as good as it was", async () => {
    await refresh();
    await clock.advance(60);
    readings = 0;
    expect(await codeOf(brought.refresh(AbortSignal.abort()))).toBe("ABORTED");
    expect([readings, brought.problem]).toEqual([1, undefined]);
    expect(brought.current()?.authority).toBeDefined();
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

  it("says of one that is too old the same each time, which stands in a status", async () => {
    for (const days of [10, 9.9]) {
      const old = externalChain(keys, { issuing: { notAfter: time(seconds(NOW + (10 - days) * DAY)) } });
      files = externalFiles(old, keys);
      await refresh();
      const said = brought.problem;
      expect(said).toContain('tls.crt certificate 1 ("CN=issuing")');
      await refresh();
      expect(brought.problem).toBe(said);
    }
    expect(problems).toHaveLength(2);
  });

  describe("with a new certificate for the key of its root", () => {
    let signer: Authority;

    beforeEach(async () => {
      await refresh();
      const { journalStore, keyStore } = new MemoryStores();
      const policy = (): AuthorityPolicy => {
        const external = brought.current();
        return { ...POLICY, trustDomain: TRUST_DOMAIN, ...(external === undefined ? {} : { external }) };
      };
      signer = new Authority({ journalStore, keyStore, clock, random: fakeRandom(9), policy });
      await signer.open();
    });

    const bring = async (root: Partial<Forgery>): Promise<RotationOutcome> => {
      files = externalFiles(externalChain(keys, { root }), keys);
      await refresh();
      expect(brought.problem).toBeUndefined();
      return signer.step(undefined, {});
    };
    const steps = ({ taken }: RotationOutcome): readonly string[] =>
      taken.map(({ step, kind }) => step + kind);

    it("takes it where what is in use is believed under it", async () => {
      expect(steps(await bring({}))).toEqual(["RecertifyRoot", "RecertifyIssuing"]);
    });

    it("leaves it alone, with what is under it, where peers would refuse what is in use", async () => {
      const before = signer.view();
      const outcome = await bring({ subject: "renamed" });
      expect(steps(outcome)).toEqual([]);
      expect(signer.view().caPem).toBe(before.caPem);
      expect(outcome.waiting).toContainEqual(
        expect.objectContaining({
          kind: "Root",
          for: "policy",
          message: expect.stringMatching(/was issued by "CN=root".*give the new root a key of its own/),
        }),
      );
    });
  });
});
