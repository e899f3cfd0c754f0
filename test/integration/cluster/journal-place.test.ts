import { beforeAll, expect, it } from "@jest/globals";
import { secretJournalPlace } from "../../../src/kubernetes/journal-place.ts";
import { type KubeObject, secretContent } from "../../../src/kubernetes/objects.ts";
import { SECRETS } from "../../../src/kubernetes/resources.ts";
import { journalOf } from "../../support/authority-fakes.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import type { ControlPlane } from "../../support/control-plane/types.ts";
import { must } from "../../support/controller-process.ts";
import { NEVER } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { describeJournalPlace, type PlaceUnderTest } from "../../support/journal-place-contract.ts";
import { handsOf } from "../../support/kubernetes/cluster-harness.ts";
import { asAdmin } from "../../support/kubernetes/connected.ts";

describeCluster("the journal's place in the operator's namespace", () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await controlPlane();
  });

  async function open(): Promise<PlaceUnderTest & { readonly namespace: string }> {
    const namespace = await plane.makeNamespace();
    const admin = await asAdmin(plane);
    const hands = handsOf(plane);
    let stamps = 0;
    const textOf = async (name: string): Promise<string | undefined> => {
      const object: KubeObject | undefined = await hands.get(SECRETS, namespace, name);
      const bytes = object === undefined ? undefined : secretContent(object)["journal.json"];
      return bytes === undefined ? undefined : Buffer.from(bytes).toString();
    };
    return {
      namespace,
      place: () =>
        secretJournalPlace(
          { client: admin.client, namespace, fence: () => {}, signal: NEVER },
          () => `stamp${++stamps}`,
        ),
      read: () => textOf("meshid-authority"),
      write: async (text) => {
        await must(plane, {
          method: "POST",
          path: `/api/v1/namespaces/${namespace}/secrets`,
          body: {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: "meshid-authority" },
            type: "Opaque",
            data: { "journal.json": Buffer.from(text).toString("base64") },
          },
        });
      },
      kept: (at) => textOf(at.replace(`Secret ${namespace}/`, "")),
      [Symbol.asyncDispose]: async () => admin[Symbol.dispose](),
    };
  }

  describeJournalPlace(open);

  it("lets one of two restores through, and has a journal at every instant", async () => {
    await using under = await open();
    await under.write("damaged");
    const places = [under.place(), under.place()];
    const found = await Promise.all(places.map((place) => place.look()));
    const enough = new AbortController();
    const looking = (async (): Promise<number> => {
      let missing = 0;
      while (!enough.signal.aborted) if ((await under.read()) === undefined) missing++;
      return missing;
    })();
    const ends = await Promise.all(
      places.map((place, index) =>
        codeOf(place.replace(found[index] ?? { kind: "none" }, journalOf({ revision: index + 1 }))),
      ),
    );
    enough.abort();
    expect(ends.toSorted()).toEqual(["CONFLICT", "accepted"]);
    expect(await looking).toBe(0);
  });
});
