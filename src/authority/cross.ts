/**
 * Cross certificates: the active root says of its successor's key that it is an authority too, for consumers that keep an
 * old bundle.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { type Issuer, signCross } from "../x509/template.ts";
import { verifyCross } from "../x509/verify.ts";
import type { CrossCertificate, Slot } from "./slot.ts";

export interface Crossing {
  /** The root that signs. */
  readonly former: Slot;
  readonly issuer: Issuer;
  /** The new root's certificate of itself. */
  readonly root: Certificate;
  readonly trustDomain: TrustDomain;
  readonly random: Random;
  readonly now: Seconds;
}

/** As long as both roots live. @throws SIGNING_FAILED, also when what was signed does not pass its own check. */
export async function makeCross(crossing: Crossing): Promise<CrossCertificate> {
  const { former, issuer, root, trustDomain, random, now } = crossing;
  const notAfter = seconds(Math.min(former.notAfter, root.notAfter));
  const notBefore = seconds(Math.max(former.notBefore, root.notBefore));
  if (notAfter <= now)
    throw new OperatorError("SIGNING_FAILED", "signing a cross certificate: the active root has ended");
  const certificate = await signCross({ trustDomain, root, notBefore, notAfter, random }, issuer);
  const cross = { issuerKeyID: former.keyID, notAfter, certificate };
  try {
    checkCross(cross, { root, issuer: issuer.certificate, trustDomain });
  } catch (cause) {
    throw new OperatorError("SIGNING_FAILED", `checking a cross certificate: ${messageOf(cause)}`, { cause });
  }
  return cross;
}

/** Whether it is what it is said to be. `issuer`: where it is known. @throws VERIFICATION_FAILED, TypeError */
export function checkCross(
  { certificate, notAfter, issuerKeyID }: CrossCertificate,
  against: {
    readonly root: Certificate;
    readonly issuer: Certificate | undefined;
    readonly trustDomain: TrustDomain;
  },
): void {
  const parsed = parseCertificate(certificate);
  if (parsed.notAfter !== notAfter) throw new TypeError("the cross certificate has another end");
  if (parsed.authorityKeyID !== issuerKeyID) throw new TypeError("the cross certificate is of another root");
  const { root, issuer, trustDomain } = against;
  // Whether it is valid now is another question: at its end, it was.
  verifyCross({
    certificate: parsed,
    root,
    ...(issuer === undefined ? {} : { issuer }),
    trustDomain,
    now: notAfter,
  });
}
