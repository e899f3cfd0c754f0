/**
 * SPIFFE IDs: who a workload is, as one URI.
 */

import { type Brand, branded } from "../core/brand.ts";
import { invalidInput, quoted } from "../core/errors.ts";
import { parseTrustDomain, type TrustDomain } from "./trust-domain.ts";

/** `spiffe://<trust domain>[/<segment>…]` in normal form: equal IDs are equal strings (SPIFFE-ID §2). */
export type SpiffeId = Brand<string, "SpiffeId">;

/** In bytes, the scheme included (SPIFFE-ID §2.3). */
const MAX_SPIFFE_ID_LENGTH = 2048;

const SCHEME = "spiffe://";
const SEGMENT = /^[a-zA-Z0-9._-]+$/;
const EXPECTED = "spiffe://<trust domain>/<path>, at most 2048 bytes";
const EXPECTED_SEGMENT = "one or more of a-z, A-Z, 0-9, '.', '-' and '_', and neither '.' nor '..'";

/**
 * Scheme and trust domain must be in lower case, see `parseTrustDomain`; the path is case-sensitive and may be absent.
 * @throws INVALID_INPUT naming `field`.
 */
export function parseSpiffeId(text: string, field = "spiffeID"): SpiffeId {
  if (text.length > MAX_SPIFFE_ID_LENGTH) {
    throw invalidInput(field, `the SPIFFE ID is ${text.length} characters long`, EXPECTED);
  }
  if (!text.startsWith(SCHEME)) {
    throw invalidInput(field, `${quoted(text)} does not begin with ${SCHEME}`, EXPECTED);
  }
  const [host = "", ...segments] = text.slice(SCHEME.length).split("/");
  parseTrustDomain(host, field);
  for (const segment of segments) checkSegment(segment, field);
  return branded<SpiffeId>(text);
}

/** `spiffe://<td>/ns/<namespace>/sa/<serviceAccount>`. @throws INVALID_INPUT when a part is no path segment or the whole is too long. */
export function workloadSpiffeId(
  trustDomain: TrustDomain,
  namespace: string,
  serviceAccount: string,
): SpiffeId {
  checkSegment(namespace, "metadata.namespace");
  checkSegment(serviceAccount, "spec.serviceAccountName");
  return parseSpiffeId(`${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
}

/** The ID of the trust domain's own signing authority: it has no path (SPIFFE-ID §3.1). */
export function trustDomainSpiffeId(trustDomain: TrustDomain): SpiffeId {
  return branded<SpiffeId>(SCHEME + trustDomain);
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf("/", SCHEME.length);
  return branded<TrustDomain>(id.slice(SCHEME.length, slash === -1 ? undefined : slash));
}

/** With its leading `/`; empty for the ID of a trust domain. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf("/", SCHEME.length);
  return slash === -1 ? "" : id.slice(slash);
}

function checkSegment(segment: string, field: string): void {
  if (segment === "") throw invalidInput(field, "the path has an empty segment", EXPECTED_SEGMENT);
  if (segment === "." || segment === ".." || !SEGMENT.test(segment)) {
    throw invalidInput(field, `${quoted(segment)} is not a path segment`, EXPECTED_SEGMENT);
  }
}
