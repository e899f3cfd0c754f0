import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { createLocalJWKSet, jwtVerify } from "jose";
import { encodeDiscovery, encodeJwks, importVerificationKeys, parseJwks } from "../../../src/jwt/jwks.ts";
import { verifyJwtSvid } from "../../../src/jwt/jwt-svid.ts";
import type { PublicJwk } from "../../../src/spiffe/bundle.ts";
import { refusalOf } from "../../support/errors.ts";
import { forge, NOW, P256, RSA, SUBJECT, VERIFIER } from "../../support/tokens.ts";

const EC_JWK = P256.publicKey.export({ format: "jwk" }) as PublicJwk;
const RSA_JWK = RSA.publicKey.export({ format: "jwk" }) as PublicJwk;

describe("encodeJwks", () => {
  const keys = [
    { keyID: "key-2", jwk: RSA_JWK, algorithm: "PS256" },
    { keyID: "key-1", jwk: EC_JWK, algorithm: "ES256" },
  ] as const;

  it("writes signing keys with use, alg and kid in an order of its own", () => {
    expect(JSON.parse(encodeJwks(keys))).toEqual({
      keys: [
        { kty: "EC", use: "sig", alg: "ES256", kid: "key-1", crv: "P-256", x: EC_JWK.x, y: EC_JWK.y },
        { kty: "RSA", use: "sig", alg: "PS256", kid: "key-2", n: RSA_JWK.n, e: RSA_JWK.e },
      ],
    });
    expect(encodeJwks(keys.toReversed())).toBe(encodeJwks(keys));
  });

  it("serves jose to verify a token", async () => {
    const keySet = createLocalJWKSet(JSON.parse(encodeJwks(keys)));
    const { payload } = await jwtVerify(forge({}), keySet, { currentDate: new Date(NOW * 1000) });
    expect(payload.sub).toBe(SUBJECT);
  });

  it("never writes a private member", () => {
    const jwk = P256.privateKey.export({ format: "jwk" }) as PublicJwk;
    expect(encodeJwks([{ keyID: "k", jwk, algorithm: "ES256" }])).not.toContain('"d"');
  });

  it("refuses two keys of one ID as a mistake of the program", () => {
    expect(() => encodeJwks([keys[0], { ...keys[1], keyID: "key-2" }])).toThrow(TypeError);
  });

  it("is read back by parseJwks", () => {
    expect(new Set(parseJwks(encodeJwks(keys)))).toEqual(
      new Set(keys.map(({ keyID, jwk, algorithm }) => ({ keyID, jwk: { ...jwk }, algorithm }))),
    );
  });
});

describe("encodeDiscovery", () => {
  it("has the issuer byte for byte, the place of the keys and each algorithm once", () => {
    expect(
      JSON.parse(encodeDiscovery("https://meshid.meshid-system.svc", ["PS256", "ES256", "PS256"])),
    ).toEqual({
      issuer: "https://meshid.meshid-system.svc",
      jwks_uri: "https://meshid.meshid-system.svc/.well-known/jwks.json",
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256", "PS256"],
    });
  });

  it("keeps the slash of an issuer and does not double it in the place of the keys", () => {
    expect(JSON.parse(encodeDiscovery("https://h/a/", ["ES256"]))).toMatchObject({
      issuer: "https://h/a/",
      jwks_uri: "https://h/a/.well-known/jwks.json",
    });
  });
});

describe("parseJwks", () => {
  it.each(["{}", "[]", '{"keys":null}', '{"keys":[],"keys":[]}', "keys"])("refuses %s", (text) => {
    expect(refusalOf(() => parseJwks(text))).toMatch(/^INVALID_INPUT jwks/);
  });

  it("refuses two keys of one kid", () => {
    const entry = { ...EC_JWK, kid: "k" };
    expect(refusalOf(() => parseJwks(JSON.stringify({ keys: [entry, entry] })))).toBe(
      "INVALID_INPUT jwks.keys",
    );
  });

  it("leaves out what cannot verify a JWT-SVID and keeps the rest", () => {
    const entry = { ...EC_JWK, kid: "good" };
    const others = [
      { ...entry, kid: "a", use: "enc" },
      { ...entry, kid: "b", use: "jwt-svid" },
      { ...entry, kid: "c", alg: "EdDSA" },
      { ...entry, kid: undefined },
      { ...entry, kid: "d", y: undefined },
      { kty: "oct", k: "AA", kid: "e" },
      null,
    ];
    expect(parseJwks(JSON.stringify({ keys: [...others, entry] }))).toEqual([{ keyID: "good", jwk: EC_JWK }]);
  });
});

describe("importVerificationKeys", () => {
  it("makes keys with which tokens verify", async () => {
    const keys = await importVerificationKeys([
      { keyID: "key-1", jwk: EC_JWK },
      { keyID: "key-2", jwk: RSA_JWK, algorithm: "PS256" },
    ]);
    expect(verifyJwtSvid(forge({}), { ...VERIFIER, keys }).spiffeId).toBe(SUBJECT);
    expect([
      keys.get("key-2")?.key.asymmetricKeyDetails?.modulusLength,
      keys.get("key-2")?.algorithm,
    ]).toEqual([2048, "PS256"]);
  });

  it("leaves out a point off its curve and key types that JWT-SVID does not know", async () => {
    const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }) as PublicJwk;
    const offCurve = { ...EC_JWK, y: EC_JWK.x ?? "" };
    const keys = await importVerificationKeys([
      { keyID: "a", jwk: ed25519 },
      { keyID: "b", jwk: offCurve },
      { keyID: "c", jwk: EC_JWK },
    ]);
    expect([...keys.keys()]).toEqual(["c"]);
  });
});
