/**
 * Bundles of every form, explained: PEM roots, the SPIFFE bundle document, a JWK Set.
 */

import type { Seconds } from "../../core/brand.ts";
import { messageOf, quoted } from "../../core/errors.ts";
import { asRecord, parseStrictJson } from "../../core/strict-json.ts";
import { isJwsAlgorithm } from "../../jwt/jws.ts";
import { type PublicJwk, publicJwkOf } from "../../spiffe/bundle.ts";
import { trustDomainOf } from "../../spiffe/spiffe-id.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { roleOf, spiffeIdOf } from "./certificate-faults.ts";
import { certificateReport } from "./certificate-report.ts";
import { describeJwk } from "./key-report.ts";
import { type Fact, type Fault, fact, note, type Report, wrong } from "./report.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Members of a JWK that are not public (RFC 7518 §6.2.2, §6.3.2, §6.4). */
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;
const MAX_ENTRIES = 512;

export function pemBundleReport(certificates: readonly Certificate[], now: Seconds): Report {
  const parts = certificates.map((certificate, index) => ({
    ...certificateReport(certificate, now),
    name: `root ${index + 1}`,
  }));
  return {
    kind: "pem-bundle",
    title: `PEM bundle with ${count(certificates.length, "authority", "authorities")}`,
    facts: [trustDomainFact(certificates)],
    faults: [...mixedFaults(certificates), ...allExpired(certificates, now), ...twice(certificates)],
    parts,
  };
}

/** `document` has an array or nothing under `keys`, and looks like SPIFFE's. */
export function spiffeBundleReport(text: string, document: JsonObject, now: Seconds): Report {
  const entries = entriesOf(document);
  const certificates = entries.flatMap((entry) => certificateOf(entry) ?? []);
  const jwtKeys = entries.filter((entry) => entry["use"] === "jwt-svid");
  return {
    kind: "spiffe-bundle",
    title: `SPIFFE bundle with ${count(certificates.length, "X.509 authority", "X.509 authorities")} and ${count(jwtKeys.length, "JWT key", "JWT keys")}`,
    facts: [trustDomainFact(certificates), ...documentFacts(document)],
    faults: [
      ...documentFaults(text, document, entries),
      ...mixedFaults(certificates),
      ...allExpired(certificates, now),
    ],
    parts: entries.slice(0, MAX_ENTRIES).map((entry, index) => entryReport(entry, index, now)),
  };
}

export function jwksReport(text: string, document: JsonObject): Report {
  const entries = entriesOf(document);
  const ids = entries.map(({ kid }) => (typeof kid === "string" ? kid : undefined));
  const repeated = ids.find((id, index) => id !== undefined && ids.indexOf(id) !== index);
  return {
    kind: "jwks",
    title: `JWK Set with ${count(entries.length, "key", "keys")}`,
    facts: [],
    faults: [
      ...strictFaults(text),
      ...keysFaults(document, entries, "no token can be verified with it"),
      ...(repeated === undefined ? [] : [wrong("kid", `two keys share the kid ${quoted(repeated)}`)]),
    ],
    parts: entries.slice(0, MAX_ENTRIES).map((entry, index) => jwkReport(entry, `key ${index + 1}`)),
  };
}

/** One JWK of a JWK Set, or by itself. */
export function jwkReport(entry: JsonObject, name?: string): Report {
  const jwk = publicJwkOf(entry);
  const { kid, alg, use } = entry;
  const faults: readonly Fault[] = [
    ...privateFaults(entry),
    ...(jwk === undefined
      ? [wrong("jwk", "is not a complete public key of type EC, RSA or OKP: verifiers pass it over")]
      : []),
    ...(typeof kid === "string" && kid !== "" ? [] : [wrong("kid", "has no kid: no token can name it")]),
    ...(alg === undefined || isJwsAlgorithm(alg)
      ? []
      : [wrong("J-03", "its alg is not one that a JWT-SVID may have: verifiers pass it over")]),
    ...(use === undefined || use === "sig"
      ? []
      : [
          note(
            "use",
            `its use is ${typeof use === "string" ? quoted(use) : "no text"}, not sig: verifiers of tokens pass it over`,
          ),
        ]),
  ];
  return {
    kind: "jwk",
    title: "public key",
    ...(name === undefined ? {} : { name }),
    facts: jwkFacts(entry, jwk),
    faults,
    parts: [],
  };
}

function entryReport(entry: JsonObject, index: number, now: Seconds): Report {
  const name = `key ${index + 1}`;
  const faults = [...privateFaults(entry), ...useFaults(entry)];
  const certificate = certificateOf(entry);
  if (certificate === undefined) {
    return {
      kind: "jwk",
      title: entry["use"] === "jwt-svid" ? "JWT key" : "key",
      name,
      facts: jwkFacts(entry, publicJwkOf(entry)),
      faults,
      parts: [],
    };
  }
  const report = certificateReport(certificate, now);
  const selfSigned =
    roleOf(certificate) === "issuing"
      ? [note("X-22", "is not self-signed: strict peers accept roots only")]
      : [];
  const isAuthority = certificate.isCA
    ? []
    : [wrong("X-10", "is not a signing certificate, so it is no authority")];
  return { ...report, name, faults: [...faults, ...report.faults, ...selfSigned, ...isAuthority] };
}

