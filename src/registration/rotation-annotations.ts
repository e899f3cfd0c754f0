/**
 * What the annotations of a TrustDomain ask for: `meshid.dev/rotate-root`, `-issuing`, `-jwt`, each with any new value, and
 * `meshid.dev/distrust-root`, `-jwt`, each with a key ID.
 */

import type { Requests } from "../authority/rotation-plan.ts";
import type { TrustDomainObject } from "./service-identity.ts";

type Annotations = TrustDomainObject["metadata"]["annotations"];

/** The newest value asked for, by kind. */
export function rotationsIn(annotations: Annotations = {}): Requests {
  const asked = {
    Root: annotations["meshid.dev/rotate-root"],
    Issuing: annotations["meshid.dev/rotate-issuing"],
    JWT: annotations["meshid.dev/rotate-jwt"],
  };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}

/** The IDs of keys that nobody shall trust any more. One that is unknown, or gone, means nothing. */
export function distrustedIn(annotations: Annotations = {}): ReadonlySet<string> {
  const asked = [annotations["meshid.dev/distrust-root"], annotations["meshid.dev/distrust-jwt"]];
  return new Set(asked.filter((value) => value !== undefined));
}
