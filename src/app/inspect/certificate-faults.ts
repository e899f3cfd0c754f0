/**
 * Everything that is wrong with one certificate, where the verifier stops at the first fault. Each rule stands here once,
 * with what it means for whoever uses the certificate; the verifier's own verdict is asked last, so that nothing it refuses
 * is called good here.
 */

import type { Seconds } from "../../core/brand.ts";
import { CLOCK_SKEW } from "../../core/clock.ts";
import { isOperatorError, messageOf, quoted } from "../../core/errors.ts";
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from "../../spiffe/spiffe-id.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { EKU_OID } from "../../x509/extensions.ts";
import { keyAlgorithmOf, keyIdOf } from "../../x509/keys.ts";
import { checkAnchorProfile, checkIntermediateProfile, checkLeafProfile } from "../../x509/profile.ts";
import { describeInstant } from "../times.ts";
import { type Fault, note, wrong } from "./report.ts";

/** Leaf: authenticates a workload. Authority: signs. */
export type CertificateRole = "leaf" | "root" | "issuing";

interface Rule {
  readonly rule: string;
  readonly severity?: "note";
  readonly roles: readonly CertificateRole[];
  /** What is wrong, or undefined. */
  readonly fault: (certificate: Certificate, now: Seconds) => string | undefined;
}

const LEAF = ["leaf"] as const;
const AUTHORITY = ["root", "issuing"] as const;
const ANY = ["leaf", "root", "issuing"] as const;

/** In the order in which a person wants to hear of them. */
const RULES: readonly Rule[] = [
  { rule: "X-18", roles: ANY, fault: timeFault },
  { rule: "renewal", severity: "note", roles: LEAF, fault: renewalFault },
  {
    rule: "X-01",
    roles: LEAF,
    fault: ({ uris }) =>
      uris.length === 0
        ? "has no URI in its subjectAltName: it is no SVID, it says of no SPIFFE ID"
        : undefined,
  },
  {
    rule: "X-02",
    roles: ANY,
    fault: ({ uris }) =>
      uris.length > 1
        ? `has ${uris.length} URIs in its subjectAltName, so peers cannot tell which identity is meant and refuse it`
        : undefined,
  },
  {
    rule: "X-19",
    roles: ANY,
    fault: ({ uris }) => uris.map(spiffeIdFault).find((text) => text !== undefined),
  },
  {
    rule: "X-04",
    roles: LEAF,
    fault: ({ uris }) =>
      uris.some((uri) => pathOfUri(uri) === "")
        ? "its SPIFFE ID has no path: that is the trust domain's own ID, not a workload's"
        : undefined,
  },
  {
    rule: "X-07",
    roles: AUTHORITY,
    fault: ({ uris }) =>
      uris.some((uri) => (pathOfUri(uri) ?? "") !== "")
        ? "its SPIFFE ID has a path: a signing certificate carries only the trust domain"
        : undefined,
  },
  {
    rule: "X-06",
    severity: "note",
    roles: AUTHORITY,
    fault: ({ uris }) => (uris.length === 0 ? "carries no SPIFFE ID of its trust domain" : undefined),
  },
  {
    rule: "X-10",
    roles: ["issuing"],
    fault: ({ basicConstraintsCritical }) =>
      basicConstraintsCritical ? undefined : "its basicConstraints extension is not critical",
  },
  {
    rule: "X-13",
    roles: ["leaf", "issuing"],
    fault: ({ keyUsage, keyUsageCritical }) => {
      if (keyUsage === undefined)
        return "has no key usage extension, so nothing says what its key may be used for";
      return keyUsageCritical ? undefined : "its key usage extension is not critical";
    },
  },
  {
    rule: "X-14",
    roles: AUTHORITY,
    fault: ({ keyUsage }) =>
      keyUsage?.has("keyCertSign") === false
        ? "lacks the key usage keyCertSign: peers refuse what it has signed"
        : undefined,
  },
  {
    rule: "X-15",
    roles: LEAF,
    fault: ({ keyUsage }) =>
      keyUsage?.has("keyCertSign") === true || keyUsage?.has("cRLSign") === true
        ? "may sign certificates or revocation lists, which no workload's certificate may"
        : undefined,
  },
  {
    rule: "X-15",
    roles: LEAF,
    fault: ({ keyUsage }) =>
      keyUsage?.has("digitalSignature") === false
        ? "lacks the key usage digitalSignature, so it cannot be used for TLS"
        : undefined,
  },
  {
    rule: "X-16",
    severity: "note",
    roles: AUTHORITY,
    fault: ({ keyUsage }) =>
      keyUsage?.has("digitalSignature") === true ||
      keyUsage?.has("keyEncipherment") === true ||
      keyUsage?.has("keyAgreement") === true
        ? "has key usages of a workload's certificate"
        : undefined,
  },
  { rule: "X-17", roles: LEAF, fault: purposeFault },
  {
    rule: "X-05",
    roles: LEAF,
    fault: ({ subject, sanCritical }) =>
      subject === "" && !sanCritical
        ? "has an empty subject, so its subjectAltName must be critical, and is not"
        : undefined,
  },
  {
    rule: "X-12",
    roles: LEAF,
    fault: ({ nameConstraints }) =>
      nameConstraints === undefined
        ? undefined
        : "has name constraints, which only a signing certificate may",
  },
  {
    rule: "X-12",
    severity: "note",
    roles: AUTHORITY,
    fault: ({ nameConstraints }) =>
      nameConstraints === undefined ? undefined : "has name constraints, which some peers cannot evaluate",
  },
  {
    rule: "X-18",
    roles: ANY,
    fault: ({ unknownCritical }) =>
      unknownCritical.length > 0
        ? `has critical extensions that peers do not know: ${unknownCritical.join(", ")}`
        : undefined,
  },
  {
    rule: "X-18",
    roles: ANY,
    fault: ({ version }) => (version === 3 ? undefined : `is of X.509 version ${version}, not 3`),
  },
  {
    rule: "X-18",
    roles: ANY,
    fault: ({ signatureAlgorithm }) =>
      signatureAlgorithm.name === undefined
        ? `is signed with an algorithm that is not accepted (${signatureAlgorithm.oid}); SHA-1 and MD5 are among those`
        : undefined,
  },
  { rule: "X-18", roles: ANY, fault: keyFault },
];

