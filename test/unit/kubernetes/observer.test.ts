import { beforeEach, describe, expect, it } from "@jest/globals";
import type { Observer } from "../../../src/controller/ports.ts";
import { Refusals, withoutRefusing } from "../../../src/controller/refusals.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { Cluster } from "../../../src/kubernetes/cluster.ts";
import { clusterObserver } from "../../../src/kubernetes/observer.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import { keyID } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const PROPAGATION = seconds(60);
const KEY = keyID("root2");

/** Only what an observer asks for. `owned`: by identity, Secrets of which none carries the key. */
function clusterOf(owned: ReadonlyMap<string, readonly string[]>): Cluster {
  const metadata = (name: string): object => ({ uid: name, namespace: "shop", name });
  return {
    trustDomain: () => ({ metadata: { uid: "td" } }),
    bundleNamespaces: () => [],
    identities: () => [...owned.keys()].map((name) => ({ metadata: metadata(name), spec: {} })),
    objects: {
      ownedBy: (uid: string) => (owned.get(uid) ?? []).map(refOf),
      secret: (_namespace: string, name: string) => ({ ref: refOf(name), bundleHash: "old" }),
      authorities: () => ({ roots: new Set(), jwt: undefined }),
    },
  } as unknown as Cluster;
}

function observerOf(owned: ReadonlyMap<string, readonly string[]>): Observer {
  return clusterObserver(clusterOf(owned), () => "meshid-bundle");
}

function refOf(name: string): ObjectRef {
  return { kind: "Secret", namespace: "shop", name };
}

describe("clusterObserver", () => {
  let clock: FakeClock;
  let refusals: Refusals;

  beforeEach(() => {
    clock = new FakeClock();
    refusals = new Refusals(clock);
  });

  it("waits for no Secret that an identity has no use for, whatever says that it is the identity's", async () => {
    const observer = observerOf(new Map([["payments", ["decoy", "payments-tls", "payments-jwt"]]]));
    const seen = await observer.look([{ kind: "Root", keyID: KEY }]);
    expect(seen.lacking.get(KEY)).toEqual(["Secret shop/payments-tls", "Secret shop/payments-jwt"]);
  });

  it("still waits for those that it does not name where all that it names are left out", async () => {
    const decoys = Array.from({ length: 10_000 }, (_, n) => `decoy${n}`);
    const names = [...decoys, "payments"];
    const observer = observerOf(new Map(names.map((name) => [name, [`${name}-tls`]])));
    for (let round = 0; round < 4; round++) {
      for (const name of decoys) refusals.note(`Secret shop/${name}-tls`, "cannot be written");
      if (round < 3) clock.jump(60);
    }
    const seen = await observer.look([{ kind: "Root", keyID: KEY }]);
    const refusalOf = refusals.of.bind(refusals);
    const left = withoutRefusing(seen, { refusalOf, propagation: PROPAGATION, namespaces: 2 });
    expect(left.excluded).toHaveLength(10_000);
    expect(left.lacking.get(KEY)).toEqual(["more than 10000 consumers"]);
  });
});
