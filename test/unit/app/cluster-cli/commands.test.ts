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
import type { TrustDomainObject } from "../../../../src/registration/service-identity.ts";
import { NOW } from "../../../support/cli.ts";
import { at, condition, HOUR, identityFact, slot, trustDomain } from "../../../support/doctor-facts.ts";
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

describe("renew --all", () => {
  const NAMES = ["a", "b", "c"];

  /** An API server with three identities, of which each is renewed as soon as it was asked for, unless `refusal` says no. */
  function server(
    refusal: (name: string, attempt: number) => Answer | undefined = () => undefined,
  ): FakeSession {
    const values = new Map<string, string>();
    const attempts = new Map<string, number>();
    return fakeSession(({ method, path, body }) => {
      if (path === ALL || path === SHOP)
        return listOf(
          ...NAMES.map((name) => {
            const { identity } = identityFact({ name });
            return { ...identity, status: { ...identity.status, lastManualRenewal: values.get(name) } };
          }),
        );
      const name = path.split("/").at(-1) ?? "";
      if (method !== "PATCH") return { status: 404, reason: "NotFound" };
      attempts.set(name, (attempts.get(name) ?? 0) + 1);
      const answer = refusal(name, attempts.get(name) ?? 0);
      if (answer === undefined)
        values.set(name, withAnnotation([{ method, path, body }])["meshid.dev/renew"] ?? "");
      return answer ?? { body: {} };
    });
  }

  it("asks for each with one value and follows until all are renewed", async () => {
    const api = server();
    const { code, stdout, stderr } = await run(clusterRenew, api, { all: true, wait: true });
    const patches = api.requests.filter(({ method }) => method === "PATCH");
    expect(new Set(patches.map((patch) => withAnnotation([patch])["meshid.dev/renew"])).size).toBe(1);
    expect(patches.map(({ path }) => path)).toEqual(NAMES.map((name) => `${SHOP}/${name}`));
    expect(stdout).toBe("Renewed 3 identities in the namespace shop.\n");
    expect(stderr).toBe(
      "0s: asking for the renewal of 3 identities in the namespace shop\n0s: 3 of 3 renewed\n",
    );
    expect(code).toBe(0);
  });

  it("goes on where one is refused, names it, and ends with 1", async () => {
    const api = server((name) => (name === "b" ? { status: 422, reason: "Invalid" } : undefined));
    const { code, stdout, stderr } = await run(clusterRenew, api, { all: true, wait: true, output: "json" });
    expect(stderr).toContain(`meshid renew: shop/b: PATCH ${SHOP}/b: HTTP 422\n`);
    expect(JSON.parse(stdout)).toMatchObject({
      identities: 3,
      asked: 2,
      refused: [{ namespace: "shop", name: "b" }],
      done: true,
      renewed: 2,
      waiting: [],
    });
    expect(code).toBe(1);
  });

  it("counts no identity that was deleted meanwhile", async () => {
    const api = server((name) => (name === "b" ? { status: 404, reason: "NotFound" } : undefined));
    const { code, stdout } = await run(clusterRenew, api, { all: true, wait: true });
    expect(stdout).toBe("Renewed 2 identities in the namespace shop.\n");
    expect(code).toBe(0);
  });

  it("asks again where the API server is away for a moment", async () => {
    const api = server((_, attempt) => (attempt < 3 ? { status: 503 } : undefined));
    expect((await run(clusterRenew, api, { all: true })).code).toBe(0);
  });

  it("stops where the API server stays away, and says how to go on", async () => {
    const api = server((name) => (name === "a" ? undefined : "unreachable"));
    const { code, stdout, stderr } = await run(clusterRenew, api, { all: true, wait: true });
    expect(stdout).toMatch(
      /^Requested the renewal of 1 identity in the namespace shop\. 2 were not asked for: meshid renew --all --before 2026-11-24T10:00:00Z goes on where this ended\.\n$/,
    );
    expect(stderr).toContain("cannot be reached");
    expect(code).toBeUndefined();
  });

  it("asks for many at once, and not for all", async () => {
    const all = Array.from({ length: 200 }, (_, index) => identityFact({ name: `i${index}` }).identity);
    const { session } = fakeSession(() => listOf(...all));
    let inFlight = 0;
    let most = 0;
    const busy: ClusterSession = {
      ...session,
      request: async (request) => {
        if (request.method === "GET") return session.request(request);
        most = Math.max(most, ++inFlight);
        await new Promise((resolve) => setImmediate(resolve));
        inFlight--;
        return session.request(request);
      },
    };
    const { code } = await run(clusterRenew, { session: busy, requests: [] }, { all: true });
    expect([most, code]).toEqual([16, 0]);
  });

  it("stops asking when it is interrupted, and says how to go on", async () => {
    const listeners: (() => void)[] = [];
    const many = Array.from({ length: 40 }, (_, index) => identityFact({ name: `i${index}` }).identity);
    const session = fakeSession((request) => {
      if (request.path === ALL) return listOf(identityFact({ name: "a" }).identity, ...many);
      if (request.path.endsWith("/a")) for (const listener of listeners) listener();
      return { body: {} };
    });
    const interruptible = (given: ClusterSession, options: GivenOptions, io: Io): Promise<number> =>
      clusterRenew(given, options, {
        ...io,
        onInterrupt: (listener) => {
          listeners.push(listener);
          return { [Symbol.dispose]: () => {} };
        },
      });
    const { code, stdout } = await run(interruptible, session, { all: true, wait: true });
    expect(stdout).toMatch(
      /^Requested the renewal of 1 identity in the namespace shop\. 40 were not asked for: meshid renew --all --before 2026-11-24T10:00:00Z goes on where this ended\.\n$/,
    );
    expect(code).toBe(130);
  });

  it("ends with 1 where one is not renewed in time, and says why", async () => {
    const conditions = [condition("X509Issued", "False", "SecretConflict", "delete it")];
    const broken = identityFact({ name: "broken", status: { conditions } }).identity;
    const api = fakeSession(({ method }) => (method === "PATCH" ? { body: {} } : listOf(payments, broken)));
    const { code, stdout } = await run(clusterRenew, api, { all: true, wait: true, timeout: "5s" });
    expect(stdout).toContain(
      "and it is not done yet: 0 of 2 renewed; not shop/broken: X509Issued is False: SecretConflict: delete it. meshid doctor",
    );
    expect(code).toBe(1);
  });
});

