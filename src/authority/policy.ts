/**
 * The rules of an authority: those of its rotations, and who it is.
 */

import type { Seconds } from "../core/brand.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import type { ExternalAuthority } from "./external-authority.ts";
import type { ExternalSource, RotationPolicy } from "./rotation-plan.ts";

export interface AuthorityPolicy extends RotationPolicy {
  readonly trustDomain: TrustDomain;
  /** The `iss` of every token. */
  readonly issuer: string;
  /** How often consumers should fetch the bundle again: at most a fifth of `propagation`. */
  readonly refreshHint: Seconds;
  /** With the key that signs. */
  readonly external?: ExternalSource & { readonly authority?: ExternalAuthority | undefined };
}
