/**
 * What the parts of one ServiceIdentity's reconciliation share.
 */

import type { Authority } from "../authority/authority.ts";
import type { AuthorityView } from "../authority/authority-state.ts";
import type { Seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import type { Plan } from "../reconcile/plan.ts";
import type { ObservedSecret } from "../reconcile/state.ts";
import type { Reason } from "../registration/conditions.ts";
import type { RegistrationEntry } from "../registration/registration-entry.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import type { Claims } from "./claims.ts";
import type { KeyTurns } from "./key-turns.ts";
import type { Applier, Audit, DesiredState, EventRecorder, ObservedState, StatusWriter } from "./ports.ts";
import type { Refusals } from "./refusals.ts";
import type { RewriteGuard } from "./rewrite-guard.ts";

export interface IdentityReconcilerDeps {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  readonly applier: Applier;
  readonly status: StatusWriter;
  readonly authority: Authority;
  readonly claims: Claims;
  readonly rewrites: RewriteGuard;
  readonly refusals: Refusals;
  readonly keyTurns: KeyTurns;
  readonly audit: Audit;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  /** Where Istio keeps policies of the whole mesh. */
  readonly meshRootNamespace: string;
  /** Called after what an identity holds was changed. */
  readonly onChanged: (identity: ServiceIdentity) => void;
}

/** What one reconciliation works with once the identity may hold credentials. */
export interface Work {
  readonly identity: ServiceIdentity;
  readonly entry: RegistrationEntry;
  readonly view: AuthorityView;
  readonly plan: Plan;
  readonly x509Secret: ObservedSecret | undefined;
  readonly jwtSecret: ObservedSecret | undefined;
  readonly now: Seconds;
}

/** Why a credential is not as it should be: becomes a condition. */
export interface Fault {
  readonly reason: Reason<"X509Issued">;
  readonly message: string;
}

/** How one part of an identity (certificate, tokens) ended. */
export interface PartResult {
  readonly fault?: Fault;
  readonly changed: boolean;
  readonly requeueAt?: Seconds;
  /** It is due, and others are served first: nothing was done. */
  readonly isPutOff?: true;
}

/** How the mesh manifest ended. */
export interface MeshOutcome {
  readonly reason: Reason<"MTLSApplied">;
  readonly message: string;
  readonly requeueAt?: Seconds;
}

/** How a whole reconciliation ended. */
export interface Outcome {
  /** Absent where the spec has no meaning. */
  readonly entry: RegistrationEntry | undefined;
  readonly x509: Fault | undefined;
  readonly jwt: Fault | undefined;
  readonly mesh: MeshOutcome | undefined;
  /** The manual renewal that was honoured. */
  readonly renewed: string | undefined;
}
