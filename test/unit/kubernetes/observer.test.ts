import { beforeEach, describe, expect, it } from "@jest/globals";
import { Refusals, withoutRefusing } from "../../../src/controller/refusals.ts";
import { seconds } from "../../../src/core/brand.ts";
import type { Cluster } from "../../../src/kubernetes/cluster.ts";
import { clusterObserver } from "../../../src/kubernetes/observer.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import { keyID } from "../../support/authority-fakes.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const PROPAGATION = seconds(60);
const KEY = keyID("root2");

/** Only what an observer asks for. `owned`: the Secrets of each identity, none of which carries the key. */
function clusterOf(owned: ReadonlyMap<string, readonly string[]>): Cluster {
  const secrets = new Map([...owned.values()].flat().map((name) => [name, refOf(name)] as const));
  return {
    trustDomain: () => ({ metadata: { uid: "td" } }),
    bundleNamespaces: () => [],
    identities: () => [...owned.keys()].map((uid) => ({ metadata: { uid, namespace: "shop" } })),
    objects: {
      ownedBy: (uid: string) => (owned.get(uid) ?? []).map(refOf),
      secret: (_namespace: string, name: string) => ({ ref: secrets.get(name), bundleHash: "old" }),
      authorities: () => ({ roots: new Set(), jwt: undefined }),
    },
  } as unknown as Cluster;
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

  it("still waits for those that it does not name where all that it names are left out", async () => {
    const decoys = Array.from({ length: 10_000 }, (_, n) => `decoy${n}`);
    const observer = clusterObserver(
      clusterOf(
        new Map([
          ["tenant", decoys],
          ["honest", ["payments-tls"]],
        ]),
      ),
      () => "meshid-bundle",
    );
    for (let round = 0; round < 4; round++) {
      for (const name of decoys) refusals.note(`Secret shop/${name}`, "cannot be written");
      if (round < 3) clock.jump(60);
    }
    const seen = await observer.look([{ kind: "Root", keyID: KEY }]);
    const left = withoutRefusing(seen, (consumer) => refusals.of(consumer), PROPAGATION);
    expect(left.excluded).toHaveLength(10_000);
    expect(left.lacking.get(KEY)).toEqual(["more than 10000 consumers"]);
  });
});
