import { describe, expect, it } from "@jest/globals";
import { clusterRenew } from "../../../../src/app/cluster-cli/renew.ts";
import { clusterRotate } from "../../../../src/app/cluster-cli/rotate.ts";
import type { ClusterSession } from "../../../../src/app/cluster-cli/session.ts";
import { clusterStatus } from "../../../../src/app/cluster-cli/status.ts";
import type { Io } from "../../../../src/app/io.ts";
import type { GivenOption, GivenOptions } from "../../../../src/app/options.ts";
import { milliseconds } from "../../../../src/core/brand.ts";
import { messageOf } from "../../../../src/core/errors.ts";
import { systemRandom } from "../../../../src/core/random.ts";
import type { KubeRequest } from "../../../../src/kubernetes/client.ts";
import { NOW } from "../../../support/cli.ts";
import { condition, identityFact, trustDomain } from "../../../support/doctor-facts.ts";
import { type Answer, type FakeSession, fakeSession } from "../../../support/fake-session.ts";

const API = "/apis/meshid.dev/v1alpha1";
const ALL = `${API}/serviceidentities`;
const SHOP = `${API}/namespaces/shop/serviceidentities`;
const DOMAINS = `${API}/trustdomains`;

const payments = identityFact().identity;
const domain = trustDomain();
const listOf = (...items: readonly unknown[]): Answer => ({ body: { metadata: {}, items } });
const FORBIDDEN: Answer = { status: 403, reason: "Forbidden" };

interface Result {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  command: (session: ClusterSession, options: GivenOptions, io: Io) => Promise<number>,
  { session }: FakeSession,
  given: Readonly<Record<string, string | true>> = {},
): Promise<Result> {
  let passed = 0;
  let stdout = "";
  let stderr = "";
  const io: Io = {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    isTTY: false,
    isErrorTTY: false,
    env: {},
    clock: {
      now: () => NOW,
      monotonic: () => milliseconds(passed),
      sleep: (length) => {
        passed += length;
        return Promise.resolve();
      },
    },
    random: systemRandom,
  };
  const options = new Map(
    Object.entries(given).map(([name, value]): [string, GivenOption] => [name, { from: `--${name}`, value }]),
  );
  try {
    return { code: await command(session, options, io), stdout, stderr };
  } catch (error) {
    return { code: undefined, stdout, stderr: messageOf(error) };
  }
}

describe("status", () => {
  it("shows a user his own namespace where he may not look into all, and says so", async () => {
    const api = fakeSession(({ path }) => {
      if (path === SHOP) return listOf(payments);
      return FORBIDDEN;
    });
    const { code, stdout, stderr } = await run(clusterStatus, api);
    expect(stdout).toMatch(/\nshop +payments +True /);
    expect(stderr).toContain("only the namespace shop is shown, you may not list ServiceIdentities of all");
    expect(stderr).toContain("the TrustDomain is not shown");
    expect(code).toBe(0);
    expect((await run(clusterStatus, api, { "all-namespaces": true })).code).toBeUndefined();
  });

  it("ends with 1 where there is no TrustDomain", async () => {
    const api = fakeSession(() => listOf());
    const { code, stderr } = await run(clusterStatus, api);
    expect(stderr).toContain("there is no TrustDomain: no meshid controller has run here yet");
    expect(code).toBe(1);
  });

  it("ends with 1 where the TrustDomain is not Ready", async () => {
    const broken = trustDomain({
      conditions: [condition("AuthorityReady", "False", "JournalMissing", "gone")],
    });
    const api = fakeSession(({ path }) => (path === DOMAINS ? listOf(broken) : listOf(payments)));
    const { code, stdout, stderr } = await run(clusterStatus, api);
    expect(stdout).toMatch(/\nAuthorityReady +False +JournalMissing +gone\n/);
    expect(stderr).toContain("trust domain mesh.example: AuthorityReady is False: JournalMissing: gone\n");
    expect(code).toBe(1);
  });

  it("takes the TrustDomain that is served", async () => {
    const other = trustDomain({ conditions: [condition("Ready", "False", "NotServed")] }, { name: "other" });
    const api = fakeSession(({ path }) => (path === DOMAINS ? listOf(other, domain) : listOf(payments)));
    const { code, stdout } = await run(clusterStatus, api, { output: "json" });
    expect(JSON.parse(stdout)).toMatchObject({ trustDomain: { name: "mesh.example" } });
    expect(code).toBe(0);
  });

  it("says that meshid is not installed", async () => {
    const { stderr } = await run(
      clusterStatus,
      fakeSession(() => undefined),
    );
    expect(stderr).toMatch(/knows no ServiceIdentities; expected meshid to be installed there/);
  });
});

