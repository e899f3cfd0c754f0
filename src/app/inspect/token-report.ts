/**
 * A JWT-SVID, explained: header and claims, never the signature, so that what is printed cannot be used.
 */

import { type Seconds, seconds } from "../../core/brand.ts";
import { CLOCK_SKEW, toRfc3339 } from "../../core/clock.ts";
import { isOperatorError, messageOf, quoted } from "../../core/errors.ts";
import { asRecord, parseStrictJson } from "../../core/strict-json.ts";
import { isJwsAlgorithm } from "../../jwt/jws.ts";
import { readJwt, type VerificationKey, verifyJwtSvid } from "../../jwt/jwt-svid.ts";
import { parseSpiffeId, pathOf, trustDomainOf } from "../../spiffe/spiffe-id.ts";
import { scrub } from "../../telemetry/redaction.ts";
import { describeInstant } from "../times.ts";
import { type Data, type Fact, type Fault, fact, note, type Report, wrong } from "./report.ts";

export interface JwtKeys {
  readonly keys: ReadonlyMap<string, VerificationKey>;
  /** As in `jwks.json`. */
  readonly name: string;
}

type JsonObject = Readonly<Record<string, unknown>>;

const COMPACT = /^[A-Za-z0-9_-]+={0,2}\.[A-Za-z0-9_-]+={0,2}\.[A-Za-z0-9_-]*={0,2}$/;
/** What is explained apart, and so not among the other claims. */
const NAMED_CLAIMS: ReadonlySet<string> = new Set(["sub", "aud", "iss", "iat", "nbf", "exp", "jti"]);
const MAX_CLAIM_TEXT = 200;
const MAX_LIFE = 86_400;

/** Whether it has the form of a compact JWS, whatever is in it. */
export function looksLikeToken(text: string): boolean {
  return COMPACT.test(text.trim()) && asRecord(decodePart(text.trim().split(".")[0] ?? "")) !== undefined;
}

/** `text` looks like a token; `isFile`: then a line end in it matters. */
export function tokenReport(
  text: string,
  now: Seconds,
  options: { readonly isFile?: boolean; readonly trust?: JwtKeys } = {},
): Report {
  const token = text.trim();
  const [first = "", second = ""] = token.split(".");
  const header = asRecord(decodePart(first)) ?? {};
  const claims = asRecord(decodePart(second)) ?? {};
  const faults = [...headerFaults(header), ...claimFaults(claims, now)];
  const lineEnd =
    options.isFile === true && token !== text
      ? [note("line-end", "the file has white space around the token; clients that send it as it is fail")]
      : [];
  return {
    kind: "token",
    title: "JWT-SVID",
    facts: [...tokenFacts(header, claims, now), trustFact(options.trust)],
    faults: [
      ...faults,
      ...verdict(token, faults),
      ...(options.trust === undefined ? [] : trustFaults(token, options.trust, now, faults)),
      ...lineEnd,
    ],
    parts: [],
  };
}

function tokenFacts(header: JsonObject, claims: JsonObject, now: Seconds): readonly Fact[] {
  const { sub, iss, jti, exp, nbf, iat } = claims;
  const times = [
    ...timeFact("exp", isTime(exp) && now > exp ? "Expired" : "Valid until", exp, now),
    ...timeFact("nbf", "Valid since", nbf, now),
    ...timeFact("iat", "Issued", iat, now),
  ];
  const others = Object.keys(claims).filter((name) => !NAMED_CLAIMS.has(name));
  return [
    ...textFact("sub", "SPIFFE ID", sub),
    fact("aud", "Audience", audiencesOf(claims), audiencesOf(claims).join("\n") || "none"),
    ...times,
    ...textFact("iss", "Issuer", iss),
    ...textFact("kid", "Key ID", header["kid"]),
    ...textFact("alg", "Algorithm", header["alg"]),
    ...textFact("jti", "Token ID", jti),
    ...(others.length === 0
      ? []
      : [fact("otherClaims", "Other claims", otherClaims(claims, others), others.join(", "))]),
  ];
}

function headerFaults(header: JsonObject): readonly Fault[] {
  const { alg, kid, typ } = header;
  const others = Object.keys(header).filter((name) => !["alg", "kid", "typ"].includes(name));
  return [
    ...(others.length === 0
      ? []
      : [
          wrong("J-02", `the header has ${others.map(quoted).join(", ")}; only alg, kid and typ are allowed`),
        ]),
    ...(isJwsAlgorithm(alg)
      ? []
      : [
          wrong(
            "J-03",
            `alg ${typeof alg === "string" ? quoted(alg) : "is absent and"} is not allowed; expected one of RS, ES or PS with 256, 384 or 512`,
          ),
        ]),
    ...(typeof kid === "string" && kid !== ""
      ? []
      : [wrong("kid", "the header has no kid: the common verifiers refuse it")]),
    ...(typ === undefined || typ === "JWT" || typ === "JOSE"
      ? []
      : [wrong("J-05", "typ is neither JWT nor JOSE")]),
  ];
}

