import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { Secret } from "../../../src/core/secret.ts";
import { parseCertificates } from "../../../src/x509/certificate.ts";
import { parsePrivateKey } from "../../../src/x509/keys.ts";
import { encodePkcs12, encodeTruststore } from "../../../src/x509/keystore.ts";
import { certificatePem } from "../../../src/x509/pem.ts";
import {
  cli,
  DAY,
  makeOut,
  makePki,
  makeScratch,
  NOW,
  type Outcome,
  type Pki,
  statusYaml,
} from "../../support/cli.ts";
import { encode } from "../../support/tokens.ts";

const PASSWORD = "correct-horse-battery";

let pki: Pki;
let other: Pki;

beforeAll(async () => {
  [pki, other] = await Promise.all([makePki(), makePki("other.example")]);
});

/** Inspects one file with this content. */
async function inspect(
  content: string | Uint8Array,
  args: readonly string[] = [],
  now = NOW,
): Promise<Outcome> {
  await using scratch = await makeScratch();
  const file = await scratch.put("file", content);
  const outcome = await cli(["inspect", file, ...args], { now });
  return {
    ...outcome,
    stdout: outcome.stdout.replaceAll(scratch.dir, ""),
    stderr: outcome.stderr.replaceAll(scratch.dir, ""),
  };
}

interface Answer {
  readonly kind: string;
  readonly ok: boolean;
  readonly faults: readonly { readonly rule: string; readonly severity: string }[];
  readonly parts?: readonly Answer[];
}

/** The kind, and what is wrong: `token J-09`. */
async function verdictOn(content: string | Uint8Array, args: readonly string[] = []): Promise<string> {
  const { stdout, code, stderr } = await inspect(content, [...args, "-o", "json"]);
  if (stdout === "") return `${code} ${stderr}`;
  const answer = JSON.parse(stdout) as Answer;
  const rulesOf = ({ faults, parts = [] }: Answer): readonly string[] => [
    ...faults.filter(({ severity }) => severity === "wrong").map(({ rule }) => rule),
    ...parts.flatMap(rulesOf),
  ];
  expect(code).toBe(answer.ok ? 0 : 1);
  return [answer.kind, ...rulesOf(answer)].join(" ");
}

const derOf = (pem: string): Uint8Array => parseCertificates(pem)[0]!.der;
const keyBody = (pem: string): Buffer => Buffer.from(pem.split("\n").slice(1, -2).join(""), "base64");