function useFaults(entry: JsonObject): readonly Fault[] {
  const { use, x5c, kid } = entry;
  if (use === "x509-svid") {
    const length = Array.isArray(x5c) ? x5c.length : 0;
    return [
      ...(length === 1
        ? []
        : [
            wrong(
              "X-21",
              `has ${length} certificates in x5c, not one: go-spiffe and SPIRE refuse the whole bundle`,
            ),
          ]),
      ...(kid === undefined
        ? []
        : [wrong("X-20", "is an x509-svid entry with a kid, which it must not have")]),
      ...(length > 0 && certificateOf(entry) === undefined
        ? [wrong("X-21", "its x5c is not a certificate in base64")]
        : []),
    ];
  }
  if (use === "jwt-svid")
    return typeof kid === "string" && kid !== "" ? [] : [wrong("J-12", "is a jwt-svid entry without a kid")];
  const shown = use === undefined ? "no use" : "an unknown use";
  return [
    wrong(
      use === undefined ? "B-08" : "B-07",
      `has ${shown}: SPIRE drops the whole bundle for that; expected x509-svid or jwt-svid`,
    ),
  ];
}

function documentFaults(
  text: string,
  document: JsonObject,
  entries: readonly JsonObject[],
): readonly Fault[] {
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = document;
  const isInteger = typeof sequence === "bigint" || Number.isSafeInteger(sequence);
  return [
    ...strictFaults(text),
    ...keysFaults(document, entries, "every SVID of this trust domain is invalid"),
    ...(sequence === undefined
      ? [note("B-02", "has no spiffe_sequence: consumers cannot tell which of two bundles is newer")]
      : []),
    ...(sequence !== undefined && !isInteger
      ? [wrong("B-02", "its spiffe_sequence is not a whole number")]
      : []),
    ...(hint === undefined
      ? [note("B-04", "has no spiffe_refresh_hint: consumers fetch it every five minutes or so")]
      : []),
    ...(hint !== undefined && !Number.isSafeInteger(hint)
      ? [wrong("B-04", "its spiffe_refresh_hint is not a whole number of seconds")]
      : []),
  ];
}

function documentFacts(document: JsonObject): readonly Fact[] {
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = document;
  return [
    ...(sequence === undefined
      ? []
      : [
          fact(
            "sequence",
            "Sequence",
            typeof sequence === "bigint" ? sequence.toString() : JSON.stringify(sequence),
          ),
        ]),
    ...(typeof hint === "number" ? [fact("refreshHint", "Refresh hint", hint, `${hint} s`)] : []),
  ];
}

/** The documents' own readers refuse what two readers could read differently. */
function strictFaults(text: string): readonly Fault[] {
  try {
    parseStrictJson(text, "the document");
    return [];
  } catch (error) {
    return [wrong("json", messageOf(error))];
  }
}

function keysFaults(document: JsonObject, entries: readonly JsonObject[], meaning: string): readonly Fault[] {
  const { keys } = document;
  if (!Array.isArray(keys))
    return [
      wrong("B-05", "keys is not an array: readers refuse the document; [] would revoke every authority"),
    ];
  if (keys.length === 0) return [wrong("B-06", `keys is empty: ${meaning}`)];
  return entries.length === keys.length ? [] : [wrong("B-05", "keys has entries that are no objects")];
}

function privateFaults(entry: JsonObject): readonly Fault[] {
  const found = PRIVATE_MEMBERS.filter((member) => entry[member] !== undefined);
  return found.length === 0
    ? []
    : [
        wrong(
          "private",
          `holds a PRIVATE key (${found.join(", ")}): whoever can read this can sign. Rotate that key now`,
        ),
      ];
}

function jwkFacts(entry: JsonObject, jwk: PublicJwk | undefined): readonly Fact[] {
  const { kid, alg, use } = entry;
  return [
    ...(typeof kid === "string" ? [fact("kid", "Key ID", kid)] : []),
    fact("key", "Key", jwk === undefined ? "unknown" : describeJwk(jwk)),
    ...(typeof alg === "string" ? [fact("alg", "Algorithm", alg)] : []),
    ...(typeof use === "string" ? [fact("use", "Use", use)] : []),
  ];
}

function entriesOf({ keys }: JsonObject): readonly JsonObject[] {
  return Array.isArray(keys) ? keys.map(asRecord).filter((entry) => entry !== undefined) : [];
}

function certificateOf({ use, x5c }: JsonObject): Certificate | undefined {
  const first: unknown = use === "x509-svid" && Array.isArray(x5c) ? x5c[0] : undefined;
  if (typeof first !== "string") return undefined;
  try {
    return parseCertificate(Buffer.from(first, "base64"));
  } catch {
    return undefined;
  }
}

function trustDomainFact(certificates: readonly Certificate[]): Fact {
  const ids = [
    ...new Set(certificates.map(spiffeIdOf).flatMap((id) => (id === undefined ? [] : [trustDomainOf(id)]))),
  ];
  return fact(
    "trustDomains",
    "Trust domain",
    ids,
    ids.length === 0 ? "not said by the certificates" : ids.join("\n"),
  );
}

/** Bundles are never merged (Federation §7.3). */
function mixedFaults(certificates: readonly Certificate[]): readonly Fault[] {
  const ids = new Set(certificates.map(spiffeIdOf).filter((id) => id !== undefined));
  if (ids.size < 2) return [];
  return [
    wrong(
      "F-07",
      `mixes ${ids.size} trust domains: each could then speak for the others. Keep one bundle for each`,
    ),
  ];
}

function allExpired(certificates: readonly Certificate[], now: Seconds): readonly Fault[] {
  if (certificates.length === 0 || certificates.some(({ notAfter }) => now <= notAfter)) return [];
  return [wrong("X-18", "every authority in it has expired: it vouches for nobody")];
}

function twice(certificates: readonly Certificate[]): readonly Fault[] {
  const ders = new Set(certificates.map(({ der }) => Buffer.from(der).toString("base64")));
  return ders.size === certificates.length ? [] : [note("twice", "holds a certificate twice")];
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
