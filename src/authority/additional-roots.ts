/**
 * Foreign roots that are published beside our own for the time of a migration.
 */

import { invalidInput } from "../core/errors.ts";
import { parseCertificates } from "../x509/certificate.ts";
import { publicJwk } from "../x509/keys.ts";
import type { CertificatePem } from "../x509/pem.ts";

const MAX_ADDITIONAL_ROOTS = 128;
const FIELD = "spec.bundle.additionalRoots";

/** From PEM, or an empty text. @throws INVALID_INPUT naming spec.bundle.additionalRoots. */
export function readAdditionalRoots(pem: string): readonly CertificatePem[] {
  if (pem.trim() === "") return [];
  const roots = parseCertificates(pem, FIELD);
  if (roots.length > MAX_ADDITIONAL_ROOTS) {
    throw invalidInput(FIELD, `holds ${roots.length} certificates`, `at most ${MAX_ADDITIONAL_ROOTS}`);
  }
  return roots.map((root, index) => {
    if (!root.isCA)
      throw invalidInput(`${FIELD}[${index}]`, "is not a signing certificate", "a root certificate");
    try {
      publicJwk(root.publicKey);
    } catch {
      throw invalidInput(
        `${FIELD}[${index}]`,
        "has a key that no bundle can carry",
        "an ECDSA, RSA or Ed25519 key",
      );
    }
    return root.pem();
  });
}
