import { describe, expect, it } from "@jest/globals";
import { Authority } from "../../../src/authority/authority.ts";
import { decodeJournal, encodeJournal } from "../../../src/authority/journal.ts";
import type { AuthorityDeps } from "../../../src/authority/opening.ts";
import type { AuthorityPolicy } from "../../../src/authority/policy.ts";
import type { Observation } from "../../../src/authority/rotation-plan.ts";
import { type AuthorityKind, activeSlot, type Journal, type Slot } from "../../../src/authority/slot.ts";
import { takeOver } from "../../../src/authority/transitions.ts";
import { seconds } from "../../../src/core/brand.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { importVerificationKeys, parseJwks } from "../../../src/jwt/jwks.ts";
import { verifyJwtSvid } from "../../../src/jwt/jwt-svid.ts";
import { parseBundle } from "../../../src/spiffe/bundle.ts";
import { parseSpiffeId } from "../../../src/spiffe/spiffe-id.ts";
import { parseCertificates } from "../../../src/x509/certificate.ts";
import { encodePublicKey, generateKey, type KeyId, publicKeyOf } from "../../../src/x509/keys.ts";
import { signRoot } from "../../../src/x509/template.ts";
import { verifyX509Svid } from "../../../src/x509/verify.ts";
import { type Crash, MemoryStores, POLICY, START } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const PAYMENTS = parseSpiffeId("spiffe://example.org/ns/shop/sa/payments");
const KEY = await generateKey("ECDSA-P256");
const LEAF = {
  spiffeId: PAYMENTS,
  dnsNames: ["payments.shop.svc"],
  publicKey: publicKeyOf(KEY),
  ttl: seconds(600),
};
const TOKEN = { spiffeId: PAYMENTS, audience: "orders.shop", ttl: seconds(300) };

interface World {
  readonly stores: MemoryStores;
  readonly clock: FakeClock;
  readonly deps: AuthorityDeps;
  readonly authority: Authority;
  policy: AuthorityPolicy;
}

function worldOf(stores: MemoryStores = new MemoryStores(), clock: FakeClock = new FakeClock(START)): World {
  const world = { policy: POLICY };
  const { journalStore, keyStore } = stores;
  const deps = { journalStore, keyStore, clock, random: fakeRandom(7), policy: () => world.policy };
  return Object.assign(world, { stores, clock, deps, authority: new Authority(deps) });
}

async function opened(world: World = worldOf()): Promise<World> {
  await world.authority.open();
  return world;
}

/** Everyone carries everything. */
function held(authority: Authority): Observation {
  const keys = authority.view().slots.map(({ keyID }): [KeyId, readonly string[]] => [keyID, []]);
  return { consumers: 1, lacking: new Map(keys) };
}

/** Rotates `kind` by hand, all the way to the new active slot. */
async function rotate({ authority, clock }: World, kind: AuthorityKind, value: string): Promise<void> {
  await authority.step(undefined, { [kind]: value });
  await authority.step(held(authority), {});
  clock.jump(POLICY.propagation);
  await authority.step(held(authority), {});
}

function slotsOf(journal: Journal | undefined, kind: AuthorityKind): readonly Slot["state"][] {
  return (journal?.slots ?? []).filter((slot) => slot.kind === kind).map(({ state }) => state);
}

