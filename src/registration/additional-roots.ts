/**
 * Roots of others that the bundle carries while a mesh migrates.
 */

import { parseCertificate } from "../x509/certificate.ts";
import { type CertificatePem, certificatePem, splitPem } from "../x509/pem.ts";
import { type Report, reported } from "./field-path.ts";

const MAX_ADDITIONAL_ROOTS = 16;

/** Each certificate once; empty text holds none. Reports what is not PEM, not a certificate or not a CA's. */
export function readAdditionalRoots(report: Report, field: string, text: string): readonly CertificatePem[] {
  if (text === "") return [];
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    report(field, "holds no certificate", "CERTIFICATE blocks of PEM");
    return [];
  }
  const blocks = reported(report, field, () => splitPem(text, field)) ?? [];
  if (blocks.length > MAX_ADDITIONAL_ROOTS) {
    report(field, `there are ${blocks.length} certificates`, `at most ${MAX_ADDITIONAL_ROOTS}`);
  }
  const roots = new Set<CertificatePem>();
  for (const [index, der] of blocks.entries()) {
    const certificate = reported(report, field, () => parseCertificate(der, field));
    if (certificate?.isCA === false) {
      report(field, `certificate ${index + 1} is not that of an authority`, "certificates with CA:TRUE");
    }
    roots.add(certificatePem(der));
  }
  return [...roots];
}