describe("meshid inspect FILE", () => {
  it.each<[string, () => string | Uint8Array, string]>([
    ["a chain", () => pki.chainPem, "chain"],
    ["one certificate in DER", () => derOf(pki.chainPem), "chain"],
    ["a PEM bundle", () => pki.rootPem + pki.issuingPem, "pem-bundle"],
    ["a private key", () => pki.keyPem, "private-key"],
    ["a private key in DER", () => keyBody(pki.keyPem), "private-key"],
    ["key and certificate in one file", () => pki.keyPem + pki.chainPem, "combined"],
    [
      "a public key",
      () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }),
      "public-key",
    ],
    [
      "a public key in DER",
      () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }),
      "public-key",
    ],
    [
      "an old RSA key",
      () =>
        generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
          type: "pkcs1",
          format: "pem",
        }),
      "private-key",
    ],
    ["a token", () => pki.token, "token"],
    ["a SPIFFE bundle", () => pki.bundle, "spiffe-bundle"],
    ["a JWK Set", () => pki.jwks, "jwks"],
    ["a discovery document", () => '{"issuer": "https://a", "jwks_uri": "https://a/jwks"}', "discovery"],
    ["a ServiceIdentity with its status", () => statusYaml("payments", "shop"), "identity"],
    [
      "a ServiceIdentity in JSON",
      () =>
        '{"apiVersion": "meshid.dev/v1alpha1", "kind": "ServiceIdentity", "metadata": {"name": "a"}, "spec": {}}',
      "identity",
    ],
  ])("recognises %s by its content", async (_, content, verdict) => {
    expect(await verdictOn(content())).toBe(verdict);
  });

  it.each<[string, () => string | Uint8Array, RegExp]>([
    ["nothing", () => "", /it is empty/],
    ["text", () => "hello", /it is text of no form that meshid knows; expected a certificate/],
    ["binary data", () => Uint8Array.of(1, 2, 0, 255), /binary data/],
    ["DER of something else", () => Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x05), /is no certificate/],
    ["JSON of something else", () => "{}", /JSON object of no kind/],
    ["broken JSON", () => '{"keys": [', /begins like JSON/],
    ["base64 without PEM", () => keyBody(pki.keyPem).toString("base64"), /base64 -d/],
    ["PEM that is cut off", () => pki.rootPem.slice(0, 100), /PEM that cannot be read/],
    [
      "a certificate request",
      () => "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
      /block of the kind "CERTIFICATE REQUEST"/,
    ],
    [
      "a keystore without its password",
      () => encodeTruststore({ roots: [derOf(pki.rootPem)], password: new Secret(PASSWORD) }),
      /--password-file/,
    ],
    ["more than 1 MiB", () => " ".repeat(1_048_577), /larger than 1 MiB/],
    ["broken YAML", () => "kind: ServiceIdentity\nspec: [", /file:\d: .*expected YAML/],
  ])("ends with 2 for %s", async (_, content, message) => {
    const { code, stdout, stderr } = await inspect(content());
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
  });

  it.each<[string, () => string, string]>([
    ["a key that is not the certificate's", () => other.keyPem + pki.chainPem, "combined pair"],
    [
      "a chain in the wrong order",
      () =>
        pki.chainPem
          .split(/(?<=-----END CERTIFICATE-----\n)/)
          .toReversed()
          .join(""),
      "chain X-18",
    ],
    [
      "a leaf with another's issuer",
      () => certificatePem(derOf(pki.chainPem)) + other.issuingPem,
      "chain X-18",
    ],
    [
      "a broken certificate among good ones",
      () => `${pki.chainPem}-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n`,
      "chain X-18",
    ],
    ["two trust domains in one bundle", () => pki.rootPem + other.rootPem, "pem-bundle F-07"],
    ["an entry of unknown use", () => pki.bundle.replace("jwt-svid", "sig"), "spiffe-bundle B-07"],
    ["an entry without x5c", () => pki.bundle.replace("x5c", "x5d"), "spiffe-bundle X-21"],
    [
      "a sequence that is no number",
      () => pki.bundle.replace('"spiffe_sequence":12', '"spiffe_sequence":"12"'),
      "spiffe-bundle B-02",
    ],
    [
      "keys that are null",
      () => '{"keys": null, "spiffe_sequence": 1, "spiffe_refresh_hint": 1}',
      "spiffe-bundle B-05",
    ],
    ["no keys", () => '{"keys": [], "spiffe_sequence": 1, "spiffe_refresh_hint": 1}', "spiffe-bundle B-06"],
    ["a member named twice", () => pki.jwks.replace('"use"', '"kid":"x","use"'), "jwks json"],
    ["a JWK Set with a private key", () => pki.jwks.replace('"use"', '"d":"AAAA","use"'), "jwks private"],
    ["a key without kid", () => pki.jwks.replace('"kid"', '"kit"'), "jwks kid"],
    [
      "an identity of another version",
      () => statusYaml("a", "b").replace("v1alpha1", "v9"),
      "identity apiVersion",
    ],
    [
      "an identity that is not Ready",
      () => statusYaml("a", "b", { reason: "IdentityConflict", message: "b/c holds it" }),
      "identity IdentityConflict IdentityConflict",
    ],
  ])("tells of %s", async (_, content, verdict) => {
    expect(await verdictOn(content())).toBe(verdict);
  });

  const identity = (spec: string): string =>
    `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata: {name: a, namespace: shop}\nspec:\n${spec}`;

  it.each<[string, string, RegExp]>([
    ["a bad duration", identity("  x509:\n    ttl: 90d\n"), /WRONG {2}spec\.x509\.ttl {2}line 6: .*expected/],
    ["an unknown field", identity("  x509:\n    tll: 1h\n"), /WRONG {2}spec\.x509\.tll {2}line 6: /],
    [
      "a DNS name of another namespace",
      identity("  x509: {dnsNames: [a.bank.svc]}\n"),
      /WRONG {2}InvalidSpec {2}spec\.x509\.dnsNames\[0\]/,
    ],
    [
      "a TrustDomain whose times do not fit",
      "apiVersion: meshid.dev/v1alpha1\nkind: TrustDomain\nmetadata: {name: a}\nspec: {jwt: {keyTTL: 1h}}\n",
      /WRONG {2}InvalidSpec {2}spec\.jwt\.keyTTL/,
    ],
    [
      "another kind",
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
      /WRONG {2}kind {2}line 2: kind is Pod/,
    ],
  ])("judges objects as meshid local does: %s", async (_, text, message) => {
    const { code, stdout } = await inspect(text);
    expect(stdout.replaceAll(/\n {7}/g, " ")).toMatch(message);
    expect(code).toBe(1);
  });

  it("takes a part that waits its turn for a note while the identity is Ready", async () => {
    const waiting =
      '    - {type: MTLSApplied, status: "False", reason: WaitingForCertificate, message: soon, observedGeneration: 1, lastTransitionTime: "2026-11-24T10:00:00Z"}\n';
    const good = await inspect(statusYaml("a", "b") + waiting);
    expect(good.stdout).toMatch(/NOTE {3}WaitingForCertificate {2}MTLSApplied is False: soon/);
    const degraded = await inspect(
      statusYaml("a", "b").replace("reason: Issued", "reason: Degraded") + waiting,
    );
    expect([good.code, degraded.code]).toEqual([0, 1]);
  });

  it("explains what an identity will get, in the trust domain of its file", async () => {
    const domain =
      "---\napiVersion: meshid.dev/v1alpha1\nkind: TrustDomain\nmetadata: {name: example.org}\nspec: {}\n";
    const { code, stdout } = await inspect(identity("  jwt: {tokens: [{audience: orders.shop}]}\n") + domain);
    expect(stdout).toContain("spiffe://example.org/ns/shop/sa/a");
    expect(stdout).toMatch(/DNS names +a\.shop\.svc/);
    expect(stdout).toMatch(/Tokens for +orders\.shop/);
    expect(code).toBe(0);
  });

  it("keeps every digit of a sequence", async () => {
    const { stdout } = await inspect(
      pki.bundle.replace('"spiffe_sequence":12', '"spiffe_sequence":9007199254740993'),
    );
    expect(stdout).toMatch(/Sequence +9007199254740993/);
  });

  it("explains text around PEM blocks as a note, and what is in them", async () => {
    const { code, stdout } = await inspect(`subject=none\n${pki.chainPem}`);
    expect(stdout).toMatch(/NOTE {3}pem {2}has text around its PEM blocks/);
    expect(stdout).toContain("spiffe://cluster.local/ns/shop/sa/payments");
    expect(code).toBe(0);
  });

  it("says what a person asks first: whose, until when, and what is wrong", async () => {
    const { code, stdout } = await inspect(pki.chainPem, [], seconds(NOW + 3.5 * DAY));
    expect(stdout).toMatch(/SPIFFE ID +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/payments/);
    expect(stdout).toMatch(/Expired +3 days ago \(2026-11-24T22:00:00Z\)/);
    expect(stdout).toMatch(/WRONG {2}X-18 {2}expired 3 days ago/);
    expect(code).toBe(1);
  });

  it("checks against a bundle when it is given one", async () => {
    await using scratch = await makeScratch();
    const right = await scratch.put("ca.crt", pki.rootPem);
    const foreign = await scratch.put("other.crt", other.rootPem);
    const bundle = await scratch.put("bundle.json", pki.bundle);
    expect(await verdictOn(pki.chainPem, ["--bundle", right])).toBe("chain");
    expect(await verdictOn(pki.chainPem, ["--bundle", foreign])).toBe("chain X-18");
    expect(await verdictOn(pki.token, ["--bundle", bundle])).toBe("token");
    const jwks = await scratch.put("jwks.json", other.jwks);
    expect(await verdictOn(pki.token, ["--bundle", jwks])).toBe("token J-14");
  });

  it("says that a chain was never vouched for even where it has expired too", async () => {
    await using scratch = await makeScratch();
    const foreign = await scratch.put("other.crt", other.rootPem);
    const { stdout } = await inspect(pki.chainPem, ["--bundle", foreign], seconds(NOW + DAY));
    expect(stdout).toMatch(/expired.*\n(.*\n)*.*does not vouch for it/);
  });
});