function claimFaults(claims: JsonObject, now: Seconds): readonly Fault[] {
  const { exp, iat, nbf } = claims;
  const audiences = audiencesOf(claims);
  const faults: Fault[] = [...subjectFaults(claims["sub"])];
  if (audiences.length === 0)
    faults.push(wrong("J-07", "aud is absent: it is for nobody, and every verifier refuses it"));
  if (audiences.length > 1)
    faults.push(
      note("J-08", `it is for ${audiences.length} audiences: each of them could use it towards the others`),
    );
  if (!isTime(exp))
    faults.push(wrong("J-09", "exp is absent or not a whole number of seconds: it would be valid for ever"));
  else if (now > exp) faults.push(wrong("J-09", `expired ${describeInstant(seconds(exp), now)}`));
  if (!isTime(iat))
    faults.push(wrong("iat", "iat is absent or not a whole number of seconds, so that its life is unknown"));
  else if (iat > now + CLOCK_SKEW)
    faults.push(
      wrong("iat", `is issued in the future, ${describeInstant(seconds(iat), now)}; is a clock wrong?`),
    );
  if (isTime(nbf) && nbf > now + CLOCK_SKEW)
    faults.push(wrong("nbf", `is not valid yet: it begins ${describeInstant(seconds(nbf), now)}`));
  if (isTime(exp) && isTime(iat) && exp - iat > MAX_LIFE + CLOCK_SKEW) {
    faults.push(wrong("life", `lives for ${Math.round((exp - iat) / 3600)} hours; expected 24 at most`));
  }
  return faults;
}

function subjectFaults(sub: unknown): readonly Fault[] {
  if (typeof sub !== "string") return [wrong("J-06", "sub is absent: it says of nobody")];
  try {
    return pathOf(parseSpiffeId(sub, "sub")) === ""
      ? [wrong("J-06", "sub has no path: that is the trust domain's own ID, not a workload's")]
      : [];
  } catch (error) {
    return [wrong("J-06", messageOf(error))];
  }
}

/** The strict reader's first refusal, unless it was told already. */
function verdict(token: string, told: readonly Fault[]): readonly Fault[] {
  try {
    readJwt(token);
    return [];
  } catch (error) {
    return refusalFault(error, told);
  }
}

/** Whether a key of the bundle signed it, at a moment within its life: that it has expired is told apart. */
function trustFaults(token: string, trust: JwtKeys, now: Seconds, told: readonly Fault[]): readonly Fault[] {
  try {
    const { claims } = readJwt(token);
    const options = {
      keys: trust.keys,
      trustDomain: trustDomainOf(parseSpiffeId(claims.sub)),
      audience: claims.aud[0] ?? "",
      singleAudience: false,
    };
    verifyJwtSvid(token, {
      ...options,
      now: seconds(Math.min(Math.max(now, claims.iat), Math.max(claims.exp - 1, 0))),
    });
    return [];
  } catch (error) {
    // INVALID_INPUT: the subject is no SPIFFE ID, which is told.
    if (isOperatorError(error, "INVALID_INPUT")) return [];
    return refusalFault(error, told, `${trust.name} does not vouch for it: `);
  }
}

function refusalFault(error: unknown, told: readonly Fault[], prefix = ""): readonly Fault[] {
  if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
  const rule = String(error.details["rule"]);
  if (told.some((fault) => fault.rule === rule && fault.severity === "wrong")) return [];
  const message = messageOf(error)
    .replace(/^JWT-SVID refused: /, "")
    .replace(` (${rule})`, "");
  return [wrong(rule, prefix + message)];
}

function trustFact(trust: JwtKeys | undefined): Fact {
  const shown =
    trust === undefined ? "not checked (--bundle FILE checks it)" : `checked against ${trust.name}`;
  return fact("trust", "Signature", trust === undefined ? "unchecked" : trust.name, shown);
}

/** Undefined where it is not JSON in base64url; the strict reader says why. */
function decodePart(part: string): unknown {
  try {
    return parseStrictJson(Buffer.from(part, "base64url").toString("utf8"), "part");
  } catch {
    return undefined;
  }
}

function audiencesOf({ aud }: JsonObject): readonly string[] {
  const values: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return values.filter((value) => typeof value === "string" && value !== "") as readonly string[];
}

function timeFact(name: string, label: string, value: unknown, now: Seconds): readonly Fact[] {
  if (!isTime(value)) return [];
  return [fact(name, label, toRfc3339(seconds(value)), describeInstant(seconds(value), now))];
}

function textFact(name: string, label: string, value: unknown): readonly Fact[] {
  return typeof value === "string" ? [fact(name, label, cut(value))] : [];
}

function otherClaims(claims: JsonObject, names: readonly string[]): Data {
  return Object.fromEntries(
    names.map((name) => [
      name,
      cut(
        JSON.stringify(claims[name], (_, value: unknown) =>
          typeof value === "bigint" ? String(value) : value,
        ) ?? "",
      ),
    ]),
  );
}

/** A claim may hold a token or a key of its own. */
function cut(raw: string): string {
  const text = scrub(raw);
  return text.length > MAX_CLAIM_TEXT ? `${text.slice(0, MAX_CLAIM_TEXT)}…` : text;
}

/** Also a date that a calendar has. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= 253_402_300_799;
}
