/**
 * The rules in force: those of the TrustDomain as it is, or the last ones that could be read.
 */

import type { AuthorityPolicy } from "../authority/policy.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import type { TrustDomainObject } from "../registration/service-identity.ts";
import {
  type PolicyContext,
  type TrustDomainPolicy,
  trustDomainPolicy,
} from "../registration/trust-domain-policy.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";

export interface PolicyHolderOptions {
  readonly desired: () => TrustDomainObject;
  readonly options: PolicyContext;
  /** The trust domain that was asked for, where one was. */
  readonly required: TrustDomain | undefined;
  readonly onProblem: (message: string) => void;
}

/** What only `authority.source: Secret` adds. */
type External = AuthorityPolicy["external"];

export class PolicyHolder {
  readonly #options: PolicyHolderOptions;
  #policy: TrustDomainPolicy | undefined;
  #problem: string | undefined;

  constructor(options: PolicyHolderOptions) {
    this.#options = options;
  }

  /** @throws INVALID_INPUT, INVALID_CONFIGURATION only before the first success. */
  current(): TrustDomainPolicy {
    this.#policy ??= this.#read();
    return this.#policy;
  }

  /** Why the TrustDomain as it is now is not in force; undefined where it is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Takes up a changed TrustDomain, unless it cannot be served. */
  refresh(): void {
    const before = this.current();
    try {
      const next = this.#read();
      if (next.trustDomain !== before.trustDomain)
        throw immutable("metadata.name", before.trustDomain, next.trustDomain);
      if (next.jwt.issuer !== before.jwt.issuer)
        throw immutable("spec.jwt.issuer", before.jwt.issuer, next.jwt.issuer);
      this.#policy = next;
      this.#problem = undefined;
    } catch (error) {
      if (!isOperatorError(error)) throw error;
      this.#problem = error.message;
      this.#options.onProblem(error.message);
    }
  }

  authority(external: External): AuthorityPolicy {
    const { trustDomain, authority, jwt, rotation, refreshHint } = this.current();
    return {
      trustDomain,
      issuer: jwt.issuer,
      refreshHint,
      rootTTL: authority.rootTTL,
      issuingTTL: authority.issuingTTL,
      keyTTL: jwt.keyTTL,
      propagation: rotation.propagation,
      keyAlgorithm: authority.keyAlgorithm,
      jwtAlgorithm: jwt.algorithm,
      holdAt: rotation.holdAt,
      crossSignRoots: rotation.crossSignRoots,
      ...(external === undefined ? {} : { external }),
    };
  }

  #read(): TrustDomainPolicy {
    const { desired, options, required } = this.#options;
    const policy = trustDomainPolicy(desired(), options);
    if (required !== undefined && policy.trustDomain !== required) {
      throw new OperatorError(
        "INVALID_CONFIGURATION",
        `--trust-domain is ${required}, but the TrustDomain in the identities directory is ${policy.trustDomain}; expected the same`,
      );
    }
    return policy;
  }
}

function immutable(field: string, before: string, after: string): OperatorError {
  return new OperatorError(
    "INVALID_CONFIGURATION",
    `${field}: is fixed, but changed from ${before} to ${after}; expected ${before}`,
  );
}
