import { describe, expect, it } from "@jest/globals";
import { Secret } from "../../../src/core/secret.ts";
import { KubeApplier } from "../../../src/kubernetes/applier.ts";
import { KubeApiError } from "../../../src/kubernetes/errors.ts";
import type { KubeObject } from "../../../src/kubernetes/objects.ts";
import { ObservedObjects } from "../../../src/kubernetes/observed-objects.ts";
import { NEVER, SECRET, secretOf } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { type Answer, objectOf, ScriptedClient } from "../../support/kubernetes/scripted.ts";

const CONFLICT = new KubeApiError(409, "Conflict", "the object has been modified");
const OURS = objectOf("payments-tls", 5, {
  ownerReferences: [
    {
      apiVersion: "meshid.dev/v1alpha1",
      kind: "ServiceIdentity",
      name: "payments",
      uid: "uid-1",
      controller: true,
    },
  ],
});

function start(answers: readonly Answer[], known?: KubeObject) {
  const client = new ScriptedClient(answers);
  const objects = new ObservedObjects();
  if (known !== undefined) objects.set("Secret", known);
  return { client, objects, applier: new KubeApplier({ client, objects, fence: () => {} }) };
}

describe("KubeApplier", () => {
  it("gives up for this time when an object changes hands again and again", async () => {
    const { applier, client } = start([CONFLICT, OURS, CONFLICT]);
    const attempt = applier.apply(secretOf("uid-1", {}), NEVER);
    await expect(attempt).rejects.toMatchObject({ code: "CONFLICT", retryable: true });
    expect(client.requests.map(({ method }) => method)).toEqual(["PATCH", "GET", "PATCH"]);
  });

  it("creates anew what was deleted between the refusal and the look at it", async () => {
    const gone = new KubeApiError(404, "NotFound", "not found");
    const { applier, client } = start([CONFLICT, gone, OURS], OURS);
    await applier.apply(secretOf("uid-1", {}), NEVER);
    const [first, , last] = client.requests;
    expect(first?.query?.["force"]).toBe("true");
    expect(last?.query?.["force"]).toBeUndefined();
    expect(last?.body).toMatchObject({ metadata: { resourceVersion: "1" } });
  });

  it("takes a refusal of another uid for a lost object, and one of something else for the server's own", async () => {
    const uid = new KubeApiError(422, "Invalid", 'metadata.uid: Invalid value: "uid-2": field is immutable');
    const lost = start([uid, OURS, OURS], OURS);
    await lost.applier.apply(secretOf("uid-1", {}), NEVER);
    expect(lost.client.requests).toHaveLength(3);
    const other = start([new KubeApiError(422, "Invalid", "data[x]: Invalid value")], OURS);
    expect(await codeOf(other.applier.apply(secretOf("uid-1", {}), NEVER))).toBe("WRITE_REFUSED");
  });

  it("passes on what the server could not do now", async () => {
    const busy = new KubeApiError(503, "ServiceUnavailable", "etcdserver: leader changed");
    for (const answers of [[busy], [CONFLICT, busy]]) {
      const attempt = start(answers).applier.apply(secretOf("uid-1", {}), NEVER);
      await expect(attempt).rejects.toMatchObject({ code: "STORAGE_FAILED", retryable: true });
    }
  });

  it("asks nothing about an object that it knows to be another's", async () => {
    const { applier, client } = start([OURS], OURS);
    expect(await codeOf(applier.apply(secretOf("uid-2", {}), NEVER))).toBe("NOT_OWNED");
    await applier.prune(SECRET, "uid-2", NEVER);
    expect(client.requests).toEqual([]);
  });

  it.each([
    [404, undefined],
    [409, undefined],
    [500, "uid-payments-tls"],
  ])("prunes with the uid in hand; after a %d it knows %s", async (status, known) => {
    const { applier, client, objects } = start([new KubeApiError(status, "", "no")], OURS);
    const end = await codeOf(applier.prune(SECRET, "uid-1", NEVER));
    expect(end).toBe(known === undefined ? "accepted" : "STORAGE_FAILED");
    expect(client.requests[0]?.body).toEqual({ preconditions: { uid: "uid-payments-tls" } });
    expect(objects.uidOf(SECRET)).toBe(known);
  });

  it("amends nothing of what another owns, and never without the version that it has read", async () => {
    const set = new Secret({ "ca.crt": Buffer.from("ca") });
    const change = { ref: SECRET, ownerUid: "uid-1", set, remove: [], annotations: {} };
    const { applier, client } = start([OURS]);
    await applier.amend(change, NEVER);
    expect(client.requests[1]?.body).toMatchObject({
      metadata: { uid: "uid-payments-tls", resourceVersion: "5" },
    });
    const foreign = start([OURS]);
    expect(await codeOf(foreign.applier.amend({ ...change, ownerUid: "uid-2" }, NEVER))).toBe("NOT_OWNED");
    expect(foreign.client.requests).toHaveLength(1);
  });
});
