import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { type Seconds, seconds } from "../../../src/core/brand.ts";
import { type Bundle, encodeBundle, MAX_BUNDLE_LENGTH, parseBundle } from "../../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { refusalOf } from "../../support/errors.ts";

const trustDomain = parseTrustDomain("example.org");
const base64url = fc
  .uint8Array({ minLength: 1, maxLength: 32 })
  .map((b) => Buffer.from(b).toString("base64url"));
const ecJwk = fc.record({
  kty: fc.constant("EC"),
  crv: fc.constantFrom("P-256", "P-384"),
  x: base64url,
  y: base64url,
});
const rsaJwk = fc.record({ kty: fc.constant("RSA"), n: base64url, e: base64url });
const jwk = fc.oneof(ecJwk, rsaJwk);
const bundles: fc.Arbitrary<Bundle & { sequence: bigint; refreshHint: Seconds }> = fc.record({
  trustDomain: fc.constant(trustDomain),
  x509Authorities: fc.uniqueArray(
    fc.record({ der: fc.uint8Array({ minLength: 1, maxLength: 64 }).map((b) => Buffer.from(b)), jwk }),
    { selector: ({ der }) => der.toString("hex"), maxLength: 5 },
  ),
  jwtAuthorities: fc.uniqueArray(fc.record({ keyID: fc.string({ minLength: 1 }), jwk }), {
    selector: ({ keyID }) => keyID,
    maxLength: 5,
  }),
  sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  refreshHint: fc.nat().map(seconds),
});

describe("encodeBundle and parseBundle", () => {
  it("are inverse to each other, but for the order of the authorities", () => {
    fc.assert(
      fc.property(bundles, (bundle) => {
        const parsed = parseBundle(encodeBundle(bundle), trustDomain);
        expect({
          ...parsed,
          x509Authorities: new Set(parsed.x509Authorities),
          jwtAuthorities: new Set(parsed.jwtAuthorities),
        }).toEqual({
          ...bundle,
          x509Authorities: new Set(bundle.x509Authorities),
          jwtAuthorities: new Set(bundle.jwtAuthorities),
        });
      }),
    );
  });

  it("write the same bytes whatever the order of authorities and members", () => {
    fc.assert(
      fc.property(bundles, (bundle) => {
        const turned: Bundle = {
          ...bundle,
          x509Authorities: bundle.x509Authorities
            .map(({ der, jwk }) => ({
              jwk: Object.fromEntries(Object.entries(jwk).reverse()) as typeof jwk,
              der,
            }))
            .reverse(),
          jwtAuthorities: bundle.jwtAuthorities.toReversed(),
        };
        expect(encodeBundle(turned)).toBe(encodeBundle(bundle));
      }),
    );
  });
});

describe("encodeBundle", () => {
  const key = { kty: "EC", crv: "P-256", x: "AA", y: "BB" };
  const empty: Bundle = { trustDomain, x509Authorities: [], jwtAuthorities: [], sequence: 1 };

  it("writes a certificate once that is given twice", () => {
    const root = { der: Uint8Array.of(48, 0), jwk: key };
    expect(JSON.parse(encodeBundle({ ...empty, x509Authorities: [root, { ...root }] })).keys).toHaveLength(1);
  });

  it("never writes a private member", () => {
    const jwtAuthorities = [{ keyID: "k", jwk: { ...key, d: "canary" } }];
    expect(encodeBundle({ ...empty, jwtAuthorities })).not.toContain("canary");
  });

  it.each<[string, Partial<Bundle>]>([
    [
      "two JWT keys of one ID",
      {
        jwtAuthorities: [
          { keyID: "k", jwk: key },
          { keyID: "k", jwk: key },
        ],
      },
    ],
    ["a JWT key without an ID", { jwtAuthorities: [{ keyID: "", jwk: key }] }],
    [
      "an incomplete public key",
      { jwtAuthorities: [{ keyID: "k", jwk: { kty: "EC", crv: "P-256", x: "AA" } }] },
    ],
    ["a negative sequence", { sequence: -1 }],
    ["a sequence of more than 64 bits", { sequence: 2n ** 64n }],
    ["a sequence that a number cannot hold", { sequence: 2 ** 53 }],
  ])("refuses %s as a mistake of the program", (_what, fault) => {
    expect(() => encodeBundle({ ...empty, ...fault })).toThrow(TypeError);
  });
});

describe("parseBundle", () => {
  it.each([
    ["[]", "bundle"],
    ["null", "bundle"],
    ['{"keys":[],"keys":[]}', "bundle"],
    ['{"keys":[{"kty":"EC","kty":"RSA"}]}', "bundle"],
    ['{"keys":{}}', "bundle.keys"],
    ['{"keys":[],"spiffe_sequence":1.5}', "bundle.spiffe_sequence"],
    ['{"keys":[],"spiffe_sequence":"1"}', "bundle.spiffe_sequence"],
    ['{"keys":[],"spiffe_sequence":-1}', "bundle.spiffe_sequence"],
    ['{"keys":[],"spiffe_sequence":1e20}', "bundle.spiffe_sequence"],
    ['{"keys":[],"spiffe_sequence":18446744073709551616}', "bundle.spiffe_sequence"],
    ['{"keys":[],"spiffe_refresh_hint":0.5}', "bundle.spiffe_refresh_hint"],
    ['{"keys":[],"spiffe_refresh_hint":-1}', "bundle.spiffe_refresh_hint"],
    [`{"keys":[],"x":"${"x".repeat(MAX_BUNDLE_LENGTH)}"}`, "bundle"],
  ])("refuses %.60s naming the field", (text, field) => {
    expect(refusalOf(() => parseBundle(text, trustDomain))).toBe(`INVALID_INPUT ${field}`);
  });

  it("refuses two different JWT keys of one kid, and reads the same one twice as one", () => {
    const entry = { kty: "EC", use: "jwt-svid", kid: "k", crv: "P-256", x: "AA", y: "BB" };
    const text = (y: string) => JSON.stringify({ keys: [entry, { ...entry, y }] });
    expect(refusalOf(() => parseBundle(text("CC"), trustDomain))).toBe("INVALID_INPUT bundle.keys");
    expect(parseBundle(text("BB"), trustDomain).jwtAuthorities).toHaveLength(1);
  });
});
