/**
 * The name of a trust domain: the host part of a SPIFFE ID.
 */

import { type Brand, branded } from "../core/brand.ts";
import { invalidInput, quoted } from "../core/errors.ts";

/** Lower-case letters, digits, `.`, `-` and `_`; 1 to 255 bytes (SPIFFE-ID §2.1, §2.3). */
export type TrustDomain = Brand<string, "TrustDomain">;

/** In bytes, which are characters here. */
const MAX_TRUST_DOMAIN_LENGTH = 255;

const FORM = /^[a-z0-9._-]+$/;
const EXPECTED = "a name such as example.org: 1 to 255 of a-z, 0-9, '.', '-' and '_'";

/**
 * A name is not folded to lower case: §2.4 calls it case-insensitive, but peers in the field refuse upper case, so
 * accepting it would only move the fault to them. What looks like an IPv4 address is a name like any other (§2.1).
 * @throws INVALID_INPUT naming `field`.
 */
export function parseTrustDomain(text: string, field = "trustDomain"): TrustDomain {
  if (text === "") throw invalidInput(field, "the trust domain is empty", EXPECTED);
  if (text.length > MAX_TRUST_DOMAIN_LENGTH) {
    throw invalidInput(field, `the trust domain is ${text.length} characters long`, EXPECTED);
  }
  if (!FORM.test(text)) throw invalidInput(field, `${quoted(text)} is not a trust domain`, EXPECTED);
  return branded<TrustDomain>(text);
}
