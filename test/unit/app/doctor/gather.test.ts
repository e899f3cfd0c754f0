import { describe, expect, it } from "@jest/globals";
import { examine } from "../../../../src/app/doctor/checks.ts";
import type { Facts } from "../../../../src/app/doctor/facts.ts";
import { gatherFacts } from "../../../../src/app/doctor/gather.ts";
import { milliseconds, seconds } from "../../../../src/core/brand.ts";
import { type Clock, toRfc3339 } from "../../../../src/core/clock.ts";
import type { KubeRequest } from "../../../../src/kubernetes/client.ts";
import { NOW } from "../../../support/cli.ts";
import { type Answer, fakeSession } from "../../../support/fake-session.ts";

/** Time passes by sleeping only. */
function steppingClock(): Clock {
  let passed = 0;
  return {
    now: () => seconds(Math.floor(NOW + passed / 1000)),
    monotonic: () => milliseconds(passed),
    sleep: (length) => {
      passed += length;
      return Promise.resolve();
    },
  };
}

type Answers = (request: KubeRequest, now: number) => Answer | undefined;

const VERSION = { gitVersion: "v1.37.2" };
const EMPTY = { metadata: {}, items: [] };
const DEPLOYMENT = { metadata: { namespace: "meshid-system", name: "meshid" }, spec: {}, status: {} };

async function gather(answers: Answers, scope?: string): Promise<Facts> {
  const clock = steppingClock();
  const { session } = fakeSession((request) => {
    const date = new Date(clock.now() * 1000).toUTCString();
    if (request.path === "/version") return { body: VERSION, date };
    const answer = answers(request, clock.now());
    return answer !== undefined && typeof answer === "object" && "body" in answer
      ? { ...answer, date }
      : answer;
  });
  return gatherFacts(session, { scope, operatorNamespace: undefined, cliVersion: "0.1.0" }, { clock });
}

function lease(holder: string, renewTime: number): Answer {
  const spec = {
    holderIdentity: holder,
    leaseDurationSeconds: 15,
    renewTime: toRfc3339(seconds(renewTime)).replace("Z", ".000000Z"),
  };
  return { body: { metadata: {}, spec } };
}

describe("gathering facts", () => {
  it("asks for nothing that changes anything, and for no content of a Secret", async () => {
    const requests: KubeRequest[] = [];
    await gather((request) => {
      requests.push(request);
      if (request.path === "/apis/apps/v1/deployments")
        return { body: { metadata: {}, items: [DEPLOYMENT] } };
      if (request.method === "POST") return { body: { status: { allowed: true } } };
      return request.path.endsWith("/meshid") ? undefined : { body: EMPTY };
    });
    const writes = requests.filter(({ method }) => method !== "GET").map(({ path }) => path);
    expect(writes.length).toBeGreaterThan(10);
    for (const path of writes)
      expect(path).toMatch(/\/(selfsubjectreviews|subjectaccessreviews|selfsubjectaccessreviews)$/);
    const secrets = requests.filter(({ path }) => path.includes("/secrets"));
    expect(secrets.length).toBeGreaterThan(0);
    for (const { accept } of secrets) expect(accept).toContain("PartialObjectMetadata");
  });

  it("goes on where the user may read nothing", async () => {
    const facts = await gather(() => ({ status: 403, reason: "Forbidden" }), "shop");
    const findings = examine(facts);
    expect(findings.filter(({ result }) => result === "failed")).toEqual([]);
    expect(findings.find(({ name }) => name === "crds")).toEqual({
      name: "crds",
      result: "skipped",
      message: "you may not read CustomResourceDefinitions",
    });
  });

  it("fails where single requests get no answer", async () => {
    const facts = await gather(({ path }) => {
      if (path.endsWith("/meshid")) return undefined;
      return path.endsWith("/configmaps") ? "unreachable" : { body: EMPTY };
    });
    expect(examine(facts).find(({ name }) => name === "api-server")).toMatchObject({
      result: "failed",
      affected: ["list ConfigMaps in all namespaces"],
    });
  });

  it("cannot begin where the first gets none", async () => {
    const { session } = fakeSession(() => "unreachable");
    const options = { scope: undefined, operatorNamespace: undefined, cliVersion: "0.1.0" };
    await expect(gatherFacts(session, options, { clock: steppingClock() })).rejects.toMatchObject({
      code: "CLUSTER_UNREACHABLE",
    });
  });
});

describe("watching the Lease", () => {
  const leaseOf = async (at: (now: number) => Answer): Promise<Facts["lease"]> =>
    (await gather(({ path }, now) => (path.endsWith("/leases/meshid") ? at(now) : { body: EMPTY }))).lease;

  it("sees a holder that lives by its renewals, however wrong its clock is", async () => {
    const skewed = await leaseOf((now) => lease("meshid-1", now - 300));
    expect(skewed).toMatchObject({ value: { holder: "meshid-1", isRenewed: true, skew: -300 } });
  });

  it("does not take a fresh time for a sign of life", async () => {
    const frozen = await leaseOf(() => lease("meshid-1", NOW));
    expect(frozen).toMatchObject({ value: { isRenewed: false, skew: undefined } });
  });

  it("sees another replica take a Lease over that was given up", async () => {
    const taken = await leaseOf((now) => (now < NOW + 10 ? lease("", NOW) : lease("meshid-2", now)));
    expect(taken).toMatchObject({ value: { holder: "meshid-2", isRenewed: true } });
  });

  it("sees that there is none", async () => {
    expect(await leaseOf(() => ({ status: 404, reason: "NotFound" }))).toEqual({
      known: true,
      value: undefined,
    });
  });
});
