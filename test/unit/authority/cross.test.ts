import { describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import type { AuthorityDeps } from "../../../src/authority/opening.ts";
import type { AuthorityPolicy } from "../../../src/authority/policy.ts";
import type { Observation } from "../../../src/authority/rotation-plan.ts";
import type { JournalStep } from "../../../src/authority/rotation-step.ts";
import type { AuthorityKind, Slot } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import { CLOCK_SKEW } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import { type Certificate, parseCertificate, parseCertificates } from "../../../src/x509/certificate.ts";
import { generateKey, type KeyId, publicKeyOf } from "../../../src/x509/keys.ts";
import { verifyX509Svid } from "../../../src/x509/verify.ts";
import { MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const KEY = await generateKey("ECDSA-P256");
const PAYMENTS = parseSpiffeId("spiffe://example.org/ns/shop/sa/payments");

interface World {
  readonly stores: MemoryStores;
  readonly clock: FakeClock;
  readonly deps: AuthorityDeps;
  readonly authority: Authority;
  policy: AuthorityPolicy;
}

async function opened(
  changes: Partial<AuthorityPolicy> = { crossSignRoots: true },
  stores: MemoryStores = new MemoryStores(),
  clock: FakeClock = new FakeClock(START),
): Promise<World> {
  const world = { policy: { ...POLICY, ...changes } };
  const { journalStore, keyStore } = stores;
  const deps = { journalStore, keyStore, clock, random: fakeRandom(7), policy: () => world.policy };
  const authority = new Authority(deps);
  await authority.open();
  return Object.assign(world, { stores, clock, deps, authority });
}

/** Everyone carries everything. */
function held({ authority }: World): Observation {
  const keys = authority.view().slots.map(({ keyID }): [KeyId, readonly string[]] => [keyID, []]);
  return { consumers: 1, lacking: new Map(keys) };
}

async function prepare(world: World, value: string): Promise<readonly JournalStep[]> {
  return (await world.authority.step(undefined, { Root: value })).taken;
}

/** To the end: the new root is active, and the issuing certificate under it too. */
async function follow(world: World): Promise<void> {
  for (let n = 0; n < 2; n++) {
    await world.authority.step(held(world), {});
    world.clock.jump(POLICY.propagation);
    await world.authority.step(held(world), {});
  }
}

async function rotate(world: World, value: string): Promise<void> {
  await prepare(world, value);
  await follow(world);
}

async function chainOf({ authority }: World, ttl = 600): Promise<readonly Certificate[]> {
  const request = { spiffeId: PAYMENTS, dnsNames: [], publicKey: publicKeyOf(KEY), ttl: seconds(ttl) };
  return parseCertificates((await authority.signX509Svid(request)).chainPem);
}

function roots(world: World, state?: Slot["state"]): readonly Slot[] {
  const slots = world.authority.view().slots.filter(({ kind }) => kind === ("Root" satisfies AuthorityKind));
  return state === undefined ? slots : slots.filter((slot) => slot.state === state);
}

function certificateOf(slot: Slot | undefined): Certificate {
  return parseCertificate(slot?.certificate ?? "");
}

function accepts(chain: readonly Certificate[], trusted: readonly Certificate[], { clock }: World): boolean {
  try {
    verifyX509Svid({ chain, roots: trusted, now: clock.now(), trustDomain: POLICY.trustDomain });
    return true;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "VERIFICATION_FAILED") return false;
    throw error;
  }
}

describe("cross certificates", () => {
  it("let a consumer with the first root alone accept what is issued under the second", async () => {
    const world = await opened();
    const first = certificateOf(roots(world)[0]);
    await rotate(world, "a");
    const second = certificateOf(roots(world, "Active")[0]);
    const chain = await chainOf(world);
    expect(chain.map(({ subjectKeyID }) => subjectKeyID)).toEqual([
      chain[0]?.subjectKeyID,
      world.authority.view().issuing.keyID,
      second.subjectKeyID,
    ]);
    expect(accepts(chain, [first], world)).toBe(true);
    expect(accepts(chain, [second], world)).toBe(true);
    expect(accepts(chain.slice(0, 2), [first], world)).toBe(false);
  });

  it("have the second root's name and key, the first one's signature, and the end of whichever ends first", async () => {
    const world = await opened();
    const first = certificateOf(roots(world)[0]);
    world.clock.jump(3000);
    await prepare(world, "a");
    const slot = roots(world, "Prepared")[0];
    const second = certificateOf(slot);
    const cross = parseCertificate(slot?.crossCertificate?.certificate ?? "");
    expect(cross.subject).toBe(second.subject);
    expect(cross.issuer).toBe(first.subject);
    expect(cross.spki).toEqual(second.spki);
    expect(cross).toMatchObject({
      subjectKeyID: second.subjectKeyID,
      authorityKeyID: first.subjectKeyID,
      uris: second.uris,
      isCA: true,
      pathLength: 1,
      notBefore: START + 3000 - CLOCK_SKEW,
      notAfter: first.notAfter,
    });
    expect(slot?.crossCertificate).toMatchObject({
      issuerKeyID: first.subjectKeyID,
      notAfter: first.notAfter,
    });
    expect(second.notAfter).toBeGreaterThan(first.notAfter);
  });

  it("end with the new root where that one ends first", async () => {
    const world = await opened();
    world.policy = { ...world.policy, rootTTL: seconds(14_400) };
    await prepare(world, "a");
    expect(roots(world, "Prepared")[0]?.crossCertificate?.notAfter).toBe(START + 14_400);
  });

  it("stand in no published document", async () => {
    const world = await opened();
    await chainOf(world, 7000);
    await rotate(world, "a");
    const { caPem, bundleJson, jwksJson } = world.authority.view();
    const cross = parseCertificate(roots(world, "Active")[0]?.crossCertificate?.certificate ?? "");
    expect(parseCertificates(caPem)).toHaveLength(2);
    const body = Buffer.from(cross.der).toString("base64");
    for (const text of [caPem.replaceAll("\n", ""), bundleJson, jwksJson])
      expect(text.includes(body)).toBe(false);
  });

  it("stay out of leaves under the root that was there before", async () => {
    const world = await opened();
    await prepare(world, "a");
    expect(roots(world, "Prepared")[0]?.crossCertificate).toBeDefined();
    expect(await chainOf(world)).toHaveLength(2);
  });

  it("are made for nobody who has not asked", async () => {
    const world = await opened({});
    await rotate(world, "a");
    expect(roots(world).map(({ crossCertificate }) => crossCertificate)).toEqual([undefined, undefined]);
    expect(await chainOf(world)).toHaveLength(2);
  });

  it("leave the chains with the next issuance once nobody asks any more, and come back", async () => {
    const world = await opened();
    await rotate(world, "a");
    world.policy = { ...world.policy, crossSignRoots: false };
    expect(await chainOf(world)).toHaveLength(2);
    world.policy = { ...world.policy, crossSignRoots: true };
    expect(await chainOf(world)).toHaveLength(3);
  });

  it("are left out of a chain whose leaf they would not outlive", async () => {
    const world = await opened();
    const { notAfter } = certificateOf(roots(world)[0]);
    world.policy = { ...world.policy, rootTTL: seconds(80_000), issuingTTL: seconds(40_000) };
    world.clock.jump(18_000);
    await rotate(world, "a");
    const left = notAfter - world.clock.now();
    expect(left).toBeGreaterThan(600);
    const [whole] = await chainOf(world, left);
    expect(whole?.notAfter).toBe(notAfter);
    expect(await chainOf(world, left)).toHaveLength(3);
    expect(await chainOf(world, left + 1)).toHaveLength(2);
  });

  it("are those of the direct predecessor alone", async () => {
    const world = await opened();
    const first = certificateOf(roots(world)[0]);
    await rotate(world, "a");
    const second = certificateOf(roots(world, "Active")[0]);
    await rotate(world, "b");
    const chain = await chainOf(world);
    expect(chain).toHaveLength(3);
    expect(accepts(chain, [second], world)).toBe(true);
    expect(accepts(chain, [first], world)).toBe(false);
  });

  it("survive a restart", async () => {
    const world = await opened();
    await rotate(world, "a");
    const next = await opened({ crossSignRoots: true }, world.stores, world.clock);
    expect(roots(next)).toEqual(roots(world));
    expect(await chainOf(next)).toHaveLength(3);
  });

  it("are never in the way of a root's rotation: one without its key says why there is none", async () => {
    const world = await opened();
    world.stores.keys.delete(roots(world)[0]?.keyID as KeyId);
    const [step] = await prepare(world, "a");
    expect(step).toMatchObject({
      step: "Prepare",
      made: { crossProblem: expect.stringContaining("private key") },
    });
    await follow(world);
    expect(await chainOf(world)).toHaveLength(2);
  });

  it.each(["publishes it still", "has forgotten it"])(
    "go at once when the root that signed them is distrusted, while the journal %s",
    async (form) => {
      const world = await opened();
      const first = roots(world)[0]?.keyID ?? "";
      await chainOf(world, 7000);
      await rotate(world, "a");
      if (form === "has forgotten it") {
        world.clock.jump(POLICY.issuingTTL);
        await world.authority.step(held(world), {});
        await world.authority.step(held(world), {});
      }
      expect(roots(world)).toHaveLength(form === "has forgotten it" ? 1 : 2);
      expect(await chainOf(world)).toHaveLength(3);
      await world.authority.step(undefined, {}, new Set([first]));
      expect(await chainOf(world)).toHaveLength(2);
      expect(roots(world).map(({ crossCertificate }) => crossCertificate)).toEqual([undefined]);
      expect(world.authority.view().distrusted).toMatchObject([{ kind: "Root", keyID: first }]);
      expect((await world.authority.step(undefined, {}, new Set([first]))).taken).toEqual([]);
    },
  );

  it("are not made for what takes the place of a distrusted root", async () => {
    const world = await opened();
    await world.authority.step(undefined, {}, new Set([roots(world)[0]?.keyID ?? ""]));
    expect(roots(world).map(({ crossCertificate }) => crossCertificate)).toEqual([undefined]);
    expect(await chainOf(world)).toHaveLength(2);
  });
});
