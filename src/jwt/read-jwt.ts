/**
 * The form of a JWT-SVID: everything about a token that can be told without a key, a clock or a trust domain.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { OperatorError, quoted } from "../core/errors.ts";
import { asRecord, parseStrictJson } from "../core/strict-json.ts";
import { isJwsAlgorithm, type JwsAlgorithm } from "./jws.ts";

/**
 * What a token breaks, as `details.rule` of VERIFICATION_FAILED. `J-` and `B-` are the MUSTs of the JWT-SVID and bundle
 * standards as `test/conformance` numbers them; the others are words.
 */
export type JwtRule =
  /** Not a JWS in compact serialization. */
  | "J-01"
  /** A header other than alg, kid, typ. */
  | "J-02"
  /** An algorithm that is not allowed, or not the key's. */
  | "J-03"
  /** typ. */
  | "J-05"
  /** sub is no workload's SPIFFE ID. */
  | "J-06"
  /** aud is absent or lacks the verifier. */
  | "J-07"
  /** Several audiences. */
  | "J-08"
  /** exp is absent or past. */
  | "J-09"
  /** The key is none of the subject's trust domain. */
  | "J-14"
  /** The bundle is empty. */
  | "B-06"
  | "kid"
  | "claims"
  | "iat"
  | "nbf"
  | "issuer"
  | "life"
  | "signature";

interface JwtHeader {
  readonly alg: JwsAlgorithm;
  readonly kid: string;
  readonly typ: "JWT" | "JOSE" | undefined;
}

/** The registered claims; others are allowed and not read (JWT-SVID §3). */
interface JwtClaims {
  readonly sub: string;
  /** One or more; a single string is read as one. */
  readonly aud: readonly string[];
  readonly exp: Seconds;
  readonly iat: Seconds;
  readonly nbf: Seconds | undefined;
  readonly iss: string | undefined;
  readonly jti: string | undefined;
}

export interface ReadJwt {
  readonly header: JwtHeader;
  readonly claims: JwtClaims;
  /** What is signed. */
  readonly input: Buffer;
  readonly signature: Buffer;
}

/** In characters. */
const MAX_TOKEN_LENGTH = 16_384;
/** 9999-12-31T23:59:59Z, the last instant of RFC 3339. */
const MAX_TIME = 253_402_300_799;

const HEADER_NAMES: ReadonlySet<string> = new Set(["alg", "kid", "typ"]);
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads a token without verifying it: nothing in the result can be trusted. Refuses what two readers could read
 * differently: padding, line ends, base64url that is not canonical, text that is not UTF-8, members named twice.
 * @throws VERIFICATION_FAILED with `details.rule`; messages never quote the token.
 */
export function readJwt(token: string): ReadJwt {
  if (token.length > MAX_TOKEN_LENGTH) {
    throw refuse("J-01", `longer than ${MAX_TOKEN_LENGTH} characters`);
  }
  const [header, claims, signature, ...more] = token.split(".");
  if (header === undefined || claims === undefined || signature === undefined || more.length > 0) {
    throw refuse("J-01", "not the three parts of a compact JWS");
  }
  // The algorithm is looked at before anything else of the token is (JWT-SVID §4).
  const readHeader = parseHeader(jsonPart(header, "header"));
  return {
    header: readHeader,
    claims: parseClaims(jsonPart(claims, "claims")),
    input: Buffer.from(`${header}.${claims}`, "latin1"),
    signature: decodePart(signature, "signature"),
  };
}

export function refuse(rule: JwtRule, message: string, cause?: unknown): OperatorError {
  return new OperatorError("VERIFICATION_FAILED", `JWT-SVID refused: ${message} (${rule})`, {
    cause,
    details: { rule },
  });
}

/** Canonical base64url only: for each content there is one text (RFC 4648 §3.5). */
function decodePart(part: string, name: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  if (part === "" || bytes.toString("base64url") !== part) {
    throw refuse("J-01", `the ${name} is not base64url without padding`);
  }
  return bytes;
}

function jsonPart(part: string, name: string): Readonly<Record<string, unknown>> {
  const bytes = decodePart(part, name);
  let value: unknown;
  try {
    value = parseStrictJson(UTF8.decode(bytes), name);
  } catch (error) {
    const reason = error instanceof OperatorError ? error.message : `${name}: is not UTF-8`;
    throw refuse("J-01", reason, error);
  }
  const record = asRecord(value);
  if (record === undefined) throw refuse("J-01", `the ${name} is not a JSON object`);
  return record;
}

function parseHeader(header: Readonly<Record<string, unknown>>): JwtHeader {
  const { alg, kid, typ } = header;
  if (!isJwsAlgorithm(alg)) {
    throw refuse(
      "J-03",
      `alg ${typeof alg === "string" ? quoted(alg) : "is absent or no string and"} is not allowed`,
    );
  }
  const other = Object.keys(header).find((name) => !HEADER_NAMES.has(name));
  if (other !== undefined) throw refuse("J-02", `the header has a member ${quoted(other)}`);
  if (typ !== undefined && typ !== "JWT" && typ !== "JOSE") {
    throw refuse("J-05", "typ is neither JWT nor JOSE");
  }
  // Optional in the standard, required by its common verifiers.
  if (typeof kid !== "string" || kid === "") throw refuse("kid", "the header has no kid");
  return { alg, kid, typ };
}

function parseClaims(claims: Readonly<Record<string, unknown>>): JwtClaims {
  const { sub, aud, exp, iat, nbf, iss, jti } = claims;
  if (typeof sub !== "string") throw refuse("J-06", "sub is absent or no string");
  if (iat === undefined) throw refuse("iat", "iat is absent, so that the token's life is unknown");
  return {
    sub,
    aud: parseAudience(aud),
    exp: parseTime(exp, "J-09", "exp"),
    iat: parseTime(iat, "iat", "iat"),
    nbf: nbf === undefined ? undefined : parseTime(nbf, "nbf", "nbf"),
    iss: parseOptionalString(iss, "iss"),
    jti: parseOptionalString(jti, "jti"),
  };
}

function parseAudience(aud: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const audiences = values.filter((value) => typeof value === "string" && value !== "") as readonly string[];
  if (audiences.length === 0 || audiences.length !== values.length) {
    throw refuse("J-07", "aud is absent or has no or other values than non-empty strings");
  }
  return audiences;
}

function parseTime(value: unknown, rule: JwtRule, name: string): Seconds {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_TIME)
    return seconds(value);
  const problem = value === undefined ? "absent" : "not a whole number of seconds before the year 10000";
  throw refuse(rule, `${name} is ${problem}`);
}

function parseOptionalString(value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw refuse("claims", `${name} is not a string`);
}
