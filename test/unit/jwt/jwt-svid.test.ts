import { createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { jwtVerify, SignJWT } from "jose";
import { seconds } from "../../../src/core/brand.ts";
import { isOperatorError } from "../../../src/core/errors.ts";
import { JWS_ALGORITHMS } from "../../../src/jwt/jws.ts";
import {
  JWT_ALGORITHMS,
  type JwtSvidTemplate,
  readJwt,
  signJwtSvid,
  type VerifyJwtSvidOptions,
  verifyJwtSvid,
} from "../../../src/jwt/jwt-svid.ts";
import { refusalOf } from "../../support/errors.ts";
import {
  encode,
  es256,
  forge,
  HONEST_CLAIMS,
  HONEST_HEADER,
  hmac,
  KEY_PAIRS,
  NOW,
  P256,
  P384,
  RSA,
  SIGNABLE,
  SUBJECT,
  VERIFIER,
} from "../../support/tokens.ts";

const P521 = generateKeyPairSync("ec", { namedCurve: "P-521" });

/** What the verifier makes of the honest token with other claims. */
function withClaims(claims: object, options: Partial<VerifyJwtSvidOptions> = {}): string {
  const token = forge({ claims: { ...HONEST_CLAIMS, ...claims } });
  return refusalOf(() => verifyJwtSvid(token, { ...VERIFIER, ...options }));
}

function refusal(token: string, options: Partial<VerifyJwtSvidOptions> = {}): string {
  return refusalOf(() => verifyJwtSvid(token, { ...VERIFIER, ...options }));
}

describe("signJwtSvid", () => {
  it.each(JWT_ALGORITHMS)("signs with %s what jose and the verifier accept", async (algorithm) => {
    const { privateKey, publicKey } = KEY_PAIRS[algorithm];
    const token = (await signJwtSvid(SIGNABLE, { keyID: "key-1", algorithm, key: privateKey })).reveal();
    const second = await jwtVerify(token, publicKey, {
      algorithms: [algorithm],
      issuer: HONEST_CLAIMS.iss,
      audience: "orders.shop",
      currentDate: new Date(NOW * 1000),
    });
    expect(second.payload).toEqual(HONEST_CLAIMS);
    expect(refusal(token, { keys: new Map([["key-1", { key: publicKey, algorithm }]]) })).toBe("accepted");
  });

  it("writes every ECDSA signature at its full length, leading zeros included", async () => {
    const key = { keyID: "key-1", algorithm: "ES256", key: P256.privateKey } as const;
    const seen = new Set<number>();
    for (let n = 0; n < 2000; n += 1) {
      const token = (await signJwtSvid({ ...SIGNABLE, jti: `${n}` }, key)).reveal();
      seen.add(readJwt(token).signature.length);
      verifyJwtSvid(token, VERIFIER);
    }
    expect([...seen]).toEqual([64]);
  });

  it("hands the token out as a secret", async () => {
    const token = await signJwtSvid(SIGNABLE, { keyID: "k", algorithm: "ES256", key: P256.privateKey });
    expect(token.toString() + JSON.stringify({ token })).toBe('[redacted]{"token":"[redacted]"}');
  });

  it.each<[string, KeyObject]>([
    ["a key of another curve", P384.privateKey],
    ["an RSA key", RSA.privateKey],
    ["a public key", P256.publicKey],
    ["a secret", createSecretKey(Buffer.alloc(32))],
  ])("refuses to sign ES256 with %s", async (_what, key) => {
    const signing = signJwtSvid(SIGNABLE, { keyID: "k", algorithm: "ES256", key });
    await expect(signing).rejects.toMatchObject({ code: "SIGNING_FAILED", details: { keyID: "k" } });
  });

  it.each<[string, Partial<JwtSvidTemplate>]>([
    ["no audience", { audience: "" }],
    ["no jti", { jti: "" }],
    ["an end before its issue", { expiresAt: NOW }],
    ["a begin after its issue", { notBefore: seconds(NOW + 1) }],
  ])("refuses a template with %s as a mistake of the program", async (_what, fault) => {
    const signing = signJwtSvid(
      { ...SIGNABLE, ...fault },
      { keyID: "k", algorithm: "ES256", key: P256.privateKey },
    );
    await expect(signing).rejects.toThrow(TypeError);
  });
});

describe("verifyJwtSvid", () => {
  it("accepts the honest token and tells what it says", () => {
    expect(verifyJwtSvid(forge({}), VERIFIER)).toEqual({
      spiffeId: SUBJECT,
      audiences: ["orders.shop"],
      issuer: HONEST_CLAIMS.iss,
      issuedAt: NOW,
      expiresAt: NOW + 3600,
      keyID: "key-1",
    });
  });

  it.each(JWS_ALGORITHMS)("accepts %s as jose signs it", async (alg) => {
    const ec = { ES256: P256, ES384: P384, ES512: P521 };
    const pair = alg === "ES256" || alg === "ES384" || alg === "ES512" ? ec[alg] : RSA;
    const token = await new SignJWT({ ...HONEST_CLAIMS, aud: [...HONEST_CLAIMS.aud] })
      .setProtectedHeader({ alg, kid: "key-1" })
      .sign(pair.privateKey);
    expect(refusal(token, { keys: new Map([["key-1", { key: pair.publicKey }]]) })).toBe("accepted");
  });

  const pem = P256.publicKey.export({ type: "spki", format: "pem" });
  const der = P256.publicKey.export({ type: "spki", format: "der" });
  const header = (changes: object) => ({ ...HONEST_HEADER, ...changes });

  it.each<[string, string, () => string]>([
    ["alg none, no signature", "J-03", () => `${encode(header({ alg: "none" }))}.${encode(HONEST_CLAIMS)}.`],
    ["alg none, some signature", "J-03", () => forge({ header: header({ alg: "none" }) })],
    ["alg nOnE", "J-03", () => forge({ header: header({ alg: "nOnE" }) })],
    [
      "HS256 keyed with the public PEM",
      "J-03",
      () => forge({ header: header({ alg: "HS256" }), signature: hmac(pem) }),
    ],
    [
      "HS256 keyed with the public DER",
      "J-03",
      () => forge({ header: header({ alg: "HS256" }), signature: hmac(der) }),
    ],
    ["EdDSA", "J-03", () => forge({ header: header({ alg: "EdDSA" }) })],
    ["ES256K", "J-03", () => forge({ header: header({ alg: "ES256K" }) })],
    ["lower-case es256", "J-03", () => forge({ header: header({ alg: "es256" }) })],
    ["alg as an array", "J-03", () => forge({ header: header({ alg: ["ES256"] }) })],
    ["no alg", "J-03", () => forge({ header: { kid: "key-1", typ: "JWT" } })],
    ["ES384 over a P-256 key", "J-03", () => forge({ header: header({ alg: "ES384" }) })],
    ["RS256 over an EC key", "J-03", () => forge({ header: header({ alg: "RS256" }) })],
    ["no kid", "kid", () => forge({ header: { alg: "ES256", typ: "JWT" } })],
    ["an empty kid", "kid", () => forge({ header: header({ kid: "" }) })],
    ["a kid that is a number", "kid", () => forge({ header: header({ kid: 1 }) })],
    ["an unknown kid", "J-14", () => forge({ header: header({ kid: "key-2" }) })],
    ["a kid of the map's own methods", "J-14", () => forge({ header: header({ kid: "__proto__" }) })],
    ["jku", "J-02", () => forge({ header: header({ jku: "https://evil.example" }) })],
    ["jwk", "J-02", () => forge({ header: header({ jwk: P256.publicKey.export({ format: "jwk" }) }) })],
    ["x5c", "J-02", () => forge({ header: header({ x5c: ["AAAA"] }) })],
    ["crit", "J-02", () => forge({ header: header({ crit: ["exp"] }) })],
    ["b64 false", "J-02", () => forge({ header: header({ b64: false, crit: ["b64"] }) })],
    ["cty", "J-02", () => forge({ header: header({ cty: "JWT" }) })],
    ["typ at+jwt", "J-05", () => forge({ header: header({ typ: "at+jwt" }) })],
    ["typ in lower case", "J-05", () => forge({ header: header({ typ: "jwt" }) })],
    ["typ null", "J-05", () => forge({ header: header({ typ: null }) })],
    [
      "alg twice in the header",
      "J-01",
      () => forge({ header: '{"alg":"none","alg":"ES256","kid":"key-1"}' }),
    ],
    [
      "alg twice, once escaped",
      "J-01",
      () => forge({ header: '{"\\u0061lg":"none","alg":"ES256","kid":"key-1"}' }),
    ],
    [
      "sub twice in the claims",
      "J-01",
      () => forge({ claims: JSON.stringify(HONEST_CLAIMS).replace('"sub"', '"sub":"x","sub"') }),
    ],
    [
      "a member twice deep in the claims",
      "J-01",
      () =>
        forge({ claims: JSON.stringify({ ...HONEST_CLAIMS, x: 0 }).replace('"x":0', '"x":[{"a":1,"a":1}]') }),
    ],
    ["claims that are an array", "J-01", () => forge({ claims: [HONEST_CLAIMS] })],
    ["a header that is null", "J-01", () => forge({ header: "null" })],
    [
      "claims behind a byte order mark",
      "J-01",
      () => forge({ claims: `\ufeff${JSON.stringify(HONEST_CLAIMS)}` }),
    ],
    ["a signature of zeros", "signature", () => forge({ signature: () => Buffer.alloc(64) })],
    ["a signature with r = 0", "signature", () => forge({ signature: (i) => es256(i).fill(0, 0, 32) })],
    ["a signature with s = 0", "signature", () => forge({ signature: (i) => es256(i).fill(0, 32) })],
    ["a signature one byte short", "signature", () => forge({ signature: (i) => es256(i).subarray(1) })],
    [
      "a signature one byte long",
      "signature",
      () => forge({ signature: (i) => Buffer.concat([es256(i), Buffer.of(0)]) }),
    ],
    [
      "a signature with a zero byte before s",
      "signature",
      () =>
        forge({
          signature: (i) => rearranged(es256(i), (r, s) => [r, Buffer.of(0), s]),
        }),
    ],
    ["a signature of one byte", "signature", () => forge({ signature: () => Buffer.of(1) })],
    [
      "a signature over other claims",
      "signature",
      () => forge({ signature: () => es256(`${encode(HONEST_HEADER)}.e30`) }),
    ],
    [
      "a signature with r and s swapped",
      "signature",
      () => forge({ signature: (i) => rearranged(es256(i), (r, s) => [s, r]) }),
    ],
    ["more than 16 KiB", "J-01", () => forge({ claims: { ...HONEST_CLAIMS, x: "x".repeat(16_384) } })],
    ["JSON serialization", "J-01", () => jsonSerialization(forge({}))],
    ["a detached payload", "J-01", () => forge({}).replace(/\..*\./, "..")],
    ["four parts", "J-01", () => `${forge({})}.AA`],
    ["five parts", "J-01", () => `${forge({})}.AA.AA`],
    ["a trailing dot", "J-01", () => `${forge({})}.`],
    ["a leading dot", "J-01", () => `.${forge({})}`],
    ["a line end", "J-01", () => `${forge({})}\n`],
    ["a leading space", "J-01", () => ` ${forge({})}`],
    ["a space within", "J-01", () => forge({}).replace(".", " .")],
    ["padding", "J-01", () => `${forge({})}==`],
    ["the standard base64 alphabet", "J-01", () => withStandardAlphabet()],
    ["base64url with stray bits", "J-01", () => withStrayBits(forge({}))],
    ["nothing", "J-01", () => ""],
  ])("refuses %s", (_attack, rule, token) => {
    expect(refusal(token())).toBe(`VERIFICATION_FAILED ${rule}`);
  });

  it("refuses claims that are not UTF-8", () => {
    const token = forge({}).split(".");
    const claims = Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]).toString(
      "base64url",
    );
    expect(refusal(`${token[0]}.${claims}.${token[2]}`)).toBe("VERIFICATION_FAILED J-01");
  });

  it.each<[string, string, object]>([
    ["no exp", "J-09", { exp: undefined }],
    ["exp null", "J-09", { exp: null }],
    ["exp beyond what a date can be", "J-09", { exp: 9_007_199_254_740_991 }],
    ["exp as a string", "J-09", { exp: `${NOW + 60}` }],
    ["exp with a fraction", "J-09", { exp: NOW + 0.5 }],
    ["exp beyond every clock", "J-09", { exp: 1e300 }],
    ["exp past by 60 s", "J-09", { iat: NOW - 600, exp: NOW - 60 }],
    ["exp past by 59 s", "accepted", { iat: NOW - 600, nbf: NOW - 600, exp: NOW - 59 }],
    ["a negative exp", "J-09", { exp: -1 }],
    ["exp before iat", "J-09", { iat: NOW + 30, exp: NOW + 10 }],
    ["exp before nbf", "J-09", { nbf: NOW + 30, exp: NOW + 10 }],
    ["a life of ten years", "life", { exp: NOW + 315_360_000 }],
    ["a life of a day and the skew", "accepted", { exp: NOW + 86_460 }],
    ["a life of a day, the skew and a second", "life", { exp: NOW + 86_461 }],
    ["a ten-year life without iat", "iat", { iat: undefined, exp: NOW + 315_360_000 }],
    ["no iat near the end of its life", "iat", { iat: undefined, exp: NOW + 10 }],
    ["iat with a fraction", "iat", { iat: NOW + 0.5 }],
    ["iat 60 s ahead", "accepted", { iat: NOW + 60 }],
    ["iat 61 s ahead", "iat", { iat: NOW + 61 }],
    ["nbf 60 s ahead", "accepted", { nbf: NOW + 60 }],
    ["nbf 61 s ahead", "nbf", { nbf: NOW + 61 }],
    ["nbf as a string", "nbf", { nbf: "0" }],
    ["a negative nbf", "nbf", { nbf: -1 }],
    ["no nbf, iss and jti", "accepted", { nbf: undefined, iss: undefined, jti: undefined }],
    ["iss as an array", "claims", { iss: ["a"] }],
    ["jti as a number", "claims", { jti: 1 }],
    ["no aud", "J-07", { aud: undefined }],
    ["aud empty", "J-07", { aud: [] }],
    ["aud an empty string", "J-07", { aud: "" }],
    ["aud with a number beside ours", "J-07", { aud: ["orders.shop", 1] }],
    ["aud of another service", "J-07", { aud: ["carts.shop"] }],
    ["aud of which ours is a prefix", "J-07", { aud: ["orders.shop.evil"] }],
    ["aud in upper case", "J-07", { aud: ["Orders.shop"] }],
    ["aud as a string", "accepted", { aud: "orders.shop" }],
    ["two audiences, ours among them", "J-08", { aud: ["orders.shop", "carts.shop"] }],
    ["our audience twice", "J-08", { aud: ["orders.shop", "orders.shop"] }],
    ["no sub", "J-06", { sub: undefined }],
    ["sub with a dot segment", "J-06", { sub: "spiffe://example.org/ns/../sa/x" }],
    ["sub in upper case", "J-06", { sub: "spiffe://Example.org/ns/shop/sa/x" }],
    ["sub that is no SPIFFE ID", "J-06", { sub: "payments" }],
    ["sub without a path", "J-06", { sub: "spiffe://example.org" }],
    ["sub with the root path", "J-06", { sub: "spiffe://example.org/" }],
    ["sub of a foreign trust domain", "J-14", { sub: "spiffe://example.com/ns/shop/sa/payments" }],
    ["sub of a longer trust domain", "J-14", { sub: "spiffe://example.org.evil/ns/shop/sa/payments" }],
    ["other claims", "accepted", { groups: ["a"], big: 1e300 }],
  ])("of a signed token with %s it says %s", (_what, rule, claims) => {
    expect(withClaims(claims)).toBe(rule === "accepted" ? rule : `VERIFICATION_FAILED ${rule}`);
  });

  it("asks for no more than the standard on several audiences when told so", () => {
    expect(withClaims({ aud: ["carts.shop", "orders.shop"] }, { singleAudience: false })).toBe("accepted");
    expect(withClaims({ aud: ["carts.shop"] }, { singleAudience: false })).toBe("VERIFICATION_FAILED J-07");
  });

  it("holds a token to the issuer and the life it was told", () => {
    expect(withClaims({}, { issuer: HONEST_CLAIMS.iss })).toBe("accepted");
    expect(withClaims({}, { issuer: `${HONEST_CLAIMS.iss}/` })).toBe("VERIFICATION_FAILED issuer");
    expect(withClaims({ iss: undefined }, { issuer: HONEST_CLAIMS.iss })).toBe("VERIFICATION_FAILED issuer");
    expect(withClaims({}, { maxLife: seconds(3539) })).toBe("VERIFICATION_FAILED life");
  });

  it.each<[string, { key: KeyObject; algorithm?: "ES256" | "RS256" | "PS256" }]>([
    ["a secret of the same bytes", { key: createSecretKey(der) }],
    ["the private key", { key: P256.privateKey }],
    ["a key published for another algorithm", { key: P256.publicKey, algorithm: "PS256" }],
    ["an Ed25519 key", { key: generateKeyPairSync("ed25519").publicKey }],
    [
      "a key of a curve of the same size",
      { key: generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey },
    ],
  ])("refuses ES256 where the bundle holds %s", (_what, key) => {
    expect(refusal(forge({}), { keys: new Map([["key-1", key]]) })).toBe("VERIFICATION_FAILED J-03");
  });

  it("refuses an RSA key below 2048 bits", async () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const token = forge({ header: { ...HONEST_HEADER, alg: "RS256" } });
    expect(refusal(token, { keys: new Map([["key-1", { key: weak.publicKey }]]) })).toBe(
      "VERIFICATION_FAILED J-03",
    );
  });

  it("takes no RS256 signature for PS256, nor the other way round", async () => {
    const keys = new Map([["key-1", { key: RSA.publicKey }]]);
    for (const [signed, said] of [
      ["RS256", "PS256"],
      ["PS256", "RS256"],
    ] as const) {
      const token = (
        await signJwtSvid(SIGNABLE, { keyID: "key-1", algorithm: signed, key: RSA.privateKey })
      ).reveal();
      const [, claims, signature] = token.split(".");
      const turned = `${encode({ ...HONEST_HEADER, alg: said })}.${claims}.${signature}`;
      expect(refusal(turned, { keys })).toBe("VERIFICATION_FAILED signature");
    }
  });

  it("refuses a token once any character of it is changed, dropped or added", () => {
    const token = forge({});
    const char = fc.constantFrom(..."AQgwZaz019-_.=+/ \n".split(""));
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.nat(1), fc.option(char, { nil: "" }), (at, drop, add) => {
        const changed = token.slice(0, at) + add + token.slice(at + drop);
        fc.pre(changed !== token);
        expect(refusal(changed)).toMatch(/^VERIFICATION_FAILED /);
      }),
      { numRuns: 1000 },
    );
  });

  it("meets any text at all with a typed refusal", () => {
    const part = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => encode(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        expect(refusal(parts.join("."))).toMatch(/^VERIFICATION_FAILED /);
      }),
    );
  });

  it("never repeats the token in what it says", () => {
    const token = forge({ claims: '{"sub":"canary-7f3a",' });
    try {
      verifyJwtSvid(token, VERIFIER);
      expect("accepted").toBe("refused");
    } catch (error) {
      expect(isOperatorError(error, "VERIFICATION_FAILED") && error.message).not.toContain("canary");
    }
  });
});

function rearranged(signature: Buffer, order: (r: Buffer, s: Buffer) => Buffer[]): Buffer {
  return Buffer.concat(order(signature.subarray(0, 32), signature.subarray(32)));
}

function jsonSerialization(token: string): string {
  const [header, payload, signature] = token.split(".");
  return JSON.stringify({ protected: header, payload, signature });
}

/** The honest token made until its signature has a character in which the two alphabets differ. */
function withStandardAlphabet(): string {
  for (;;) {
    const [header, claims, signature = ""] = forge({}).split(".");
    const standard = signature.replaceAll("-", "+").replaceAll("_", "/");
    if (standard !== signature) return `${header}.${claims}.${standard}`;
  }
}

/** 64 bytes end in a character of which four bits are unused. */
function withStrayBits(token: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? "") + 1];
}
