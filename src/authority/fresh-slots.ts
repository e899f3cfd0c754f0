/**
 * Slots that begin at once, with nobody waited for: those of a new trust domain, and those that take the place of a key that
 * is not to be trusted any more.
 */

import { type Seconds, seconds } from "../core/brand.ts";
import { CLOCK_SKEW } from "../core/clock.ts";
import type { KeyId } from "../x509/keys.ts";
import type { ExternalSource, RotationPolicy } from "./rotation-plan.ts";
import type { PrepareStep } from "./rotation-step.ts";

type Brought = NonNullable<ExternalSource["authority"]>;

export interface FreshSlots {
  readonly now: Seconds;
  readonly policy: RotationPolicy;
  readonly reason: "Bootstrap" | "Distrusted";
}

export function freshJwt({ now, policy, reason }: FreshSlots): PrepareStep {
  const notAfter = seconds(now + policy.keyTTL);
  return { ...begin(now, reason), kind: "JWT", algorithm: policy.jwtAlgorithm, notAfter };
}

export function freshRoot({ now, policy, reason }: FreshSlots): PrepareStep {
  const notAfter = seconds(now + policy.rootTTL);
  return { ...begin(now, reason), kind: "Root", algorithm: policy.keyAlgorithm, notAfter };
}

/** Without a key ID: under the root that is made just before. */
export function freshIssuing(
  { now, policy, reason }: FreshSlots,
  root: { readonly keyID?: KeyId; readonly notAfter: Seconds },
): PrepareStep {
  return {
    ...begin(now, reason),
    kind: "Issuing",
    algorithm: policy.keyAlgorithm,
    notAfter: seconds(Math.min(now + policy.issuingTTL, root.notAfter)),
    ...(root.keyID === undefined ? {} : { issuerKeyID: root.keyID }),
  };
}

export function broughtRoot({ root }: Brought, reason: FreshSlots["reason"]): PrepareStep {
  const { keyID, algorithm, notBefore, notAfter } = root;
  return { step: "Prepare", kind: "Root", reason, external: keyID, algorithm, notBefore, notAfter };
}

export function broughtIssuing({ root, issuing }: Brought, reason: FreshSlots["reason"]): PrepareStep {
  const { keyID, algorithm, notBefore, notAfter } = issuing;
  const life = { algorithm, notBefore, notAfter };
  return { step: "Prepare", kind: "Issuing", reason, external: keyID, issuerKeyID: root.keyID, ...life };
}

function begin<Reason>(
  now: Seconds,
  reason: Reason,
): { readonly step: "Prepare"; readonly reason: Reason; readonly notBefore: Seconds } {
  return { step: "Prepare", reason, notBefore: seconds(now - CLOCK_SKEW) };
}