describe("meshid inspect of a token", () => {
  const parts = (): { header: object; claims: object; signature: string } => {
    const [first, second, third] = pki.token.split(".");
    const read = (part: string | undefined): object =>
      JSON.parse(Buffer.from(part ?? "", "base64url").toString()) as object;
    return { header: read(first), claims: read(second), signature: third ?? "" };
  };
  const forged = (changes: { header?: object; claims?: object }): string => {
    const honest = parts();
    return [
      encode({ ...honest.header, ...changes.header }),
      encode({ ...honest.claims, ...changes.claims }),
      honest.signature,
    ].join(".");
  };

  it.each<[string, { header?: object; claims?: object }, string]>([
    ["no exp", { claims: { exp: undefined } }, "token J-09"],
    ["a past exp", { claims: { exp: NOW - 1 } }, "token J-09"],
    ["ten years of life", { claims: { exp: NOW + 3650 * DAY } }, "token life"],
    ["no aud", { claims: { aud: undefined } }, "token J-07"],
    ["no sub", { claims: { sub: undefined } }, "token J-06"],
    ["a sub that is no SPIFFE ID", { claims: { sub: "payments" } }, "token J-06"],
    ["the sub of a trust domain", { claims: { sub: "spiffe://cluster.local" } }, "token J-06"],
    ["alg none", { header: { alg: "none" } }, "token J-03"],
    ["a symmetric alg", { header: { alg: "HS256" } }, "token J-03"],
    ["no kid", { header: { kid: undefined } }, "token kid"],
    ["a jku", { header: { jku: "https://evil.example" } }, "token J-02"],
    ["another typ", { header: { typ: "at+jwt" } }, "token J-05"],
    ["a future iat", { claims: { iat: NOW + 600 } }, "token iat"],
    [
      "everything",
      {
        header: { alg: "none", kid: undefined, jku: "x" },
        claims: { exp: undefined, aud: undefined, sub: undefined },
      },
      "token J-02 J-03 kid J-06 J-07 J-09",
    ],
  ])("tells of %s", async (_, changes, verdict) => {
    expect(await verdictOn(forged(changes))).toBe(verdict);
  });

  it("takes several audiences and a line end for a note", async () => {
    const { code, stdout } = await inspect(`${forged({ claims: { aud: ["a", "b"] } })}\n`);
    expect(stdout).toMatch(/NOTE {3}J-08/);
    expect(stdout).toMatch(/NOTE {3}line-end/);
    expect(code).toBe(0);
  });

  it("shows other claims by name and escapes what could steer a terminal", async () => {
    const { stdout } = await inspect(
      forged({ claims: { "role\u001B[2J": "admin", iss: "https://a\u001B[2J" } }),
    );
    expect(stdout).toMatch(/Other claims +role\\u\{1b\}\[2J/);
    expect(stdout).not.toContain("\u001B");
  });
});

describe("meshid inspect of a keystore", () => {
  it("opens it with the password of a file", async () => {
    await using scratch = await makeScratch();
    const password = await scratch.put("password", `${PASSWORD}\n`);
    const chain = parseCertificates(pki.chainPem).map(({ der }) => der);
    const keystore = encodePkcs12({
      key: parsePrivateKey(new Secret(pki.keyPem)),
      chain,
      password: new Secret(PASSWORD),
      friendlyName: "payments",
    });
    const good = await inspect(keystore, ["--password-file", password]);
    expect(good.stdout).toMatch(
      /PKCS#12 keystore with a private key[\s\S]*Aliases +payments[\s\S]*spiffe:\/\/cluster\.local\/ns\/shop/,
    );
    // The keys lie in a part that is not encrypted, each encrypted by itself.
    expect(good.stdout).not.toContain("none");
    expect(good.code).toBe(0);
    const truststore = encodeTruststore({ roots: [derOf(pki.rootPem)], password: new Secret(PASSWORD) });
    expect(await verdictOn(truststore, ["--password-file", password])).toBe("keystore");
  });

  it("says that a password does not fit", async () => {
    await using scratch = await makeScratch();
    const password = await scratch.put("password", "wrong-password");
    const truststore = encodeTruststore({ roots: [derOf(pki.rootPem)], password: new Secret(PASSWORD) });
    expect(await verdictOn(truststore, ["--password-file", password])).toBe("keystore password");
  });
});

describe("meshid inspect DIR", () => {
  /** What is wrong with a directory of these files. */
  async function faultsIn(files: Readonly<Record<string, string | Uint8Array>>): Promise<Outcome> {
    await using scratch = await makeScratch();
    return await cli(["inspect", await scratch.mount("secret", files)]);
  }
  const tls = (): Record<string, string> => ({
    "tls.crt": pki.chainPem,
    "tls.key": pki.keyPem,
    "ca.crt": pki.rootPem,
  });
  const jwt = (): Record<string, string> => ({
    "orders.shop.jwt": pki.token,
    "bundle.json": pki.bundle,
    "jwks.json": pki.jwks,
  });

  it("finds nothing wrong with what belongs together", async () => {
    const copies = {
      "cert-chain.pem": pki.chainPem,
      "key.pem": pki.keyPem,
      "root-cert.pem": pki.rootPem,
      "tls-combined.pem": pki.keyPem + pki.chainPem,
    };
    for (const files of [
      tls(),
      { ...tls(), ...copies },
      jwt(),
      { "ca.crt": pki.rootPem, "bundle.json": pki.bundle, "jwks.json": pki.jwks },
    ]) {
      const { code, stdout } = await faultsIn(files);
      expect(stdout).toMatch(/^OK {5}nothing is wrong with it$/m);
      expect(code).toBe(0);
    }
  });

  it.each<[string, () => Record<string, string>, RegExp]>([
    [
      "a key of another pair",
      () => ({ ...tls(), "tls.key": other.keyPem }),
      /WRONG {2}pair {2}tls\.key is not the key of tls\.crt/,
    ],
    [
      "a foreign root",
      () => ({ ...tls(), "ca.crt": other.rootPem }),
      /WRONG {2}X-18 {2}tls\.crt: ca\.crt does not vouch for it/,
    ],
    [
      "no key",
      () => ({ "tls.crt": pki.chainPem, "ca.crt": pki.rootPem }),
      /WRONG {2}missing {2}tls\.key is missing/,
    ],
    [
      "no certificate",
      () => ({ "tls.key": pki.keyPem, "ca.crt": pki.rootPem }),
      /WRONG {2}missing {2}tls\.crt is missing/,
    ],
    [
      "no roots",
      () => ({ "tls.crt": pki.chainPem, "tls.key": pki.keyPem }),
      /WRONG {2}missing {2}ca\.crt is missing/,
    ],
    [
      "a copy that is none",
      () => ({ ...tls(), "key.pem": other.keyPem }),
      /WRONG {2}copy {2}key\.pem differs from tls\.key/,
    ],
    [
      "a token of another trust domain",
      () => ({ ...jwt(), "x.jwt": other.token }),
      /WRONG {2}J-14 {2}x\.jwt: jwks\.json does not vouch for it/,
    ],
    [
      "documents that differ",
      () => ({ ...jwt(), "jwks.json": other.jwks }),
      /WRONG {2}bundle {2}jwks\.json and bundle\.json carry different JWT keys/,
    ],
    [
      "roots that differ",
      () => ({ "ca.crt": other.rootPem, "bundle.json": pki.bundle }),
      /WRONG {2}bundle {2}ca\.crt and bundle\.json carry different roots/,
    ],
    [
      "a file that is garbage",
      () => ({ ...tls(), "tls.crt": "garbage" }),
      /WRONG {2}content {2}tls\.crt: it is text of no form/,
    ],
    ["an empty file", () => ({ ...tls(), "ca.crt": "" }), /WRONG {2}content {2}ca\.crt: it is empty/],
  ])("tells of %s", async (_, files, message) => {
    const { code, stdout } = await faultsIn(files());
    expect(stdout).toMatch(message);
    expect(code).toBe(1);
  });

  it("reads all files from the revision that ..data named first", async () => {
    await using scratch = await makeScratch();
    const dir = await scratch.mount("secret", tls());
    // A plain name that leads elsewhere must not be followed.
    await scratch.put("elsewhere", "garbage");
    await symlink(join(scratch.dir, "elsewhere"), join(dir, "extra.pem"));
    expect((await cli(["inspect", dir])).code).toBe(0);
  });

  it("notes that files without ..data can be torn", async () => {
    await using scratch = await makeScratch();
    for (const [name, content] of Object.entries(tls())) await scratch.put(`plain/${name}`, content);
    const { code, stdout } = await cli(["inspect", join(scratch.dir, "plain")]);
    expect(stdout).toMatch(/NOTE {3}\.\.data {2}has no \.\.data/);
    expect(code).toBe(0);
  });

  it("does not wait for a pipe among the files", async () => {
    await using scratch = await makeScratch();
    const dir = await scratch.mount("secret", tls());
    execFileSync("mkfifo", [join(dir, "..data/pipe.pem")]);
    expect(await cli(["inspect", dir])).toMatchObject({
      code: 0,
      stdout: expect.not.stringContaining("pipe"),
    });
  });

  it("refuses a directory that meshid did not write", async () => {
    await using scratch = await makeScratch();
    await scratch.put("any/readme.txt", "hello");
    const { code, stderr } = await cli(["inspect", join(scratch.dir, "any")]);
    expect(stderr).toMatch(/a directory that meshid did not write; expected/);
    expect(code).toBe(2);
  });

  it("shows all identities of an OUT directory and what is wrong with each", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    expect((await cli(["inspect", out])).stdout).toMatch(
      /shop +payments +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/payments +none /,
    );
    await scratch.put(
      "out/bank/ledger.serviceidentity.yaml",
      statusYaml("ledger", "bank", { reason: "SecretConflict", message: "a path is in the way" }),
    );
    const { code, stdout } = await cli(["inspect", out]);
    expect(stdout).toMatch(/bank +ledger +\S+ +3 /);
    expect(stdout).toMatch(/WRONG {2}SecretConflict {2}bank\/ledger: a path is in the way/);
    expect(stdout).toMatch(
      /WRONG {2}missing {2}bank\/ledger: ledger-tls\/: there is no such file or directory/,
    );
    expect(code).toBe(1);
  });
});

