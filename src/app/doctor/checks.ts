/**
 * All checks of `meshid doctor`, in the order of cause and effect. Each is a pure function of the facts; its name is part of
 * the public surface.
 */

import {
  checkAuthorityKeys,
  checkBundles,
  checkTrustDomain,
  checkTrustDomainName,
} from "./checks/authority.ts";
import { checkCredentials, checkIdentities } from "./checks/identities.ts";
import {
  checkAdmissionPolicies,
  checkApiServer,
  checkCrds,
  checkOperator,
  checkOperatorRights,
} from "./checks/installation.ts";
import { checkIstio, checkIstioTrustDomain, checkMeshPods, checkMeshPolicies } from "./checks/mesh.ts";
import { checkClocks, checkJournal, checkLeader, checkReconciling } from "./checks/operation.ts";
import { checkRotation } from "./checks/rotation.ts";
import type { Facts } from "./facts.ts";
import type { Finding, Verdict } from "./finding.ts";

export const CHECKS: Readonly<Record<string, (facts: Facts) => Verdict>> = {
  "api-server": checkApiServer,
  crds: checkCrds,
  operator: checkOperator,
  "operator-rights": checkOperatorRights,
  "admission-policies": checkAdmissionPolicies,
  leader: checkLeader,
  "clock-skew": checkClocks,
  journal: checkJournal,
  "trust-domain": checkTrustDomain,
  "trust-domain-name": checkTrustDomainName,
  "authority-keys": checkAuthorityKeys,
  rotation: checkRotation,
  bundles: checkBundles,
  reconciling: checkReconciling,
  identities: checkIdentities,
  credentials: checkCredentials,
  istio: checkIstio,
  "istio-trust-domain": checkIstioTrustDomain,
  "mesh-policies": checkMeshPolicies,
  "mesh-pods": checkMeshPods,
};

export function examine(facts: Facts): readonly Finding[] {
  return Object.entries(CHECKS).map(([name, check]) => ({ name, ...check(facts) }));
}
