/** SPIFFE-ID.md: one test for each requirement on an issuer or validator, named by its ID. */

import { describe, expect, it } from "@jest/globals";
import { signJwtSvid, verifyJwtSvid } from "../../src/jwt/jwt-svid.ts";
import {
  parseSpiffeId,
  pathOf,
  trustDomainOf,
  trustDomainSpiffeId,
  workloadSpiffeId,
} from "../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import { refusalOf } from "../support/errors.ts";
import {
  encode,
  forge,
  HONEST_CLAIMS,
  HONEST_HEADER,
  P256,
  SIGNABLE,
  SUBJECT,
  VERIFIER,
} from "../support/tokens.ts";

const TRUST_DOMAIN = parseTrustDomain("example.org");

/** The texts of which this is not true, so that a failure names them. */
function accepted(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => refusalOf(() => parseSpiffeId(text)) === "accepted");
}

describe("SPIFFE ID", () => {
  it("ID-01 wants the scheme spiffe and a trust domain, and no query or fragment (§2)", () => {
    const bad = [
      "",
      "example.org/a",
      "//example.org/a",
      "http://example.org/a",
      "spiffes://example.org/a",
      "spiffe:example.org/a",
      "spiffe:/example.org/a",
      " spiffe://example.org/a",
      "spiffe://example.org/a ",
      "spiffe://example.org/a\n",
      "spiffe://",
      "spiffe:///a",
      "spiffe://example.org/a?b",
      "spiffe://example.org?b",
      "spiffe://example.org/a#b",
      "spiffe://example.org#",
    ];
    expect(accepted([...bad, "spiffe://example.org/a"])).toEqual(["spiffe://example.org/a"]);
  });

  it("ID-02 wants a host without userinfo and port (§2.1)", () => {
    const bad = [
      "user@example.org",
      "user:pw@example.org",
      "@example.org",
      "example.org:8443",
      "example.org:",
    ];
    expect(accepted(bad.map((host) => `spiffe://${host}/a`))).toEqual([]);
  });

  it("ID-03 wants a host of a-z, 0-9, '.', '-' and '_', without percent-encoding (§2.1)", () => {
    const bad = ["example%2eorg", "exämple.org", "a b", "a+b", "a~b", "a,b", "*", "a\\b", "a\0b", "a!"];
    expect(accepted(bad.map((host) => `spiffe://${host}/a`))).toEqual([]);
    const every = "spiffe://abcdefghijklmnopqrstuvwxyz0123456789.-_/a";
    expect(accepted([every])).toEqual([every]);
  });

  it("ID-04 treats a trust domain the same that looks like an IPv4 address or is no DNS name (§2.1)", () => {
    const good = ["10.0.0.1", "999.1", "1", "-a-", "_x", "a..b", ".a", "a."].map(
      (host) => `spiffe://${host}/a`,
    );
    expect(accepted(good)).toEqual(good);
    expect(accepted(["spiffe://[::1]/a", "spiffe://::1/a"])).toEqual([]);
  });

  it("ID-05 wants a path without percent-encoding (§2.2)", () => {
    expect(
      accepted(["spiffe://example.org/a%2fb", "spiffe://example.org/%61", "spiffe://example.org/%"]),
    ).toEqual([]);
  });

  it("ID-06 wants no empty, '.' or '..' segment, and takes segments that only begin with dots (§2.2)", () => {
    expect(
      accepted(["//a", "/a//b", "/.", "/..", "/./a", "/a/../b"].map((p) => `spiffe://example.org${p}`)),
    ).toEqual([]);
    const good = ["/...", "/.x", "/..x", "/a/.../b", "/a.."].map((path) => `spiffe://example.org${path}`);
    expect(accepted(good)).toEqual(good);
  });

  it("ID-07 wants no trailing slash (§2.2)", () => {
    expect(accepted(["spiffe://example.org/", "spiffe://example.org/a/"])).toEqual([]);
  });

  it("ID-08 wants segments of a-z, A-Z, 0-9, '.', '-' and '_' (§2.2)", () => {
    const bad = ["é", "a b", "a:b", "a@b", "a~", "a;b", "a=b", "a\\b", "a\0", "a+b", "(a)"];
    expect(accepted(bad.map((segment) => `spiffe://example.org/${segment}`))).toEqual([]);
    const every = "spiffe://example.org/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789.-_";
    expect(accepted([every])).toEqual([every]);
  });

  it("ID-09 takes an ID of 2048 bytes (§2.3)", () => {
    const longest = `spiffe://example.org/${"a".repeat(2048 - 21)}`;
    expect([longest.length, ...accepted([longest, `${longest}a`])]).toEqual([2048, longest]);
  });

  it("ID-10 makes no ID of more than 2048 bytes (§2.3)", () => {
    const make = (length: number) => refusalOf(() => workloadSpiffeId(TRUST_DOMAIN, "n".repeat(length), "s"));
    const rest = "spiffe://example.org/ns//sa/s".length;
    expect([make(2048 - rest), make(2049 - rest)]).toEqual(["accepted", "INVALID_INPUT spiffeID"]);
  });

  it("ID-11 takes a trust domain of 255 bytes and no longer one (§2.3)", () => {
    const longest = "a".repeat(255);
    expect([
      parseTrustDomain(longest),
      refusalOf(() => parseTrustDomain(`${longest}a`)),
      ...accepted([`spiffe://${longest}/x`, `spiffe://${longest}a/x`]),
    ]).toEqual([longest, "INVALID_INPUT trustDomain", `spiffe://${longest}/x`]);
  });

  it("ID-12 tells paths apart by case (§2.4; for scheme and trust domain see T1)", () => {
    expect(parseSpiffeId("spiffe://example.org/A")).not.toBe(parseSpiffeId("spiffe://example.org/a"));
  });

  it("ID-14 gives the signing authority an ID in its trust domain, without a path (§3.1)", () => {
    const id = trustDomainSpiffeId(TRUST_DOMAIN);
    expect([id, trustDomainOf(id), pathOf(id)]).toEqual(["spiffe://example.org", "example.org", ""]);
  });

  it("ID-15 has the ID of a JWT-SVID inside what is signed (§3.2)", () => {
    const [header, , signature] = forge({}).split(".");
    const other = encode({ ...HONEST_CLAIMS, sub: "spiffe://example.org/ns/shop/sa/admin" });
    expect(refusalOf(() => verifyJwtSvid(`${header}.${other}.${signature}`, VERIFIER))).toBe(
      "VERIFICATION_FAILED signature",
    );
  });

  it("ID-16 makes a token that is a JWT-SVID (§3.3)", async () => {
    const token = await signJwtSvid(SIGNABLE, { keyID: "key-1", algorithm: "ES256", key: P256.privateKey });
    expect(verifyJwtSvid(token.reveal(), VERIFIER).spiffeId).toBe(SUBJECT);
  });
});

describe("interop traps on SPIFFE IDs", () => {
  it("T1 refuses scheme and trust domain in upper case, as peers do, and so makes lower case only", () => {
    expect(accepted(["Spiffe://example.org/a", "SPIFFE://example.org/a", "spiffe://Example.org/a"])).toEqual(
      [],
    );
    expect(refusalOf(() => parseTrustDomain("Example.org"))).toBe("INVALID_INPUT trustDomain");
  });

  it("T9 refuses a workload's SVID whose ID has the root path", () => {
    const token = forge({ header: HONEST_HEADER, claims: { ...HONEST_CLAIMS, sub: "spiffe://example.org" } });
    expect(refusalOf(() => verifyJwtSvid(token, VERIFIER))).toBe("VERIFICATION_FAILED J-06");
  });
});