/** The faults of a certificate by itself, with the verifier's verdict; not whether anyone vouches for it. */
export function certificateFaults(
  certificate: Certificate,
  role: CertificateRole,
  now: Seconds,
): readonly Fault[] {
  const faults = RULES.filter(({ roles }) => roles.includes(role)).flatMap(({ rule, severity, fault }) => {
    const message = fault(certificate, now);
    if (message === undefined) return [];
    return [severity === "note" ? note(rule, message) : wrong(rule, message)];
  });
  const verdict = verdictOf(certificate, role);
  const isTold =
    verdict === undefined ||
    faults.some(({ rule, severity }) => rule === verdict.rule && severity === "wrong");
  return isTold ? faults : [...faults, verdict];
}

export function roleOf(certificate: Certificate): CertificateRole {
  if (!certificate.isCA) return "leaf";
  return Buffer.from(certificate.subjectDer).equals(certificate.issuerDer) ? "root" : "issuing";
}

/** Undefined where it names none, or none that is valid. */
export function spiffeIdOf(certificate: Certificate): SpiffeId | undefined {
  const [uri] = certificate.uris;
  if (uri === undefined || certificate.uris.length > 1) return undefined;
  try {
    return parseSpiffeId(uri);
  } catch {
    return undefined;
  }
}

/** `ECDSA-P256, key ID 3f…`; says so where the key cannot be used. */
export function describeKey(certificate: Certificate): string {
  try {
    const key = certificate.publicKey;
    return `${keyAlgorithmOf(key) ?? key.asymmetricKeyType ?? "unknown"}, key ID ${keyIdOf(key)}`;
  } catch {
    return "of an unknown kind";
  }
}

/** What the verifier refuses about the certificate itself. */
function verdictOf(certificate: Certificate, role: CertificateRole): Fault | undefined {
  const id = spiffeIdOf(certificate);
  try {
    if (role === "leaf") checkLeafProfile(certificate, "it");
    else if (id !== undefined && role === "root") checkAnchorProfile(certificate, "it", trustDomainOf(id));
    else if (id !== undefined) checkIntermediateProfile(certificate, "it", trustDomainOf(id));
    return undefined;
  } catch (error) {
    if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
    const rule = String(error.details["rule"]);
    return wrong(rule, messageOf(error).replace(/^it: /, "").replace(` (${rule})`, ""));
  }
}

function timeFault({ notBefore, notAfter }: Certificate, now: Seconds): string | undefined {
  if (now > notAfter) return `expired ${describeInstant(notAfter, now)}`;
  if (now + CLOCK_SKEW < notBefore)
    return `is not valid yet: it begins ${describeInstant(notBefore, now)}; is a clock wrong?`;
  return undefined;
}

/** meshid renews at half of a life by default, at nine tenths at the latest. */
function renewalFault({ notBefore, notAfter }: Certificate, now: Seconds): string | undefined {
  const isLate = now <= notAfter && notAfter - now < (notAfter - notBefore) / 10;
  return isLate
    ? "less than a tenth of its life is left and it was not renewed: is meshid running?"
    : undefined;
}

function spiffeIdFault(uri: string): string | undefined {
  try {
    parseSpiffeId(uri, "its URI");
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function pathOfUri(uri: string): string | undefined {
  try {
    return pathOf(parseSpiffeId(uri));
  } catch {
    return undefined;
  }
}

function purposeFault({ extKeyUsage }: Certificate): string | undefined {
  if (extKeyUsage === undefined) return "has no extended key usage; expected serverAuth and clientAuth";
  const lacking = (["serverAuth", "clientAuth"] as const).filter(
    (purpose) => !extKeyUsage.includes(EKU_OID[purpose]),
  );
  return lacking.length === 0
    ? undefined
    : `lacks the extended key usage ${lacking.join(" and ")}: one side of mTLS refuses it`;
}

function keyFault(certificate: Certificate): string | undefined {
  try {
    const key = certificate.publicKey;
    const bits = key.asymmetricKeyType === "rsa" ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : undefined;
    return bits !== undefined && bits < 2048
      ? `its RSA key has only ${bits} bits; expected 2048 at least`
      : undefined;
  } catch (error) {
    return `has a public key that cannot be used: ${quoted(messageOf(error)).slice(1, -1)}`;
  }
}
