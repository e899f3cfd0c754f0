import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { freePort } from "../../support/control-plane/start.ts";
import {
  type Finished,
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

describe("meshid local --listen --probes", () => {
  let work: Workspace;
  let base: string;
  let probes: string;
  let operator: ReturnType<typeof start>;
  let ended: Promise<Finished>;

  /** Trusts what the bundle of a namespace holds, and nothing else. */
  const ask = async (
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> => {
    const ca = await work.read("shop/meshid-bundle/ca.crt");
    return new Promise((resolve, reject) => {
      const call = request(base + path, { method, headers, ca, agent: false }, (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      });
      call.on("error", reject);
      call.end();
    });
  };
  const document = async (path: string): Promise<Record<string, unknown>> =>
    JSON.parse((await ask("GET", path)).body) as Record<string, unknown>;

  beforeAll(async () => {
    work = await makeWorkspace();
    const port = await freePort();
    base = `https://localhost:${port}`;
    await work.put(
      "td.yaml",
      trustDomainYaml(`{jwt: {issuer: "${base}"}, rotation: {propagation: 1s}}`, "serve.example"),
    );
    await work.put("a.yaml", identityYaml("a", "{jwt: {tokens: [{audience: orders.shop}]}}"));
    const places = ["--identities", work.identities, "--out", work.out];
    operator = start(["local", ...places, "--listen", `127.0.0.1:${port}`, "--probes", "127.0.0.1:0"]);
    ended = finished(operator);
    let log = "";
    operator.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    const address = await until(
      "probes",
      async () => /"address":"(127[^"]+)","msg":"serving probes/.exec(log)?.[1],
    );
    probes = `http://${address}`;
    await until("ready", async () => ((await fetch(`${probes}/readyz`)).ok ? true : undefined));
    await until("the token", () => work.read("shop/a-jwt/orders.shop.jwt"));
  });

  afterAll(async () => {
    operator.kill("SIGKILL");
    await ended;
    await work[Symbol.asyncDispose]();
  });

  it("serves what another library verifies a token with, found by discovery", async () => {
    const { issuer, jwks_uri } = await document("/.well-known/openid-configuration");
    expect([issuer, jwks_uri]).toEqual([base, `${base}/.well-known/jwks.json`]);
    const jwks = await document("/.well-known/jwks.json");
    const token = await work.read("shop/a-jwt/orders.shop.jwt");
    const { payload } = await jwtVerify(token, createLocalJWKSet(jwks as unknown as JSONWebKeySet), {
      issuer: base,
      audience: "orders.shop",
    });
    expect(payload.sub).toBe("spiffe://serve.example/ns/shop/sa/a");
  });

  it("serves the same bundle as it writes to files", async () => {
    const { body } = await ask("GET", "/.well-known/spiffe-bundle.json");
    expect(body).toBe(await work.read("shop/meshid-bundle/bundle.json"));
  });

  it("answers 304 to who has the document, HEAD without a body, 405 to the rest", async () => {
    const first = await ask("GET", "/.well-known/jwks.json");
    const etag = String(first.headers["etag"]);
    expect(first.headers["cache-control"]).toBe("public, max-age=1");
    const again = await ask("GET", "/.well-known/jwks.json", { "If-None-Match": etag });
    const head = await ask("HEAD", "/.well-known/jwks.json");
    const post = await ask("POST", "/.well-known/jwks.json");
    const none = await ask("GET", "/.well-known/none");
    expect([again, head, post, none].map(({ status }) => status)).toEqual([304, 200, 405, 404]);
    expect([again.body, head.body, post.headers["allow"]]).toEqual(["", "", "GET, HEAD"]);
    expect(head.headers["content-length"]).toBe(String(Buffer.byteLength(first.body)));
  });

  it("tells on the second address that it is alive, ready and what it has done", async () => {
    const text = async (path: string): Promise<string> => (await fetch(probes + path)).text();
    expect(await text("/livez")).toBe("ok");
    expect(await text("/readyz?verbose")).toContain("[+]authority ok");
    const metrics = await text("/metrics");
    expect(metrics).toContain('meshid_svids_issued_total{kind="x509",reason="Missing"} 1');
    expect(metrics).toContain('meshid_identities{ready="true"} 1');
    expect(metrics).toMatch(/workqueue_depth\{[^}]*name="serviceidentity"[^}]*\} 0/);
  });

  it("goes on serving with a certificate that peers accept while every key is rotated", async () => {
    const keys = async (): Promise<number> => {
      const { keys: published } = await document("/.well-known/spiffe-bundle.json");
      return (published as readonly unknown[]).length;
    };
    const bundle = (): Promise<string> => work.read("shop/meshid-bundle/ca.crt").catch(() => "");
    expect(await keys()).toBe(2);
    const over = new AbortController();
    const failures: unknown[] = [];
    const serving = (async () => {
      while (!over.signal.aborted) {
        const trusted = await bundle();
        // Who stood still while the bundle changed has asked with the old one.
        await keys().catch(async (error: unknown) => {
          if (trusted === (await bundle())) failures.push(error);
        });
      }
    })();
    for (const kind of ["root", "jwt"]) {
      const asked = await meshid(["rotate", kind, "--state", work.state]);
      expect(asked).toMatchObject({ code: 0 });
    }
    await until("a new root and a new key in use", async () => {
      const domain = await work.read("trustdomain.yaml");
      const active = [...domain.matchAll(/kind: (\w+)\s+keyID: \w+\s+state: Active/g)].map(
        ([, kind]) => kind,
      );
      return domain.includes("state: Retired") && active.length === 3 && !domain.includes("Prepared")
        ? true
        : undefined;
    });
    over.abort();
    await serving;
    expect(failures).toEqual([]);
  });

  it("ends with 0 on SIGTERM", async () => {
    operator.kill("SIGTERM");
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toContain('"msg":"stopped"');
    await expect(fetch(`${probes}/livez`)).rejects.toThrow();
  });
});