async function failureOf(act: Promise<unknown>): Promise<OperatorError> {
  try {
    await act;
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("Authority.open", () => {
  it("begins a trust domain with one active slot of each kind and all keys stored", async () => {
    const { stores } = await opened();
    expect(stores.journal()).toMatchObject({ trustDomain: "example.org", epoch: 1, bundle: { sequence: 1 } });
    expect(stores.journal()?.slots.map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      "Root Active",
      "Issuing Active",
      "JWT Active",
    ]);
    expect([...stores.keys.keys()].sort()).toEqual(
      stores
        .journal()
        ?.slots.map(({ keyID }) => keyID)
        .sort(),
    );
  });

  it("never begins anew where a bundle was published, and names the way out", async () => {
    const world = worldOf();
    world.stores.evidence = true;
    const error = await failureOf(world.authority.open());
    expect(error.code).toBe("JOURNAL_MISSING");
    expect(error.message).toMatch(
      /backup.*meshid restore.*meshid bootstrap --new-root --confirm example\.org/,
    );
    expect([world.stores.journalText, world.stores.keys.size]).toEqual([undefined, 0]);
  });

  it("takes over with the same keys under the next epoch, and deletes keys that nobody knows", async () => {
    const { stores, authority, clock } = await opened();
    const before = authority.view().caPem;
    stores.keys.set("0".repeat(40) as KeyId, "an orphan");
    const next = await opened(worldOf(stores, clock));
    expect(next.authority.view().caPem).toBe(before);
    expect(stores.journal()?.epoch).toBe(2);
    expect(stores.keys.has("0".repeat(40) as KeyId)).toBe(false);
  });

  it.each([
    [
      "another trust domain",
      (world: World) => ({ ...world.policy, trustDomain: "other.org" as never }),
      "JOURNAL_FOREIGN",
    ],
    [
      "another issuer",
      (world: World) => ({ ...world.policy, issuer: "https://other.example" }),
      "JOURNAL_FOREIGN",
    ],
  ])("refuses the journal of %s and changes nothing", async (_, policy, code) => {
    const { stores } = await opened();
    const text = stores.journalText;
    const world = worldOf(stores);
    world.policy = policy(world);
    expect((await failureOf(world.authority.open())).code).toBe(code);
    expect(stores.journalText).toBe(text);
  });

  it.each(["Root", "Issuing", "JWT"] as const)(
    "refuses to go on without the key of the active %s slot",
    async (kind) => {
      const { stores } = await opened();
      const journal = stores.journal();
      const { keyID } = (journal && activeSlot(journal, kind))!;
      const other = journal?.slots.find((slot) => slot.kind !== kind)?.keyID;
      stores.keys.set(keyID, stores.keys.get(other as KeyId) ?? "");
      const error = await failureOf(worldOf(stores).authority.open());
      expect(error).toMatchObject({ code: "AUTHORITY_NOT_READY", details: { kind, keyID } });
    },
  );

  it("gives up a prepared slot whose key is gone, and prepares another", async () => {
    const world = await opened();
    await world.authority.step(undefined, { JWT: "a" });
    const prepared = world.stores.journal()?.slots.at(-1);
    world.stores.keys.delete(prepared?.keyID as KeyId);
    const { authority, stores, clock } = await opened(worldOf(world.stores));
    expect(slotsOf(stores.journal(), "JWT")).toEqual(["Active"]);
    clock.jump(1800);
    await authority.step(undefined, {});
    expect(slotsOf(stores.journal(), "JWT")).toEqual(["Active", "Prepared"]);
  });

  it("refuses a journal whose JWT key is another's", async () => {
    const { stores } = await opened();
    const journal = stores.journal()!;
    const publicKey = encodePublicKey(publicKeyOf(KEY));
    const slots = journal.slots.map((slot) => (slot.kind === "JWT" ? { ...slot, publicKey } : slot));
    stores.journalText = encodeJournal({ ...journal, slots });
    const error = await failureOf(worldOf(stores).authority.open());
    expect(error).toMatchObject({ code: "JOURNAL_CORRUPT", details: { field: "slots[2].publicKey" } });
  });

  it("refuses a journal whose certificate is another's", async () => {
    const { stores } = await opened();
    const foreign = await opened();
    const certificate = foreign.stores.journal()?.slots[0]?.certificate;
    const journal = stores.journal()!;
    const slots = journal.slots.map((slot, index) =>
      index === 0 ? { ...slot, certificate: certificate! } : slot,
    );
    stores.journalText = encodeJournal({ ...journal, slots });
    const error = await failureOf(worldOf(stores).authority.open());
    expect(error).toMatchObject({ code: "JOURNAL_CORRUPT", details: { field: "slots[0]" } });
  });
});

describe("Authority signing", () => {
  it("signs a leaf that the published bundle proves, with the ttl from now and 60 s of back-dating", async () => {
    const { authority } = await opened();
    const svid = await authority.signX509Svid(LEAF);
    const view = authority.view();
    const roots = parseCertificates(view.caPem);
    const chain = parseCertificates(svid.chainPem);
    const { trustDomain } = POLICY;
    expect(verifyX509Svid({ chain, roots, now: START, trustDomain, expected: LEAF })).toBe(PAYMENTS);
    expect(svid).toMatchObject({
      notBefore: START - 60,
      notAfter: START + 600,
      ttlReason: "Requested",
      authorityKeyID: view.issuing.keyID,
    });
    expect(parseBundle(view.bundleJson, trustDomain)).toMatchObject({ sequence: 1n, refreshHint: 120 });
  });

  it("signs a token that the published JWKS proves", async () => {
    const { authority } = await opened();
    const { token, expiresAt, keyID } = await authority.signJwtSvid(TOKEN);
    const keys = await importVerificationKeys(parseJwks(authority.view().jwksJson));
    const { trustDomain, issuer } = POLICY;
    const options = { keys, trustDomain, audience: "orders.shop", now: START, issuer };
    expect(verifyJwtSvid(token.reveal(), options)).toMatchObject({ spiffeId: PAYMENTS, expiresAt, keyID });
    expect(expiresAt).toBe(START + 300);
  });

  it("ends nothing after the key that signs it, and says so", async () => {
    const { authority, clock } = await opened();
    clock.jump(3500);
    expect(await authority.signJwtSvid(TOKEN)).toMatchObject({
      expiresAt: START + 3600,
      ttlReason: "CappedByAuthority",
    });
    expect(await authority.signX509Svid({ ...LEAF, ttl: seconds(9000) })).toMatchObject({
      notAfter: START + 7200,
      ttlReason: "CappedByAuthority",
    });
  });

  it("raises signedUntil before it signs, once for many that sign at the same time", async () => {
    const { authority, stores } = await opened();
    const saves = stores.saves;
    const ttls = Array.from({ length: 200 }, (_, n) => seconds(600 + 6 * n));
    const svids = await Promise.all([
      ...ttls.map((ttl) => authority.signX509Svid({ ...LEAF, ttl })),
      ...ttls.map(() => authority.signJwtSvid(TOKEN)),
    ]);
    expect(svids).toHaveLength(400);
    expect(stores.saves - saves).toBeLessThanOrEqual(4);
    const issuing = activeSlot(stores.journal()!, "Issuing");
    expect(issuing?.signedUntil).toBeGreaterThanOrEqual(START + 600 + 6 * 199);
  });

  it("signs nothing when signedUntil could not be saved", async () => {
    const { authority, stores } = await opened();
    stores.crash = { call: stores.calls + 1, when: "before" };
    expect((await failureOf(authority.signX509Svid(LEAF))).code).toBe("STORAGE_FAILED");
    await authority.signX509Svid(LEAF);
  });

  it.each([
    ["is behind the journal", 1000, -61, "CLOCK_SKEW"],
    ["is before the key", 0, -61, "CLOCK_SKEW"],
    ["has passed the end of the key", 0, 7200, "AUTHORITY_NOT_READY"],
  ])("refuses when the clock %s", async (...row) => {
    const [, on, by, code] = row;
    const { authority, clock } = await opened();
    clock.jump(on);
    await authority.signX509Svid(LEAF);
    clock.jump(by);
    expect(await failureOf(authority.signX509Svid(LEAF))).toMatchObject({ code, retryable: true });
  });

  it("allows the clock to go back by as much as clocks may differ", async () => {
    const { authority, clock } = await opened();
    clock.jump(-60);
    await expect(authority.signX509Svid(LEAF)).resolves.toMatchObject({ notBefore: START - 120 });
  });

  it("refuses an ID of another trust domain, and one without a path", async () => {
    const { authority } = await opened();
    for (const id of ["spiffe://other.org/ns/shop/sa/payments", "spiffe://example.org"]) {
      const spiffeId = parseSpiffeId(id);
      expect((await failureOf(authority.signX509Svid({ ...LEAF, spiffeId }))).code).toBe("SIGNING_FAILED");
      expect((await failureOf(authority.signJwtSvid({ ...TOKEN, spiffeId }))).code).toBe("SIGNING_FAILED");
    }
  });

  it.each([
    ["ECDSA-P384", "ES384"],
    ["RSA-3072", "PS256"],
  ] as const)("signs with %s and %s", async (keyAlgorithm, jwtAlgorithm) => {
    const world = worldOf();
    world.policy = { ...POLICY, keyAlgorithm, jwtAlgorithm };
    const { authority } = await opened(world);
    await authority.signX509Svid(LEAF);
    await authority.signJwtSvid(TOKEN);
    expect(authority.view().jwksJson).toContain(`"alg":"${jwtAlgorithm}"`);
  });

  it("is not ready before open and after close", async () => {
    const world = worldOf();
    expect([world.authority.isReady(), (await failureOf(world.authority.signX509Svid(LEAF))).code]).toEqual([
      false,
      "AUTHORITY_NOT_READY",
    ]);
    await world.authority.open();
    await world.authority.close();
    expect(world.authority.isReady()).toBe(false);
    expect(() => world.authority.view()).toThrow("not open");
  });
});

describe("Authority.close", () => {
  it("holds against a save that is under way", async () => {
    const { authority, stores } = await opened();
    const closing: Promise<void>[] = [];
    stores.beforeSave = () => void closing.push(authority.close());
    expect((await failureOf(authority.signX509Svid(LEAF))).code).toBe("AUTHORITY_NOT_READY");
    await Promise.all(closing);
    expect(authority.isReady()).toBe(false);
  });
});

describe("Authority.step", () => {
  it("asks for a look at what it has just published", async () => {
    const { authority } = await opened();
    const outcome = await authority.step(held(authority), { JWT: "a" });
    const prepared = authority.view().slots.at(-1)!;
    expect(outcome).toMatchObject({
      observe: [prepared.keyID],
      taken: [{ step: "Prepare", kind: "JWT", made: { keyID: prepared.keyID } }],
      waiting: [{ kind: "JWT", for: "consumers" }],
    });
    expect(authority.view().jwksJson).toContain(prepared.keyID);
    expect(authority.view().jwt.keyID).not.toBe(prepared.keyID);
  });

  it("rotates the JWT key: tokens of the old one stay provable until they end, then its key is gone", async () => {
    const world = await opened();
    const { authority, stores, clock } = world;
    const { token, keyID } = await authority.signJwtSvid({ ...TOKEN, ttl: seconds(1200) });
    await rotate(world, "JWT", "a");
    expect(slotsOf(stores.journal(), "JWT")).toEqual(["Retired", "Active"]);
    expect(stores.keys.has(keyID)).toBe(false);
    const keys = await importVerificationKeys(parseJwks(authority.view().jwksJson));
    expect(keys.has(keyID)).toBe(true);
    const options = { keys, trustDomain: POLICY.trustDomain, audience: "orders.shop" };
    expect(verifyJwtSvid(token.reveal(), { ...options, now: clock.now() }).keyID).toBe(keyID);
    clock.jump(600 + 74 + 61);
    await authority.step(held(authority), {});
    expect(authority.view().jwksJson).not.toContain(keyID);
  });

  it("drops a key that was never used as soon as it is replaced", async () => {
    const world = await opened();
    await rotate(world, "JWT", "a");
    expect(slotsOf(world.stores.journal(), "JWT")).toEqual(["Active"]);
  });

  it("rotates the root, then the issuing certificate under it, and drops the old root after the last leaf", async () => {
    const world = await opened();
    const { authority, stores, clock } = world;
    const old = await authority.signX509Svid(LEAF);
    const oldRoot = activeSlot(stores.journal()!, "Root")!;
    await rotate(world, "Root", "a");
    expect(slotsOf(stores.journal(), "Root")).toEqual(["Retired", "Active"]);
    expect(slotsOf(stores.journal(), "Issuing")).toEqual(["Active", "Prepared"]);
    expect(stores.keys.has(oldRoot.keyID)).toBe(false);

    const between = await authority.signX509Svid(LEAF);
    expect(between.authorityKeyID).toBe(old.authorityKeyID);
    clock.jump(POLICY.propagation);
    await authority.step(held(authority), {});
    const svid = await authority.signX509Svid(LEAF);
    expect(svid.authorityKeyID).not.toBe(old.authorityKeyID);
    const { trustDomain } = POLICY;
    for (const { chainPem } of [between, svid]) {
      const chain = parseCertificates(chainPem);
      expect(verifyX509Svid({ chain, roots: authority.view().roots, now: clock.now(), trustDomain })).toBe(
        PAYMENTS,
      );
    }
    // The leaf from between ends with its signedUntil, one step of 146 s later at most.
    clock.jump(600 + 146 + 61);
    await authority.step(held(authority), {});
    expect(slotsOf(stores.journal(), "Root")).toEqual(["Active"]);
    expect(slotsOf(stores.journal(), "Issuing")).toEqual(["Active"]);
  });

  it("decides nothing while the clock is behind the journal", async () => {
    const { authority, clock, stores } = await opened();
    clock.jump(-3600);
    const text = stores.journalText;
    expect(await authority.step(held(authority), { Root: "a" })).toMatchObject({
      taken: [],
      fault: { code: "ClockSkew" },
    });
    expect(stores.journalText).toBe(text);
  });

  it("gives up a prepared slot whose key has gone rather than activate it", async () => {
    const { authority, clock, stores } = await opened();
    await authority.step(undefined, { JWT: "a" });
    await authority.step(held(authority), {});
    stores.keys.delete(authority.view().slots.at(-1)!.keyID);
    clock.jump(POLICY.propagation);
    const { taken } = await authority.step(held(authority), {});
    expect(taken).toMatchObject([{ step: "Discard", reason: "KeyMissing" }]);
    await authority.signJwtSvid(TOKEN);
  });

  it("adopts a save of its own that seemed to fail", async () => {
    const { authority, stores } = await opened();
    await authority.signX509Svid(LEAF);
    // put, then the save that arrives without an answer
    stores.crash = { call: stores.calls + 2, when: "after" };
    expect((await failureOf(authority.step(undefined, { JWT: "a" }))).code).toBe("STORAGE_FAILED");
    expect(slotsOf(stores.journal(), "JWT")).toEqual(["Active", "Prepared"]);
    await authority.step(undefined, { JWT: "a" });
    expect(slotsOf(stores.journal(), "JWT")).toEqual(["Active", "Prepared"]);
    expect(authority.view().slots).toEqual(stores.journal()?.slots);
    expect([...stores.keys.keys()].sort()).toEqual(
      stores
        .journal()
        ?.slots.map(({ keyID }) => keyID)
        .sort(),
    );
  });

  it("changes nothing once another process has taken the journal over", async () => {
    const { authority, stores, clock } = await opened();
    const other = await opened(worldOf(stores, clock));
    const text = stores.journalText;
    expect((await failureOf(authority.step(undefined, { JWT: "a" }))).code).toBe("AUTHORITY_NOT_READY");
    expect(authority.isReady()).toBe(false);
    expect(stores.journalText).toBe(text);
    await other.authority.step(undefined, { JWT: "a" });
  });

  it("is deposed by a process that comes in between its read and its save", async () => {
    const { authority, stores, clock } = await opened();
    stores.beforeSave = () => {
      stores.beforeSave = () => {};
      stores.journalText = encodeJournal(takeOver(decodeJournal(stores.journalText!), [], clock.now()));
    };
    expect((await failureOf(authority.signX509Svid(LEAF))).message).toContain("epoch 2, ours was 1");
  });
});

describe("Authority.rebundle", () => {
  it("publishes foreign roots beside its own, in every document, once", async () => {
    const { authority, stores } = await opened();
    const key = await generateKey("ECDSA-P384");
    const { trustDomain } = POLICY;
    const life = { notBefore: START, notAfter: seconds(START + 9000), random: fakeRandom(3) };
    const foreign = await signRoot({ trustDomain, key, ...life });
    expect(await authority.rebundle(`\n${foreign}`)).toBe(true);
    expect(await authority.rebundle(foreign)).toBe(false);
    expect(authority.view()).toMatchObject({ sequence: 2, caPem: expect.stringContaining(foreign) });
    expect(parseBundle(authority.view().bundleJson, trustDomain).x509Authorities).toHaveLength(2);
    const next = await opened(worldOf(stores));
    expect(next.authority.view().caPem).toContain(foreign);
    expect(await next.authority.rebundle("")).toBe(true);
    expect(next.authority.view().roots).toHaveLength(1);
  });

  it("refuses a leaf", async () => {
    const { authority } = await opened();
    const { leaf } = await authority.signX509Svid(LEAF);
    const error = await failureOf(authority.rebundle(leaf.pem()));
    expect(error.details).toMatchObject({ field: "spec.bundle.additionalRoots[0]" });
  });
});

describe("Authority, killed at every call of its stores", () => {
  /** Bootstrap, sign, rotate everything, sign. Gives the number of store calls. */
  async function life(world: World): Promise<void> {
    await opened(world);
    await world.authority.signX509Svid(LEAF);
    await world.authority.signJwtSvid(TOKEN);
    await rotate(world, "Root", "a");
    await rotate(world, "JWT", "b");
    await world.authority.step(held(world.authority), {});
    await world.authority.signX509Svid(LEAF);
  }

  async function killedAt(crash: Crash | undefined): Promise<MemoryStores> {
    const world = worldOf();
    world.stores.crash = crash;
    try {
      await life(world);
    } catch (error) {
      if (!(error instanceof OperatorError) || error.code !== "STORAGE_FAILED") throw error;
    }
    const { stores, clock } = world;
    stores.crash = undefined;
    const before = stores.journal();
    const again = await opened(worldOf(stores, clock));
    if (before !== undefined) expect(again.authority.view().slots).toEqual(before.slots);
    const chain = parseCertificates((await again.authority.signX509Svid(LEAF)).chainPem);
    const { trustDomain } = POLICY;
    verifyX509Svid({ chain, roots: again.authority.view().roots, now: clock.now(), trustDomain });
    await again.authority.signJwtSvid(TOKEN);
    const needed = stores.journal()!.slots.filter(({ state }) => state !== "Retired");
    expect([...stores.keys.keys()].sort()).toEqual(needed.map(({ keyID }) => keyID).sort());
    return stores;
  }

  it("has the same authorities when it is opened again, and only the keys that it needs", async () => {
    const { calls } = await killedAt(undefined);
    for (const when of ["before", "after"] as const) {
      for (let call = 1; call <= calls; call++) await killedAt({ call, when });
    }
    expect(calls).toBeGreaterThan(30);
  });
});
