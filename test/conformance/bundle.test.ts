/** SPIFFE_Trust_Domain_and_Bundle.md and §6 of X509-SVID.md: publisher and consumer of a bundle, by ID. */

import { describe, expect, it } from "@jest/globals";
import { seconds } from "../../src/core/brand.ts";
import { importVerificationKeys } from "../../src/jwt/jwks.ts";
import { verifyJwtSvid } from "../../src/jwt/jwt-svid.ts";
import { type Bundle, encodeBundle, type PublicJwk, parseBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { refusalOf } from "../support/errors.ts";
import { forge, P256, RSA, VERIFIER } from "../support/tokens.ts";

const TRUST_DOMAIN = parseTrustDomain("example.org");
const EC_JWK = P256.publicKey.export({ format: "jwk" }) as PublicJwk;
const RSA_JWK = RSA.publicKey.export({ format: "jwk" }) as PublicJwk;
/** 0xfb 0xff 0xfe: differs between the two base64 alphabets. */
const DER = Buffer.of(0xfb, 0xff, 0xfe, 0x00);

const BUNDLE: Bundle = {
  trustDomain: TRUST_DOMAIN,
  x509Authorities: [
    { der: DER, jwk: EC_JWK },
    { der: Buffer.of(1), jwk: RSA_JWK },
  ],
  jwtAuthorities: [{ keyID: "key-1", jwk: EC_JWK }],
  sequence: 12,
  refreshHint: seconds(360),
};

const X509_ENTRY = {
  kty: "EC",
  use: "x509-svid",
  crv: EC_JWK.crv,
  x: EC_JWK.x,
  y: EC_JWK.y,
  x5c: ["+//+AA=="],
};
const JWT_ENTRY = { kty: "EC", use: "jwt-svid", kid: "key-1", crv: EC_JWK.crv, x: EC_JWK.x, y: EC_JWK.y };

interface Document {
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

function published(changes: Partial<Bundle> = {}): Document {
  return JSON.parse(encodeBundle({ ...BUNDLE, ...changes })) as Document;
}

function consumed(entries: readonly unknown[], members: object = {}): readonly [number, number] {
  const bundle = parseBundle(JSON.stringify({ keys: entries, ...members }), TRUST_DOMAIN);
  return [bundle.x509Authorities.length, bundle.jwtAuthorities.length];
}

function refusal(text: string): string {
  return refusalOf(() => parseBundle(text, TRUST_DOMAIN));
}

describe("trust bundle, published", () => {
  it("B-01 is a JWK Set with these entries and members and no other (§4)", () => {
    const rsa = { kty: "RSA", use: "x509-svid", n: RSA_JWK.n, e: RSA_JWK.e, x5c: ["AQ=="] };
    expect(published()).toEqual({
      keys: [X509_ENTRY, rsa, JWT_ENTRY],
      spiffe_sequence: 12,
      spiffe_refresh_hint: 360,
    });
  });

  it("B-02 writes the sequence as an integer of up to 64 bits (§4.1.1)", () => {
    const text = (sequence: number | bigint) =>
      /"spiffe_sequence":[^,}]*/.exec(encodeBundle({ ...BUNDLE, sequence }))?.[0];
    expect([text(0), text(1e15), text(18446744073709551615n)]).toEqual([
      '"spiffe_sequence":0',
      '"spiffe_sequence":1000000000000000',
      '"spiffe_sequence":18446744073709551615',
    ]);
  });

  it("B-04 writes the refresh hint as whole seconds (§4.1.2)", () => {
    expect(encodeBundle(BUNDLE)).toContain('"spiffe_refresh_hint":360}');
  });

  it("B-05 writes keys even when there is none (§4.1.3)", () => {
    expect(published({ x509Authorities: [], jwtAuthorities: [] }).keys).toEqual([]);
  });

  it("B-08 gives every key kty and use (§4.2.1, §4.2.2)", () => {
    for (const key of published().keys) {
      expect(key).toMatchObject({ kty: expect.any(String), use: expect.stringMatching(/^(x509|jwt)-svid$/) });
    }
  });

  it("B-09 writes no member that neither standard defines, private ones least of all (§4.2)", () => {
    const jwk = {
      ...(P256.privateKey.export({ format: "jwk" }) as PublicJwk),
      alg: "ES256",
      key_ops: ["sign"],
      x5t: "x",
    };
    const { keys } = published({
      x509Authorities: [{ der: DER, jwk }],
      jwtAuthorities: [{ keyID: "key-1", jwk }],
    });
    expect(keys).toEqual([X509_ENTRY, JWT_ENTRY]);
  });

  it("X-20 has one x509-svid key for each certificate, without kid (X509-SVID §6.1)", () => {
    const entries = published().keys.filter(({ use }) => use === "x509-svid");
    expect([entries.length, entries.some((entry) => "kid" in entry)]).toEqual([2, false]);
  });

  it("X-21 has exactly one certificate in x5c, in standard base64 (X509-SVID §6.1)", () => {
    expect(published().keys[0]?.["x5c"]).toEqual([DER.toString("base64")]);
  });
});

describe("trust bundle, consumed", () => {
  it("B-03 keeps every digit of a sequence of 64 bits (§4.1.1)", () => {
    const read = (sequence: string) =>
      parseBundle(`{"keys":[],"spiffe_sequence":${sequence}}`, TRUST_DOMAIN).sequence;
    expect([read("12"), read("9007199254740993"), read("18446744073709551615")]).toEqual([
      12n,
      9007199254740993n,
      18446744073709551615n,
    ]);
  });

  it("B-06 leaves no SVID of the trust domain valid when no key is usable (§4.1.3)", async () => {
    for (const keys of [[], [{ ...JWT_ENTRY, kty: "unknown" }], [{ ...JWT_ENTRY, y: undefined }]]) {
      const bundle = parseBundle(JSON.stringify({ keys }), TRUST_DOMAIN);
      const options = { ...VERIFIER, keys: await importVerificationKeys(bundle.jwtAuthorities) };
      expect(refusalOf(() => verifyJwtSvid(forge({}), options))).toBe("VERIFICATION_FAILED B-06");
    }
  });

  it.each<[string, unknown]>([
    ["an unknown kty", { ...JWT_ENTRY, kty: "AKP" }],
    ["an unknown kty of the other use", { ...X509_ENTRY, kty: "oct" }],
    ["no kty", { ...JWT_ENTRY, kty: undefined }],
    ["an unknown use", { ...JWT_ENTRY, use: "wit-svid" }],
    ["the use of OIDC", { ...JWT_ENTRY, use: "sig" }],
    ["a use in other case", { ...JWT_ENTRY, use: "JWT-SVID" }],
    ["a use in other case, of the other kind", { ...X509_ENTRY, use: "X509-svid" }],
    ["no use", { ...JWT_ENTRY, use: undefined }],
    ["a jwt-svid key without kid", { ...JWT_ENTRY, kid: undefined }],
    ["a curve that JWT-SVID does not know", { ...JWT_ENTRY, crv: "secp256k1" }],
    ["a missing key member", { ...JWT_ENTRY, y: undefined }],
    ["a key member that is not base64url", { ...JWT_ENTRY, y: "+/=" }],
    ["something else than an object", "key"],
  ])("B-07 leaves out an entry with %s and keeps the rest (§4.1.3, §4.2)", (_what, entry) => {
    expect(consumed([entry, X509_ENTRY, { ...JWT_ENTRY, kid: "key-2" }])).toEqual([1, 1]);
  });

  it("B-10 tolerates further members and requires none (§4.1)", () => {
    expect(
      consumed([X509_ENTRY, { ...JWT_ENTRY, alg: "ES256", x: EC_JWK.x, ext: true }], { other: { a: 1 } }),
    ).toEqual([1, 1]);
    expect(parseBundle('{"keys":[]}', TRUST_DOMAIN).sequence).toBeUndefined();
  });

  it("B-11 takes five minutes where there is no refresh hint (§6.1)", () => {
    const hint = (members: string) => parseBundle(`{"keys":[]${members}}`, TRUST_DOMAIN).refreshHint;
    expect([hint(""), hint(',"spiffe_refresh_hint":60')]).toEqual([300, 60]);
  });

  it.each([undefined, [], "", "+//+AA==", [""], [1], ["-__-AA"], ["+//+AA==\n"]])(
    "X-23 leaves out an x509-svid entry with the x5c %j (X509-SVID §6.2)",
    (x5c) => {
      expect(consumed([{ ...X509_ENTRY, x5c }])).toEqual([0, 0]);
    },
  );

  it("X-23 takes the first of several certificates (X509-SVID §6.2)", () => {
    const text = JSON.stringify({ keys: [{ ...X509_ENTRY, x5c: ["+//+AA==", "AQ=="] }] });
    expect(parseBundle(text, TRUST_DOMAIN).x509Authorities).toEqual([{ der: DER, jwk: EC_JWK }]);
  });

  it("X-24 shows a trust domain without x509-svid entries as one without X.509 authorities (X509-SVID §6.2)", () => {
    expect(consumed([JWT_ENTRY])).toEqual([0, 1]);
  });
});

describe("interop traps on bundles", () => {
  it("T3 never has other than one certificate in x5c", () => {
    const counts = published()
      .keys.filter(({ use }) => use === "x509-svid")
      .map(({ x5c }) => (x5c as unknown[]).length);
    expect(counts).toEqual([1, 1]);
  });

  it("T4 has no entry of another use than the two of SPIFFE", () => {
    expect(new Set(published().keys.map(({ use }) => use))).toEqual(new Set(["x509-svid", "jwt-svid"]));
  });

  it("T5 writes [] for an empty bundle and takes [] as everything revoked", () => {
    const text = encodeBundle({ ...BUNDLE, x509Authorities: [], jwtAuthorities: [] });
    expect([text.startsWith('{"keys":[],'), refusal(text)]).toEqual([true, "accepted"]);
  });

  it.each(['{"keys":null}', "{}", '{"Keys":[]}', '{"keys":{}}'])(
    "T5 refuses %s: that revokes nothing",
    (text) => {
      expect(refusal(text)).toBe("INVALID_INPUT bundle.keys");
    },
  );
});
