import { describe, expect, it } from "@jest/globals";
import { clusterVault } from "../../../../src/app/cluster-cli/vault.ts";
import { publishedKeys } from "../../../../src/app/recovery/vault.ts";
import { seconds } from "../../../../src/core/brand.ts";
import { toRfc3339 } from "../../../../src/core/clock.ts";
import type { KubeRequest } from "../../../../src/kubernetes/client.ts";
import { NOW } from "../../../support/cli.ts";
import { trustDomain } from "../../../support/doctor-facts.ts";
import { codeOf } from "../../../support/errors.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { type Answer, fakeSession } from "../../../support/fake-session.ts";

const DEPLOYMENTS = "/apis/apps/v1/deployments";
const DOMAINS = "/apis/meshid.dev/v1alpha1/trustdomains";
const io = { clock: new FakeClock(NOW) };

const listOf = (...items: readonly unknown[]): Answer => ({ body: { metadata: {}, items } });
const deployment = (namespace: string): unknown => ({ metadata: { name: "meshid", namespace } });

/** An API server an hour ahead of this machine. */
function session(answers: Readonly<Record<string, Answer>>): ReturnType<typeof fakeSession> {
  const date = new Date((NOW + 3600) * 1000).toUTCString();
  return fakeSession(({ path }: KubeRequest) => {
    if (path === "/version") return { body: {}, date };
    return answers[path] ?? (path === DEPLOYMENTS ? listOf(deployment("ids")) : undefined);
  });
}

describe("what a cluster keeps of an authority", () => {
  it("is in the namespace of the controller's Deployment", async () => {
    const vault = await clusterVault(session({}).session, undefined, io);
    expect(vault.place).toBe("namespace ids of https://api.test:6443/");
    expect(vault.context).toMatchObject({ mode: "cluster", operatorNamespace: "ids" });
    expect(vault.moveAway).toBe("kubectl -n ids delete secret meshid-authority");
  });

  it("is in the namespace that is named, and in meshid's usual one where no Deployment can be seen", async () => {
    const api = session({ [DEPLOYMENTS]: { status: 403 } });
    expect((await clusterVault(api.session, "here", io)).context.operatorNamespace).toBe("here");
    expect((await clusterVault(api.session, undefined, io)).context.operatorNamespace).toBe("meshid-system");
  });

  it("is not guessed at where there are two controllers", async () => {
    const api = session({ [DEPLOYMENTS]: listOf(deployment("a"), deployment("b")) });
    expect(await codeOf(clusterVault(api.session, undefined, io))).toBe("INVALID_CONFIGURATION");
  });

  it("is dated by the API server's clock, and not by this machine's", async () => {
    const { clock } = await clusterVault(session({}).session, undefined, io);
    expect(toRfc3339(clock.now())).toBe(toRfc3339(seconds(NOW + 3600)));
  });

  it("is compared with the TrustDomain's status and the operator's own bundle, whichever is ahead", async () => {
    const bundle = { data: { "bundle.json": '{"spiffe_sequence": 9}' } };
    const authorities = [
      { kind: "Root", keyID: "aa", state: "Retired", signedUntil: toRfc3339(seconds(NOW + 5)) },
    ];
    const { metadata, spec } = trustDomain();
    for (const [sequence, highest] of [
      [7, 9],
      [12, 12],
    ]) {
      const domain = { metadata, spec, status: { bundle: { sequence }, authorities } };
      const api = session({
        [DOMAINS]: listOf(domain),
        "/api/v1/namespaces/ids/configmaps/meshid-bundle": { body: { metadata: {}, ...bundle } },
      });
      const published = await (await clusterVault(api.session, undefined, io)).published();
      expect(published.sequence).toBe(highest);
      expect(publishedKeys(published)).toEqual([
        { kind: "Root", keyID: "aa", state: "Retired", signedUntil: NOW + 5 },
      ]);
    }
  });

  it("is compared with nothing where there is no TrustDomain yet", async () => {
    const api = session({
      [DOMAINS]: listOf(),
      "/api/v1/namespaces/ids/configmaps/meshid-bundle": { status: 404 },
    });
    const published = await (await clusterVault(api.session, undefined, io)).published();
    expect([published, publishedKeys(published)]).toEqual([{ trustDomain: undefined, sequence: 0 }, []]);
  });
});