const withAnnotation = (requests: readonly KubeRequest[]): Readonly<Record<string, string>> => {
  const body = requests.find(({ method }) => method === "PATCH")?.body;
  return (body as { metadata: { annotations: Record<string, string> } }).metadata.annotations;
};

describe("renew", () => {
  /** An API server with the identity, whose status is what `statusAfter` makes of the value asked for. */
  function server(statusAfter: (value: string) => object): FakeSession {
    let value = "";
    return fakeSession(({ method, path, body }) => {
      if (path === SHOP || path === ALL) return listOf(payments);
      if (path !== `${SHOP}/payments`) return { status: 404, reason: "NotFound" };
      if (method === "PATCH") value = withAnnotation([{ method, path, body }])["meshid.dev/renew"] ?? "";
      return { body: { ...payments, status: { ...payments.status, ...statusAfter(value) } } };
    });
  }

  it("sets the annotation and does not wait unless it is asked to", async () => {
    const api = server(() => ({}));
    const { code, stdout } = await run(clusterRenew, api, { NAME: "payments" });
    expect(withAnnotation(api.requests)["meshid.dev/renew"]).toMatch(/^2026-11-24T10:00:00Z-[0-9a-f]{8}$/);
    expect(stdout).toMatch(/^Requested the renewal of shop\/payments\. The controller carries it out/);
    expect(code).toBe(0);
    expect(api.requests).toHaveLength(2);
  });

  it("ends with 0 when its own value was honoured, and with 1 when another was", async () => {
    const honoured = await run(
      clusterRenew,
      server((value) => ({ lastManualRenewal: value })),
      {
        NAME: "payments",
        wait: true,
      },
    );
    expect(honoured.stdout).toMatch(/^Renewed shop\/payments: serial 4f, valid until in 47h/);
    expect(honoured.code).toBe(0);
    const other = await run(
      clusterRenew,
      server(() => ({ lastManualRenewal: "before" })),
      {
        NAME: "payments",
        wait: true,
      },
    );
    expect(other.stderr).toBe("0s: asked for; the controller has not taken it up yet\n");
    expect(other.code).toBe(1);
  });

  it("says what stands in the way", async () => {
    const conditions = [condition("X509Issued", "False", "SecretConflict", "delete it")];
    const { code, stdout } = await run(
      clusterRenew,
      server(() => ({ conditions })),
      {
        NAME: "payments",
        wait: true,
        timeout: "5s",
      },
    );
    expect(stdout).toContain("it is not done yet: X509Issued is False: SecretConflict: delete it.");
    expect(code).toBe(1);
  });

  it("ends where the identity is deleted meanwhile", async () => {
    let isDeleted = false;
    const api = fakeSession(({ method }) => {
      if (isDeleted) return { status: 404, reason: "NotFound" };
      isDeleted = method === "PATCH";
      return { body: payments };
    });
    const { stderr } = await run(clusterRenew, api, { NAME: "payments", wait: true });
    expect(stderr).toBe("the identity shop/payments was deleted meanwhile");
  });

  it("names what may have been meant, also in another namespace", async () => {
    const { stderr } = await run(
      clusterRenew,
      server(() => ({})),
      { NAME: "payment" },
    );
    expect(stderr).toMatch(
      /there is no identity "payment" in the namespace "shop"; .*did you mean payments\?/,
    );
  });
});

describe("rotate", () => {
  const rotate = (session: ClusterSession, options: GivenOptions, io: Io): Promise<number> =>
    clusterRotate(session, { word: "root", kind: "Root" }, { options, io });

  it("sets the annotation of the TrustDomain that is served", async () => {
    const api = fakeSession(() => listOf(domain));
    const { code, stdout } = await run(rotate, api);
    expect(withAnnotation(api.requests)).toEqual({ "meshid.dev/rotate-root": expect.any(String) });
    expect(api.requests.at(-1)?.path).toBe(`${DOMAINS}/mesh.example`);
    expect(stdout).toMatch(/^Requested the rotation of the root key of mesh\.example\./);
    expect(code).toBe(0);
  });

  it("ends with 1 when it is not done in time, and says where it stands", async () => {
    const api = fakeSession(({ path }) => (path === DOMAINS ? listOf(domain) : { body: domain }));
    const { code, stdout } = await run(rotate, api, { wait: true, timeout: "1m" });
    expect(stdout).toContain("it is not done yet: asked for; the controller has not taken it up yet.");
    expect(code).toBe(1);
  });

  it("is refused where there is nothing to rotate", async () => {
    const { stderr } = await run(
      rotate,
      fakeSession(() => listOf()),
    );
    expect(stderr).toMatch(/has no TrustDomain; expected one that a meshid controller serves/);
  });
});
