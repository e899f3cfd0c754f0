/**
 * Certificates and chains, explained.
 */

import { type Seconds, seconds } from "../../core/brand.ts";
import { toRfc3339 } from "../../core/clock.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { trustDomainOf } from "../../spiffe/spiffe-id.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { checkIssuedBy } from "../../x509/path.ts";
import { verifyX509Svid } from "../../x509/verify.ts";
import { describeInstant } from "../times.ts";
import {
  type CertificateRole,
  certificateFaults,
  describeKey,
  roleOf,
  spiffeIdOf,
} from "./certificate-faults.ts";
import { describeCross, isCross } from "./cross.ts";
import { type Fact, type Fault, fact, note, type Report, wrong } from "./report.ts";

/** What the credential is checked against, where there is something. */
export interface Roots {
  readonly roots: readonly Certificate[];
  /** As in `ca.crt`. */
  readonly name: string;
}

const TITLES: Readonly<Record<CertificateRole, string>> = {
  leaf: "X.509-SVID",
  root: "root certificate",
  issuing: "issuing certificate",
};

/** `chain` is not empty. Its first certificate is the one that matters; the others are parts of the report. */
export function chainReport(chain: readonly Certificate[], now: Seconds, trust?: Roots): Report {
  const [leaf, ...others] = chain;
  if (leaf === undefined) throw new TypeError("chainReport: expected a certificate");
  const role = roleOf(leaf);
  const parts = others.map((certificate, index) => {
    const title = titleOf(certificate);
    return {
      ...certificateReport(certificate, now),
      name: `${roleOf(certificate) === "leaf" ? "certificate" : title} ${index + 2}`,
    };
  });
  const own = certificateReport(leaf, now);
  return {
    ...own,
    kind: "chain",
    title: chainTitle(own.title, others.length),
    facts: [...own.facts, ...(role === "leaf" ? [trustFact(trust)] : [])],
    faults: [
      ...own.faults,
      ...orderFaults(chain),
      ...crossNotes(chain, trust),
      ...(trust === undefined || role !== "leaf" ? [] : trustFaults(chain, trust, now)),
    ],
    parts,
  };
}

export function certificateReport(certificate: Certificate, now: Seconds): Report {
  const role = roleOf(certificate);
  const isSvid = role !== "leaf" || spiffeIdOf(certificate) !== undefined;
  return {
    kind: "certificate",
    title: isSvid ? titleOf(certificate) : "X.509 certificate that is no SVID",
    facts: certificateFacts(certificate, now),
    faults: certificateFaults(certificate, role, now),
    parts: [],
  };
}

function certificateFacts(certificate: Certificate, now: Seconds): readonly Fact[] {
  const {
    uris,
    dnsNames,
    ipAddresses,
    notBefore,
    notAfter,
    subject,
    issuer,
    serialNumber,
    signatureAlgorithm,
  } = certificate;
  const times: readonly Fact[] = [
    fact(
      "notAfter",
      now > notAfter ? "Expired" : "Valid until",
      toRfc3339(notAfter),
      describeInstant(notAfter, now),
    ),
    fact(
      "notBefore",
      now < notBefore ? "Valid from" : "Valid since",
      toRfc3339(notBefore),
      describeInstant(notBefore, now),
    ),
  ];
  return [
    fact(
      uris.length === 1 ? "spiffeID" : "uris",
      "SPIFFE ID",
      uris.length === 1 ? String(uris[0]) : uris,
      uris.length === 0 ? "none" : uris.join("\n"),
    ),
    ...times,
    ...(subject === "" ? [] : [fact("subject", "Subject", subject)]),
    fact("issuer", "Issued by", issuer),
    ...(certificate.authorityKeyID === undefined
      ? []
      : [fact("authorityKeyID", "Issuer's key ID", certificate.authorityKeyID)]),
    fact("key", "Key", describeKey(certificate)),
    fact("signatureAlgorithm", "Signed with", signatureAlgorithm.name ?? signatureAlgorithm.oid),
    ...(dnsNames.length === 0 ? [] : [fact("dnsNames", "DNS names", dnsNames, dnsNames.join("\n"))]),
    ...(ipAddresses.length === 0
      ? []
      : [fact("ipAddresses", "IP addresses", ipAddresses, ipAddresses.join("\n"))]),
    fact("serialNumber", "Serial number", serialNumber),
  ];
}

function chainTitle(title: string, others: number): string {
  return others === 0 ? title : `${title} with ${others} more certificate${others === 1 ? "" : "s"}`;
}

function trustFact(trust: Roots | undefined): Fact {
  const shown =
    trust === undefined ? "not checked (--bundle FILE checks it)" : `checked against ${trust.name}`;
  return fact("trust", "Trust", trust === undefined ? "unchecked" : trust.name, shown);
}

function titleOf(certificate: Certificate): string {
  return isCross(certificate) ? "cross certificate" : TITLES[roleOf(certificate)];
}

function crossNotes(chain: readonly Certificate[], trust: Roots | undefined): readonly Fault[] {
  const text = describeCross(chain, trust?.roots);
  return text === undefined ? [] : [note("cross", `certificate ${chain.length}: ${text}`)];
}

/** Each certificate must have been issued by the one after it (RFC 8446 §4.4.2). */
function orderFaults(chain: readonly Certificate[]): readonly Fault[] {
  const faults = chain.slice(0, -1).flatMap((certificate, index): readonly Fault[] => {
    const issuer = chain[index + 1];
    const place = index === 0 ? "the first certificate" : `certificate ${index + 1}`;
    try {
      if (issuer !== undefined) checkIssuedBy(certificate, issuer, place);
      return [];
    } catch (error) {
      if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
      const rule = String(error.details["rule"]);
      return [wrong(rule, messageOf(error).replace(` (${rule})`, "").replace(": ", " "))];
    }
  });
  const last = chain.at(-1);
  if (chain.length > 1 && last !== undefined && roleOf(last) === "root") {
    return [...faults, note("chain", "the root is part of the chain: peers have it already, and ignore it")];
  }
  return faults;
}

/**
 * Whether a root vouches for it. Asked for a moment within the leaf's own life: that it has expired is told apart, and a
 * chain that no root ever vouched for must not hide behind that.
 */
function trustFaults(chain: readonly Certificate[], trust: Roots, now: Seconds): readonly Fault[] {
  const [leaf] = chain;
  const id = leaf === undefined ? undefined : spiffeIdOf(leaf);
  if (leaf === undefined || id === undefined) return [];
  const moment = seconds(Math.min(Math.max(now, leaf.notBefore), leaf.notAfter));
  try {
    verifyX509Svid({ chain, roots: trust.roots, now: moment, trustDomain: trustDomainOf(id) });
    return [];
  } catch (error) {
    if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
    const rule = String(error.details["rule"]);
    const told = certificateFaults(leaf, roleOf(leaf), now);
    if (rule !== "X-18" && told.some((fault) => fault.rule === rule)) return [];
    return [
      wrong(rule, `${trust.name} does not vouch for it: ${messageOf(error).replace(` (${rule})`, "")}`),
    ];
  }
}
