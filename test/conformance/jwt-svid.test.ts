/** JWT-SVID.md: one test for each requirement on an issuer, publisher or validator, named by its ID. */

import { describe, expect, it } from "@jest/globals";
import { encodeJwks, importVerificationKeys } from "../../src/jwt/jwks.ts";
import { JWT_ALGORITHMS, readJwt, signJwtSvid, verifyJwtSvid } from "../../src/jwt/jwt-svid.ts";
import { encodeBundle, type PublicJwk, parseBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { refusalOf } from "../support/errors.ts";
import {
  forge,
  HONEST_CLAIMS,
  HONEST_HEADER,
  hmac,
  KEY_PAIRS,
  NOW,
  P256,
  SIGNABLE,
  SUBJECT,
  VERIFIER,
} from "../support/tokens.ts";

const TRUST_DOMAIN = parseTrustDomain("example.org");
const JWK = P256.publicKey.export({ format: "jwk" }) as PublicJwk;

async function issue(algorithm: (typeof JWT_ALGORITHMS)[number] = "ES256"): Promise<string> {
  const key = KEY_PAIRS[algorithm].privateKey;
  return (await signJwtSvid(SIGNABLE, { keyID: "key-1", algorithm, key })).reveal();
}

/** The two JSON parts as they stand in the token. */
function parts(token: string): readonly string[] {
  return token
    .split(".")
    .slice(0, 2)
    .map((part) => Buffer.from(part, "base64url").toString());
}

function refusal(
  changes: { header?: object; claims?: object },
  signature?: (input: string) => Buffer,
): string {
  const token = forge({
    header: { ...HONEST_HEADER, ...changes.header },
    claims: { ...HONEST_CLAIMS, ...changes.claims },
    ...(signature === undefined ? {} : { signature }),
  });
  return refusalOf(() => verifyJwtSvid(token, VERIFIER));
}

describe("JWT-SVID", () => {
  it("J-01 issues the compact serialization and refuses the JSON ones (§1, §5.1)", async () => {
    const token = await issue();
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    const [header, payload, signature] = token.split(".");
    const flattened = JSON.stringify({ protected: header, payload, signature });
    const general = JSON.stringify({ payload, signatures: [{ protected: header, signature }] });
    for (const text of [flattened, general]) {
      expect(refusalOf(() => verifyJwtSvid(text, VERIFIER))).toBe("VERIFICATION_FAILED J-01");
    }
  });

  it.each(JWT_ALGORITHMS)(
    "J-02 issues with %s a header of alg, kid and typ alone (§2)",
    async (algorithm) => {
      expect(parts(await issue(algorithm))[0]).toBe(`{"alg":"${algorithm}","kid":"key-1","typ":"JWT"}`);
    },
  );

  it.each(["jku", "jwk", "x5u", "x5c", "x5t", "crit", "cty", "private"])(
    "J-02 refuses the header %s (§2)",
    (name) => {
      expect(refusal({ header: { [name]: "x" } })).toBe("VERIFICATION_FAILED J-02");
    },
  );

  it.each(["none", "HS256", "HS384", "HS512", "EdDSA", "Ed25519", "ES256K", "RSA-OAEP", "", null])(
    "J-03 refuses the algorithm %p (§2.1)",
    (alg) => {
      expect(refusal({ header: { alg } })).toBe("VERIFICATION_FAILED J-03");
    },
  );

  it("J-03 looks at the algorithm before all else (§4)", () => {
    const pem = P256.publicKey.export({ type: "spki", format: "pem" });
    const broken = { header: { alg: "HS256", kid: undefined, typ: "x", crit: ["x"] }, claims: { exp: 1 } };
    expect(refusal(broken, hmac(pem))).toBe("VERIFICATION_FAILED J-03");
  });

  it.each(["JWT", "JOSE", undefined])("J-05 accepts the typ %p (§2.3)", (typ) => {
    expect(refusal({ header: { typ } })).toBe("accepted");
  });

  it.each(["at+jwt", "jwt", "JWS", ""])("J-05 refuses the typ %p (§2.3)", (typ) => {
    expect(refusal({ header: { typ } })).toBe("VERIFICATION_FAILED J-05");
  });

  it("J-06 issues with the workload's SPIFFE ID as sub and refuses one that is none (§3.1)", async () => {
    expect(readJwt(await issue()).claims.sub).toBe(SUBJECT);
    expect(refusal({ claims: { sub: "payments" } })).toBe("VERIFICATION_FAILED J-06");
  });

  it("J-07 refuses a token without aud or without the validator's own value in it (§3.2, §4)", () => {
    expect([undefined, [], ["carts.shop"]].map((aud) => refusal({ claims: { aud } }))).toEqual(
      Array(3).fill("VERIFICATION_FAILED J-07"),
    );
  });

  it("J-07 accepts aud as an array with its own value and as that value alone (§3.2)", () => {
    expect([["orders.shop"], "orders.shop"].map((aud) => refusal({ claims: { aud } }))).toEqual([
      "accepted",
      "accepted",
    ]);
    const several = forge({ claims: { ...HONEST_CLAIMS, aud: ["carts.shop", "orders.shop"] } });
    expect(refusalOf(() => verifyJwtSvid(several, { ...VERIFIER, singleAudience: false }))).toBe("accepted");
  });

  it("J-08 issues for one audience, as an array, and refuses several unless told otherwise (§3.2, §7.2)", async () => {
    expect(JSON.parse(parts(await issue())[1] ?? "")).toMatchObject({ aud: ["orders.shop"] });
    expect(refusal({ claims: { aud: ["orders.shop", "carts.shop"] } })).toBe("VERIFICATION_FAILED J-08");
  });

  it("J-09 refuses a token without exp, and past it but for the clock skew (§3.3)", () => {
    const past = (ago: number) => refusal({ claims: { iat: NOW - 600, nbf: NOW - 660, exp: NOW - ago } });
    expect([refusal({ claims: { exp: undefined } }), past(60), past(59)]).toEqual([
      "VERIFICATION_FAILED J-09",
      "VERIFICATION_FAILED J-09",
      "accepted",
    ]);
  });

  it("J-10 issues a jti of its own for each token and accepts claims it does not know (§3, §7.1)", async () => {
    expect(readJwt(await issue()).claims.jti).toBe(SIGNABLE.jti);
    expect(refusal({ claims: { jti: undefined, "https://example.org/x": { a: [1] } } })).toBe("accepted");
  });

  it("J-12 publishes each key with use jwt-svid and a kid (§6.1)", () => {
    const text = encodeBundle({
      trustDomain: TRUST_DOMAIN,
      x509Authorities: [],
      jwtAuthorities: [
        { keyID: "key-1", jwk: JWK },
        { keyID: "key-2", jwk: KEY_PAIRS.RS256.publicKey.export({ format: "jwk" }) as PublicJwk },
      ],
      sequence: 1,
    });
    expect(JSON.parse(text).keys).toMatchObject([
      { use: "jwt-svid", kid: "key-1", kty: "EC" },
      { use: "jwt-svid", kid: "key-2", kty: "RSA" },
    ]);
  });

  it("J-13 takes the jwt-svid entries of a bundle alone (§6.2)", async () => {
    const entries = ["x509-svid", "wit-svid", "sig", "JWT-SVID", undefined].map((use) => ({
      ...JWK,
      use,
      kid: "key-1",
      x5c: ["MAA="],
    }));
    const { jwtAuthorities } = parseBundle(JSON.stringify({ keys: entries }), TRUST_DOMAIN);
    const keys = await importVerificationKeys(jwtAuthorities);
    expect(refusalOf(() => verifyJwtSvid(forge({}), { ...VERIFIER, keys }))).toBe("VERIFICATION_FAILED B-06");
  });

  it("J-14 verifies with the bundle of the trust domain of sub alone (Workload API §6.3)", () => {
    expect(refusal({ claims: { sub: "spiffe://example.com/ns/shop/sa/payments" } })).toBe(
      "VERIFICATION_FAILED J-14",
    );
    expect(refusal({ header: { kid: "key-of-another-bundle" } })).toBe("VERIFICATION_FAILED J-14");
  });
});

describe("interop traps on JWT-SVIDs", () => {
  it("J-04, T2 sets the optional kid on every token and wants it on every token (§2.2)", async () => {
    expect(readJwt(await issue()).header.kid).toBe("key-1");
    expect(refusal({ header: { kid: undefined } })).toBe("VERIFICATION_FAILED kid");
  });

  it("T4 keeps plain OIDC keys in a document of their own", () => {
    expect(JSON.parse(encodeJwks([{ keyID: "key-1", jwk: JWK, algorithm: "ES256" }])).keys).toMatchObject([
      { use: "sig" },
    ]);
  });

  it("T11 writes times as integers, without exponent or fraction", async () => {
    expect(parts(await issue())[1]).toMatch(/"iat":1800000000,"nbf":1799999940,"exp":1800003600\b(?![.eE])/);
  });
});