describe("what is never printed", () => {
  it("is a key, a token's claims or signature, or a password, in any format or failure", async () => {
    await using scratch = await makeScratch();
    const out = await makeOut(scratch, pki);
    const chain = parseCertificates(pki.chainPem).map(({ der }) => der);
    const keystore = encodePkcs12({
      key: parsePrivateKey(new Secret(pki.keyPem)),
      chain,
      password: new Secret(PASSWORD),
      friendlyName: "p",
    });
    const password = await scratch.put("password", PASSWORD);
    const files = {
      key: pki.keyPem,
      der: keyBody(pki.keyPem),
      combined: pki.keyPem + pki.chainPem,
      cut: pki.keyPem.slice(0, -20),
      broken: pki.keyPem.replace("A", "!"),
      spaced: pki.keyPem.replaceAll("\n", "\n "),
      twice: pki.keyPem + pki.keyPem + pki.chainPem,
      yaml: `kind: ServiceIdentity\napiVersion: meshid.dev/v1alpha1\nmetadata: {name: a}\nspec: {x509: {ttl: "${pki.token}"}}\n`,
      badYaml: `kind: ServiceIdentity\nspec: [${pki.keyPem}\n`,
      json: JSON.stringify({ keys: [{ kty: "EC", kid: "a", d: PASSWORD }] }),
      badJson: `{"keys": [${JSON.stringify(pki.keyPem)}`,
      token: pki.token,
      tokens: `${pki.token} ${pki.token}`,
      keyInYaml: `kind: ServiceIdentity\napiVersion: meshid.dev/v1alpha1\nmetadata: {name: a}\nspec: {x509: {ttl: ${JSON.stringify(pki.keyPem)}}}\n`,
      keyInBundle: `${pki.rootPem}${pki.keyPem}`,
      keyInName: JSON.stringify({
        keys: [{ kty: "EC", kid: pki.keyPem, use: pki.token }],
        spiffe_sequence: pki.keyPem,
      }),
      nested: [
        encode({ alg: "ES256", kid: "a" }),
        encode({ sub: "a", act: pki.token, key: pki.keyPem }),
        "AAAA",
      ].join("."),
      keystore,
    };
    const paths = await Promise.all(
      Object.entries(files).map(([name, content]) => scratch.put(name, content)),
    );
    const base64 = pki.keyPem.split("\n").slice(1, -2).join("");
    const canaries = [...pki.secrets, base64.slice(10, 50), PASSWORD];
    for (const path of [...paths, out, join(out, "shop/payments-tls"), join(out, "shop/payments-jwt")]) {
      for (const args of [
        [],
        ["-o", "json"],
        ["-o", "yaml"],
        ["--log-level", "debug"],
        ["--password-file", password],
        ["--password-file", join(scratch.dir, "key")],
      ]) {
        const { stdout, stderr } = await cli(["inspect", path, ...args]);
        for (const canary of canaries)
          expect([path, stdout + stderr]).toEqual([path, expect.not.stringContaining(canary)]);
      }
      const verified = await cli(["verify", "--bundle", path, path, "--log-level", "debug"]);
      for (const canary of canaries) expect(verified.stdout + verified.stderr).not.toContain(canary);
    }
  });
});

describe("colours", () => {
  it("are on a terminal and nowhere else", async () => {
    await using scratch = await makeScratch();
    const file = await scratch.put("root.crt", pki.rootPem);
    const onTerminal = await cli(["inspect", file], { isTTY: true });
    const piped = await cli(["inspect", file]);
    const refused = await cli(["inspect", file], { isTTY: true, env: { NO_COLOR: "1" } });
    expect(onTerminal.stdout).toContain("\u001B[32mOK");
    expect([piped.stdout, refused.stdout].join()).not.toContain("\u001B");
  });
});