describe("rotate", () => {
  const rotate = (session: ClusterSession, options: GivenOptions, io: Io): Promise<number> =>
    clusterRotate(session, { word: "root", kind: "Root" }, { options, io });
  const serving = (now: TrustDomainObject, ...identities: readonly unknown[]): FakeSession =>
    fakeSession(({ path }) => {
      if (path === DOMAINS) return listOf(domain);
      return path === ALL ? listOf(...identities) : { body: now };
    });

  it("sets the annotation of the TrustDomain that is served", async () => {
    const api = serving(domain);
    const { code, stdout } = await run(rotate, api);
    expect(withAnnotation(api.requests)).toEqual({ "meshid.dev/rotate-root": expect.any(String) });
    expect(api.requests.at(-1)?.path).toBe(`${DOMAINS}/mesh.example`);
    expect(stdout).toMatch(/^Requested the rotation of the root key of mesh\.example\./);
    expect(code).toBe(0);
  });

  it("ends with 1 when it is not done in time, and says where it stands", async () => {
    const { code, stdout } = await run(rotate, serving(domain), { wait: true, timeout: "1m" });
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

  describe("--compromised", () => {
    const given = { compromised: true, confirm: "mesh.example" } as const;
    const slots = [
      slot("Root", { keyID: "root-2", since: at(-60) }),
      slot("Issuing", { keyID: "issuing-2" }),
      slot("JWT"),
    ];
    const gone = trustDomain({ authorities: slots });
    const under = (name: string, authorityKeyID: string): unknown => {
      const { identity } = identityFact({ name });
      const { x509 } = identity.status ?? {};
      return { ...identity, status: { ...identity.status, x509: { ...x509, authorityKeyID } } };
    };

    it("sets the annotation with the key that is active, after a confirmation only", async () => {
      const api = serving(domain);
      const refused = await run(rotate, api, { compromised: true });
      expect(refused.stderr).toMatch(
        /^--confirm: is missing; expected --confirm mesh\.example.* for the root key root-1:\n {2}breaks: a workload/,
      );
      expect(api.requests.every(({ method }) => method === "GET")).toBe(true);
      expect((await run(rotate, api, given)).code).toBe(0);
      expect(withAnnotation(api.requests)).toEqual({ "meshid.dev/distrust-root": "root-1" });
    });

    it("follows until the key is gone and everything under it is issued anew", async () => {
      const identities = [under("a", "issuing-2"), under("b", "issuing-2")];
      const { code, stdout } = await run(rotate, serving(gone, ...identities), { ...given, wait: true });
      expect(stdout).toBe(
        "Distrusted the root key of mesh.example: root-1 is out of every bundle, root-2 signs; 2 of 2 identities have new certificates.\n",
      );
      expect(code).toBe(0);
    });

    it("is not done while one has its certificate from what fell, or the key is there", async () => {
      const late = serving(gone, under("a", "issuing-1"), under("b", "issuing-2"));
      const first = await run(rotate, late, { ...given, wait: true, timeout: "2s" });
      expect(first.stdout).toContain(
        "root-2 signs; new certificates for 1 of 2 identities. It goes on by itself",
      );
      const there = await run(rotate, serving(domain, under("a", "issuing-2")), {
        ...given,
        wait: true,
        timeout: "2s",
      });
      expect(there.stdout).toContain("not done yet: asked for; the controller has not taken it up yet.");
      expect([first.code, there.code]).toEqual([1, 1]);
    });

    it("run again means the key that is gone, not its successor", async () => {
      const annotated = {
        ...gone,
        metadata: { ...gone.metadata, annotations: { "meshid.dev/distrust-root": "root-1" } },
      };
      const api = fakeSession(({ path }) => {
        if (path === DOMAINS) return listOf(annotated);
        return path === ALL ? listOf(under("a", "issuing-2"), under("b", "issuing-0")) : { body: annotated };
      });
      const again = await run(rotate, api, given);
      expect(again.stdout).toMatch(
        /^Nothing was asked for: the root key root-1 of mesh\.example was distrusted within the hour/,
      );
      expect(again.stdout).toContain(
        "kubectl annotate --overwrite trustdomain mesh.example meshid.dev/distrust-root=KEY-ID.",
      );
      const followed = await run(rotate, api, { ...given, wait: true, timeout: "2s" });
      expect(followed.stdout).toContain("new certificates for 1 of 2 identities");
      expect(api.requests.every(({ method }) => method === "GET")).toBe(true);
      expect([again.code, followed.code]).toEqual([0, 1]);
    });

    it("means the successor once it has signed for long", async () => {
      const old = trustDomain({
        authorities: [slot("Root", { keyID: "root-2", since: at(-2 * HOUR) }), slot("Issuing")],
      });
      const annotated = {
        ...old,
        metadata: { ...old.metadata, annotations: { "meshid.dev/distrust-root": "root-1" } },
      };
      const api = fakeSession(({ path }) => (path === DOMAINS ? listOf(annotated) : { body: annotated }));
      await run(rotate, api, given);
      expect(withAnnotation(api.requests)).toEqual({ "meshid.dev/distrust-root": "root-2" });
    });

    it("counts tokens for a JWT key", async () => {
      const jwtGone = trustDomain({
        authorities: [slot("Root"), slot("Issuing"), slot("JWT", { keyID: "jwt-2" })],
      });
      const holding = (name: string, ...keys: readonly string[]): unknown => {
        const tokens = keys.map((keyID) => ({ audience: keyID, key: keyID, keyID, notAfter: at(HOUR) }));
        return identityFact({ name, status: { jwt: { tokens, secretName: "t" } } }).identity;
      };
      const api = serving(jwtGone, holding("a", "jwt-2"), holding("b", "jwt-2", "jwt-1"), holding("c"));
      const jwt = (session: ClusterSession, options: GivenOptions, io: Io): Promise<number> =>
        clusterRotate(session, { word: "jwt", kind: "JWT" }, { options, io });
      const { stdout } = await run(jwt, api, { ...given, wait: true, timeout: "2s" });
      expect(withAnnotation(api.requests)).toEqual({ "meshid.dev/distrust-jwt": "jwt-1" });
      expect(stdout).toContain("jwt-2 signs; new tokens for 1 of 2 identities.");
    });

    it("does not count what the user may not list", async () => {
      const api = fakeSession(({ path }) => {
        if (path === DOMAINS) return listOf(domain);
        return path === ALL ? FORBIDDEN : { body: gone };
      });
      const { code, stdout } = await run(rotate, api, { ...given, wait: true });
      expect(stdout).toContain("you may not see whose certificates are new");
      expect(code).toBe(0);
    });
  });
});
