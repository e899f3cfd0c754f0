/**
 * The cross certificate at the end of a chain: what it is there for, in words.
 */

import type { Certificate } from "../../x509/certificate.ts";
import { isOneAuthority } from "../../x509/path.ts";
import { CROSS_PATH_LENGTH } from "../../x509/template.ts";

/**
 * Whether it is what one root of meshid says of the next: both have their key ID in their name, and an issuing certificate has
 * another path length. What other CAs make between themselves is not told from their intermediates.
 */
export function isCross({ isCA, pathLength, ...rest }: Certificate): boolean {
  const { subject, issuer, subjectKeyID, authorityKeyID } = rest;
  if (!isCA || pathLength !== CROSS_PATH_LENGTH || subjectKeyID === undefined || authorityKeyID === undefined)
    return false;
  return subjectKeyID !== authorityKeyID && subject.includes(subjectKeyID) && issuer.includes(authorityKeyID);
}

/** What the cross certificate at the end of `chain` does for whoever trusts `roots`; undefined where there is none. */
export function describeCross(
  chain: readonly Certificate[],
  roots: readonly Certificate[] | undefined,
): string | undefined {
  const cross = chain.at(-1);
  if (cross === undefined || chain.length < 3 || !isCross(cross)) return undefined;
  const { subjectKeyID: root = "", authorityKeyID: former = "" } = cross;
  const what = `the root ${former} vouches for its successor ${root}, for peers that keep a bundle from before`;
  if (roots === undefined) return what;
  if (roots.some((each) => isOneAuthority(each, cross)))
    return `${what}; not needed here: the bundle has the successor`;
  const isFormerKnown = roots.some(({ subjectKeyID }) => subjectKeyID === former);
  return `${what}; ${isFormerKnown ? "needed here: the bundle lacks the successor" : "of no use here: the bundle has neither"}`;
}
