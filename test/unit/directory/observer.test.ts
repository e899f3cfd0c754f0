import { readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { Slot } from "../../../src/authority/slot.ts";
import { ObjectStore } from "../../../src/directory/object-store.ts";
import { directoryObserver } from "../../../src/directory/observer.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { keyID } from "../../support/authority-fakes.ts";
import { makePki, type Pki } from "../../support/certificates.ts";
import { BUNDLE, bundleOf, NEVER, SECRET, scratch, secretOf } from "../../support/directory.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";

const TOKENS = { kind: "Secret", namespace: "shop", name: "payments-jwt" } as const;
const JWT = keyID("jwt1");
const jwks = (...keys: readonly KeyId[]): string => JSON.stringify({ keys: keys.map((kid) => ({ kid })) });

type Looked = Pick<Slot, "kind" | "keyID">;

describe("the observer of a directory", () => {
  let old: Pki;
  let fresh: Pki;
  let place: ReturnType<typeof scratch>;
  let store: ObjectStore;

  beforeAll(async () => {
    [old, fresh] = await Promise.all([makePki(), makePki()]);
  });

  beforeEach(() => {
    place = scratch();
    store = new ObjectStore({ out: place.dir, gid: undefined, clock: new FakeClock(), random: fakeRandom() });
  });

  afterEach(() => place[Symbol.dispose]());

  const root = (pki: Pki): Looked => ({ kind: "Root", keyID: pki.root.subjectKeyID as KeyId });
  const jwt: Looked = { kind: "JWT", keyID: JWT };
  /** Who lacks each key, in the order of the keys. */
  const lacking = async (...slots: readonly Looked[]): Promise<readonly (readonly string[])[]> => {
    const seen = await directoryObserver(store).look(slots);
    return slots.map((slot) => seen.lacking.get(slot.keyID) ?? ["not looked for"]);
  };

  it("names who lacks a root, and counts everyone", async () => {
    await store.apply(secretOf("uid-1", { "ca.crt": old.rootPem }), NEVER);
    await store.apply(
      bundleOf("uid-td", { "ca.crt": old.rootPem + fresh.rootPem, "jwks.json": jwks(JWT) }),
      NEVER,
    );
    expect(await lacking(root(old), root(fresh), jwt)).toEqual([[], ["Secret shop/payments-tls"], []]);
    expect((await directoryObserver(store).look([jwt])).consumers).toBe(2);
  });

  it("names who lacks a JWT key, and asks nobody who carries no JWKS", async () => {
    await store.apply(secretOf("uid-1", { "ca.crt": old.rootPem }), NEVER);
    await store.apply(secretOf("uid-1", { "jwks.json": jwks() }, TOKENS), NEVER);
    expect(await lacking(jwt, root(old))).toEqual([["Secret shop/payments-jwt"], []]);
  });

  it("believes the disk, not what was written", async () => {
    await store.apply(bundleOf("uid-td", { "ca.crt": old.rootPem, "jwks.json": jwks(JWT) }), NEVER);
    const revision = readlinkSync(join(store.pathOf(BUNDLE), "..data"));
    writeFileSync(join(store.pathOf(BUNDLE), revision, "ca.crt"), fresh.rootPem);
    expect(await lacking(root(old), root(fresh))).toEqual([["ConfigMap shop/meshid-bundle"], []]);
  });

  it("takes a root that only bears the name and is not readable for one that is not there", async () => {
    await store.apply(
      bundleOf("uid-td", { "ca.crt": "-----BEGIN CERTIFICATE-----\nx", "jwks.json": "{" }),
      NEVER,
    );
    expect(await lacking(root(old), jwt)).toEqual([
      ["ConfigMap shop/meshid-bundle"],
      ["ConfigMap shop/meshid-bundle"],
    ]);
  });

  it("counts nobody who is gone", async () => {
    await store.apply(secretOf("uid-1", { "ca.crt": old.rootPem }), NEVER);
    rmSync(store.pathOf(SECRET), { recursive: true });
    expect(await directoryObserver(store).look([root(fresh)])).toEqual({
      lacking: new Map([[root(fresh).keyID, []]]),
      consumers: 0,
    });
  });

  it("looks for nothing that it was not asked for", async () => {
    await store.apply(secretOf("uid-1", { "ca.crt": old.rootPem }), NEVER);
    expect((await directoryObserver(store).look([])).lacking.size).toBe(0);
  });
});
