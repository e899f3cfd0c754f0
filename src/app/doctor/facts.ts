/**
 * What `meshid doctor` has found in a cluster before anything is judged. Never a key, a token or the content of a Secret.
 */

import type { Seconds } from "../../core/brand.ts";
import type { ObservedPeerAuthentication } from "../../reconcile/state.ts";
import type { ServiceIdentity, TrustDomainObject } from "../../registration/service-identity.ts";
import type { Known } from "./finding.ts";
import type { Right } from "./rights.ts";

export interface Facts {
  /** Of the machine that doctor runs on. */
  readonly now: Seconds;
  /** Of the API server; the same as `now` where it did not say. */
  readonly serverNow: Seconds;
  readonly cliVersion: string;
  /** `v1.37.2` */
  readonly serverVersion: string;
  /** Requests that got no answer, although others did. */
  readonly unanswered: readonly string[];
  /** The one namespace that is looked at; undefined: all. */
  readonly scope: string | undefined;
  readonly operatorNamespace: string;
  readonly crds: Known<readonly CrdFact[]>;
  readonly deployments: Known<readonly DeploymentFact[]>;
  readonly rights: Known<readonly RightFact[]>;
  /** Names of the admission policies that are there and bound. */
  readonly admissionPolicies: Known<ReadonlySet<string>>;
  /** Undefined: there is none. */
  readonly lease: Known<LeaseFact | undefined>;
  /** Whether the Secret with the journal is there. */
  readonly journal: Known<boolean>;
  readonly trustDomains: Known<readonly TrustDomainObject[]>;
  readonly namespaces: Known<readonly NamespaceFact[]>;
  readonly bundles: Known<readonly BundleFact[]>;
  readonly identities: Known<readonly IdentityFact[]>;
  /** `<namespace>/<name>` of the Secrets that meshid wrote. */
  readonly secrets: Known<ReadonlySet<string>>;
  readonly mesh: MeshFacts;
}

export interface MeshFacts {
  readonly rootNamespace: string;
  /** Whether `security.istio.io/v1` knows PeerAuthentications. */
  readonly servesPolicies: Known<boolean>;
  readonly controlPlanes: Known<readonly IstiodFact[]>;
  readonly configs: Known<readonly MeshConfigFact[]>;
  readonly policies: Known<readonly ObservedPeerAuthentication[]>;
  /** Of the namespaces with identities that ask for mTLS. */
  readonly pods: Known<readonly PodFact[]>;
}

export interface CrdFact {
  readonly name: string;
  readonly isPresent: boolean;
  readonly isEstablished: boolean;
  /** Of v1alpha1. */
  readonly isServed: boolean;
  /** Fields of this meshid's own schema that the installed one does not have, such as `spec.x509.ttl`. */
  readonly missingFields: readonly string[];
  /** Fields of the installed schema that this meshid does not know. */
  readonly unknownFields: readonly string[];
}

export interface DeploymentFact {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly wanted: number;
  readonly available: number;
  readonly updated: number;
  /** The label `app.kubernetes.io/version`. */
  readonly version: string | undefined;
  readonly image: string;
  readonly args: readonly string[];
}

export interface RightFact {
  readonly right: Right;
  /** Undefined: the whole cluster. */
  readonly namespace: string | undefined;
  readonly isAllowed: boolean;
}

export interface LeaseFact {
  /** Empty: given up. */
  readonly holder: string;
  readonly durationSeconds: number;
  readonly renewTime: Seconds | undefined;
  /** Whether it changed while doctor looked. */
  readonly isRenewed: boolean;
  /** How far the holder's clock is before the API server's, in seconds; undefined where no renewal was seen. */
  readonly skew: number | undefined;
}

export interface NamespaceFact {
  readonly name: string;
  /** Undefined: you may not read it. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly isTerminating: boolean;
}

export interface BundleFact {
  readonly namespace: string;
  readonly name: string;
  readonly ownerUid: string | undefined;
  /** Of the SPIFFE bundle in it. */
  readonly sequence: number | undefined;
  /** Equal for equal content. */
  readonly digest: string;
}

export interface IdentityFact {
  readonly identity: ServiceIdentity;
  /** When someone last changed what is wanted. */
  readonly changedAt: Seconds;
  /** When meshid last wrote its status; undefined: never. */
  readonly reportedAt: Seconds | undefined;
}

export interface IstiodFact {
  readonly name: string;
  /** `default` without revisions. */
  readonly revision: string;
  /** The tag of its image. */
  readonly version: string;
}

export interface MeshConfigFact {
  /** Of the ConfigMap: `istio`, `istio-1-27`. */
  readonly name: string;
  readonly trustDomain: string;
  readonly aliases: readonly string[];
}

export interface PodFact {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The Secrets that its volumes mount. */
  readonly secrets: readonly string[];
  readonly hasSidecar: boolean;
}
