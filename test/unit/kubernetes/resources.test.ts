import { expect, it } from "@jest/globals";
import { Cluster } from "../../../src/kubernetes/cluster.ts";
import { WATCHED } from "../../../src/kubernetes/resources.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { ScriptedClient } from "../../support/kubernetes/scripted.ts";

it("lists what a cluster is followed by, for metrics that are there before the first event", () => {
  const cluster = new Cluster({
    client: new ScriptedClient([]),
    clock: new FakeClock(),
    random: fakeRandom(),
    trustDomain: parseTrustDomain("example.org"),
    operatorNamespace: "meshid-system",
    watchNamespaces: undefined,
    meshRootNamespace: "istio-system",
    onOperatorSecret: () => {},
    onRelist: () => {},
    onError: () => {},
  });
  const followed = new Set(cluster.silences.map(({ resource }) => resource));
  expect([...followed].sort()).toEqual(WATCHED.map(({ plural }) => plural).sort());
});
