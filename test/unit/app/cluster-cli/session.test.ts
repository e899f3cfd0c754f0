import { describe, expect, it } from "@jest/globals";
import { asksCluster } from "../../../../src/app/cluster-cli/mode.ts";
import { getObject, isUnknownKind, listObjects } from "../../../../src/app/cluster-cli/objects.ts";
import { isForbidden } from "../../../../src/app/cluster-cli/session.ts";
import type { GivenOption } from "../../../../src/app/options.ts";
import { isOperatorError } from "../../../../src/core/errors.ts";
import { SECRETS, SERVICE_IDENTITIES } from "../../../../src/kubernetes/resources.ts";
import { cli } from "../../../support/cli.ts";
import { type Answer, fakeSession } from "../../../support/fake-session.ts";

describe("asksCluster", () => {
  const given = (...froms: readonly string[]): ReadonlyMap<string, GivenOption> =>
    new Map(
      froms.map((from) => {
        const name = from.toLowerCase().replace(/^--|^meshid_/, "");
        return [name, { from, value: "x" }] as const;
      }),
    );

  it.each<[asks: boolean, options: readonly string[]]>([
    [true, []],
    [true, ["KUBECONFIG"]],
    [true, ["--kubeconfig"]],
    [true, ["--context", "--namespace"]],
    [false, ["--out"]],
    [false, ["--state"]],
    [false, ["MESHID_OUT"]],
    [false, ["MESHID_STATE", "KUBECONFIG"]],
    [false, ["--out", "KUBECONFIG"]],
    [true, ["MESHID_OUT", "--kubeconfig"]],
    [true, ["MESHID_STATE", "MESHID_OUT", "--context"]],
  ])("says %s for %j", (asks, options) => {
    expect(asksCluster(given(...options))).toBe(asks);
  });

  it.each([
    [["--out", "--kubeconfig"], "--kubeconfig: cannot be used with --out"],
    [["--state", "--context"], "--context: cannot be used with --state"],
    [["MESHID_OUT", "--state", "KUBECONFIG", "--context"], "--context: cannot be used with --state"],
  ])("refuses %j", (options, message) => {
    expect(() => asksCluster(given(...options))).toThrow(message);
  });

  it("is said in the help of each command that knows both", async () => {
    for (const command of ["status", "renew", "rotate"]) {
      const { stdout } = await cli([command, "--help"]);
      expect(stdout).toContain("With --out or --state (MESHID_OUT, MESHID_STATE) it asks the meshid local");
    }
  });
});

describe("a session", () => {
  const ask = async (answer: Answer | undefined): Promise<unknown> => {
    const { session } = fakeSession(() => answer);
    return session.request({ method: "GET", path: "/version" }).catch((error: unknown) => error);
  };

  it.each<[what: string, answer: Answer, message: RegExp]>([
    [
      "no answer",
      "unreachable",
      /^the API server at https:\/\/api\.test:6443\/ cannot be reached: connect ECONNREFUSED$/,
    ],
    [
      "a user that is unknown",
      { status: 401, reason: "Unauthorized" },
      /does not know who asks \(401 Unauthorized\)/,
    ],
    ["a server that is overwhelmed", { status: 429 }, /cannot serve: GET \/version: HTTP 429/],
    ["a server without its store", { status: 503 }, /cannot serve/],
  ])("calls the cluster unreachable for %s", async (_, answer, message) => {
    const error = await ask(answer);
    expect(isOperatorError(error, "CLUSTER_UNREACHABLE")).toBe(true);
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
  });

  it("leaves every other answer as it is", async () => {
    expect(isForbidden(await ask({ status: 403 }))).toBe(true);
    expect(isUnknownKind(await ask(undefined))).toBe(true);
    expect(isUnknownKind(await ask({ status: 404, reason: "NotFound" }))).toBe(false);
  });

  it("gives a person's patience to each request", async () => {
    const { session, requests } = fakeSession(() => ({ body: {} }));
    await session.request({ method: "GET", path: "/version" });
    expect(requests[0]).toMatchObject({ deadline: 10_000 });
  });
});

describe("reading objects", () => {
  it("takes all pages of a list", async () => {
    const { session, requests } = fakeSession(({ query }) => {
      const isLast = query?.["continue"] === "more";
      const metadata = isLast ? {} : { continue: "more" };
      return { body: { metadata, items: [{ metadata: { name: isLast ? "b" : "a" } }] } };
    });
    const found = await listObjects(session, SERVICE_IDENTITIES, { namespace: "shop" });
    expect(found.map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
    expect(requests.map(({ query }) => query?.["limit"])).toEqual(["500", "500"]);
  });

  it("takes fewer at once where they are too large together, down to a single one", async () => {
    const { session, requests } = fakeSession(({ query }) =>
      Number(query?.["limit"]) > 1
        ? "too large"
        : { body: { metadata: {}, items: [{ metadata: { name: "a" } }] } },
    );
    expect(await listObjects(session, SERVICE_IDENTITIES)).toHaveLength(1);
    expect(requests.map(({ query }) => query?.["limit"])).toEqual(["500", "63", "8", "1"]);
    const { session: other } = fakeSession(() => "too large");
    await expect(listObjects(other, SERVICE_IDENTITIES)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  });

  it("ends a list that does not end", async () => {
    const { session } = fakeSession(() => ({ body: { metadata: { continue: "more" } } }));
    await expect(listObjects(session, SERVICE_IDENTITIES)).rejects.toThrow("more than 200000 objects");
  });

  it("asks for no content where none is needed", async () => {
    const { session, requests } = fakeSession(() => ({ body: { metadata: {}, items: [] } }));
    await listObjects(session, SECRETS, { metadataOnly: true });
    expect(requests[0]?.accept).toContain("PartialObjectMetadataList");
  });

  it("tells an object that is not there from a kind that is not", async () => {
    const at = { namespace: "shop", name: "payments" };
    const absent = fakeSession(() => ({ status: 404, reason: "NotFound" }));
    expect(await getObject(absent.session, SERVICE_IDENTITIES, at)).toBeUndefined();
    const unknown = fakeSession(() => undefined);
    await expect(getObject(unknown.session, SERVICE_IDENTITIES, at)).rejects.toMatchObject({ status: 404 });
  });
});
