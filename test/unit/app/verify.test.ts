import { beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { cli, DAY, makePki, makeScratch, NOW, type Outcome, type Pki } from "../../support/cli.ts";

let pki: Pki;
let other: Pki;
/** Another root of the same trust domain. */
let sibling: Pki;

beforeAll(async () => {
  [pki, other, sibling] = await Promise.all([makePki(), makePki("other.example"), makePki()]);
});

type File =
  | "chain"
  | "leaf"
  | "token"
  | "ca"
  | "bundle"
  | "jwks"
  | "other"
  | "otherBundle"
  | "key"
  | "both"
  | "mixed";

/** Names in `args` that are files here become their paths. */
async function verify(args: string, now = NOW): Promise<Outcome> {
  await using scratch = await makeScratch();
  const contents: Record<File, string> = {
    chain: pki.chainPem,
    leaf: pki.chainPem.slice(0, pki.chainPem.indexOf("-----END CERTIFICATE-----") + 26),
    token: pki.token,
    ca: pki.rootPem,
    bundle: pki.bundle,
    jwks: pki.jwks,
    other: other.rootPem,
    otherBundle: other.bundle,
    key: pki.keyPem,
    both: pki.rootPem + sibling.rootPem,
    mixed: pki.rootPem + other.rootPem,
  };
  const words: string[] = [];
  for (const word of args.split(" ")) {
    words.push(word in contents ? await scratch.put(word, contents[word as File]) : word);
  }
  return await cli(["verify", ...words], { now });
}

const ID = "spiffe://cluster.local/ns/shop/sa/payments";

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

describe("meshid verify", () => {
  it.each<[string, string]>([
    ["a chain against PEM roots", "--bundle ca chain"],
    ["a chain against a SPIFFE bundle", "--bundle bundle chain"],
    [
      "a chain of the named trust domain and ID",
      `--bundle ca --trust-domain cluster.local --spiffe-id ${ID} chain`,
    ],
    ["a token against a SPIFFE bundle", "--bundle bundle --audience orders.shop token"],
    ["a token against a JWKS", "--bundle jwks --audience orders.shop token"],
    ["a bundle against the same bundle", "--bundle bundle bundle"],
    ["PEM roots against a SPIFFE bundle", "--bundle bundle ca"],
    ["a JWKS against a SPIFFE bundle", "--bundle bundle jwks"],
    ["an expired chain at a time when it was valid", "--bundle ca --at 2026-11-24T12:00:00Z chain"],
  ])("accepts %s", async (_, args) => {
    const { code, stdout, stderr } = await verify(args);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^OK {2}/);
  });

  it.each<[string, string, RegExp]>([
    ["a chain under another root", "--bundle other chain", /was issued by no root of the bundle \(X-18\)/],
    ["a leaf without its intermediate", "--bundle ca leaf", /\(X-18\)/],
    [
      "a chain of another trust domain",
      "--bundle ca --trust-domain other.example chain",
      /is not of the trust domain other\.example.*\(X-18\)/,
    ],
    [
      "a chain for another ID",
      "--bundle ca --spiffe-id spiffe://cluster.local/ns/shop/sa/other chain",
      /is for .*, not for .*\(X-01\)/,
    ],
    [
      "a chain that has expired by then",
      "--bundle ca --at 2026-11-26T00:00:00Z chain",
      /has expired .*\(X-18\)/,
    ],
    ["a chain against a bundle without roots", "--bundle jwks chain", /has 0 roots/],
    [
      "a token for another audience",
      "--bundle bundle --audience billing token",
      /aud has no "billing" \(J-07\)/,
    ],
    [
      "a token under another key",
      "--bundle otherBundle token",
      /is no JWT authority of cluster\.local \(J-14\)/,
    ],
    ["a token against a bundle without JWT keys", "--bundle ca token", /\(B-06\)/],
    ["a token for another ID", "--bundle bundle --spiffe-id spiffe://cluster.local/a token", /\(J-06\)/],
    ["a token that has expired by then", "--bundle bundle --at 2026-11-26T00:00:00Z token", /\(J-09\)/],
    ["a bundle with a foreign root", "--bundle ca both", /has the root [0-9a-f]{40}, which .* does not have/],
    [
      "a bundle that lacks a root",
      "--bundle both ca",
      /lacks the root [0-9a-f]{40} of .*: it is out of date/,
    ],
    ["a bundle of two trust domains", "--bundle ca --trust-domain cluster.local mixed", /\(X-08\)/],
    ["a bundle of another trust domain", "--bundle ca --trust-domain other.example ca", /\(X-08\)/],
  ])("refuses %s", async (_, args, message) => {
    const { code, stdout } = await verify(args);
    expect(stdout).toMatch(/^REFUSED {2}/);
    expect(stdout).toMatch(message);
    expect(code).toBe(1);
  });

  it.each<[string, string, RegExp]>([
    ["neither a bundle nor a cluster", "chain", /kubeconfig .*cannot be read; expected .*; or --bundle FILE/],
    [
      "a bundle that is a key",
      "--bundle key chain",
      /key: .*expected PEM certificates, a SPIFFE bundle or a JWK Set/,
    ],
    ["a bundle that is not there", "--bundle /nowhere chain", /\/nowhere: there is no such file/],
    ["a key to verify", "--bundle ca key", /is nothing that a bundle can vouch for/],
    ["a bad time", "--bundle ca --at tomorrow chain", /--at: "tomorrow" is not a time; expected RFC 3339/],
    ["a bad trust domain", "--bundle ca --trust-domain A chain", /--trust-domain: "A" is not a trust domain/],
    ["a bad SPIFFE ID", "--bundle ca --spiffe-id a chain", /--spiffe-id: "a" does not begin with spiffe:/],
    ["bundles with nothing in common", "--bundle jwks ca", /has nothing in common with JWKS/],
  ])("cannot work with %s", async (_, args, message) => {
    const { code, stdout, stderr } = await verify(args);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
  });

  it("says what it took from the credential itself", async () => {
    const said = await verify("--bundle bundle token");
    expect(said.stdout).toMatch(/NOTE {2}the audience is taken from the token/);
    expect(said.stdout).toMatch(/NOTE {2}the trust domain is taken from the token/);
    const told = await verify("--bundle bundle --audience orders.shop --trust-domain cluster.local token");
    expect(told.stdout).not.toContain("NOTE");
  });

  it("answers a program", async () => {
    const good = JSON.parse((await verify("--bundle ca -o json chain")).stdout) as unknown;
    expect(good).toMatchObject({ what: "X.509-SVID", ok: true, spiffeID: ID, trustDomain: "cluster.local" });
    expect(good).toMatchObject({ notAfter: expect.stringMatching(RFC3339) });
    const token = JSON.parse((await verify("--bundle bundle -o json token")).stdout) as unknown;
    expect(token).toMatchObject({ ok: true, notAfter: expect.stringMatching(RFC3339) });
    const bad = JSON.parse((await verify("--bundle ca -o json chain", seconds(NOW + DAY))).stdout) as unknown;
    expect(bad).toMatchObject({ ok: false, refusal: { rule: "X-18" } });
  });
});
