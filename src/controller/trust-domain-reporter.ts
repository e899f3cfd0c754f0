/**
 * Tells of the authority: the TrustDomain's status, written only where it differs, and an Event for each change that a
 * person would want to hear of.
 */

import type { Authority, RotationOutcome } from "../authority/authority.ts";
import type { AuthorityKind } from "../authority/slot.ts";
import type { Seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { type Condition, isOrdinary } from "../registration/conditions.ts";
import type { TrustDomainStatus } from "../registration/service-identity.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import type { BundleReconciler } from "./bundle-reconciler.ts";
import type { DesiredState, EventRecorder, StatusWriter } from "./ports.ts";
import { consumerName, type Refusals, withReason } from "./refusals.ts";
import { countReissued } from "./reissuance.ts";
import { emergency, progressAt, type RotationProgress } from "./rotation-condition.ts";
import {
  bootstrappingStatus,
  faultyStatus,
  trustDomainStatus,
  trustDomainStatusChanges,
} from "./trust-domain-status.ts";

export interface TrustDomainReporterDeps {
  readonly authority: Authority;
  readonly desired: DesiredState;
  readonly bundles: BundleReconciler;
  readonly refusals: Refusals;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  /** Why the TrustDomain as it is now is not in force; undefined where it is. */
  readonly specProblem: () => string | undefined;
}

export class TrustDomainReporter {
  readonly #deps: TrustDomainReporterDeps;
  #waitingSince: ReadonlyMap<AuthorityKind, Seconds> = new Map();
  /** The distrusted keys whose damage has been told of. */
  #toldOf = "";

  constructor(deps: TrustDomainReporterDeps) {
    this.#deps = deps;
  }

  /** By kind, since when the next key is there and waits for consumers or for time. */
  get waitingSince(): ReadonlyMap<AuthorityKind, Seconds> {
    return this.#waitingSince;
  }

  /** `excluded`: the consumers that the rotation goes on without. When to report again, whatever happens. */
  async report(
    outcome: RotationOutcome,
    excluded: readonly string[],
    signal: AbortSignal,
  ): Promise<Seconds | undefined> {
    const { desired, authority, refusals, clock, policy } = this.#deps;
    const view = authority.view();
    const now = clock.now();
    const progress: RotationProgress = {
      view,
      waiting: outcome.waiting,
      excluded,
      refusalOf: (consumer) => refusals.of(consumer),
      reissued: await countReissued(desired.identities(), view, now),
      propagation: policy().rotation.propagation,
      now,
    };
    this.#waitingSince = waitingSince(progress);
    const domain = desired.trustDomain();
    const input = { ...progress, domain, view, fault: outcome.fault, bundles: this.#bundles() };
    const next = trustDomainStatus({ ...input, specProblem: this.#deps.specProblem() });
    await this.#write(next, signal);
    this.#warnOfEmergency(progress);
    return progressAt(progress);
  }

  /** What stands in the way of the authority; an error that passes by itself is not told. */
  async reportFault(error: unknown, signal: AbortSignal): Promise<void> {
    const { desired, clock } = this.#deps;
    const next = faultyStatus(desired.trustDomain(), error, clock.now());
    if (next !== undefined) await this.#write(next, signal);
  }

  /** Before the first journal is made. No Event: it is the ordinary course. */
  async reportBootstrapping(signal: AbortSignal): Promise<void> {
    const { desired, clock, status } = this.#deps;
    const next = bootstrappingStatus(desired.trustDomain(), clock.now());
    if (next !== undefined) await status.writeTrustDomainStatus(next, signal);
  }

  #bundles(): Parameters<typeof trustDomainStatus>[0]["bundles"] {
    const { desired, bundles, refusals, policy } = this.#deps;
    const namespaces = desired.bundleNamespaces();
    const stale = namespaces.filter((namespace) => !bundles.isCurrent(namespace));
    const { configMapName: name } = policy().bundle;
    const refused = stale.flatMap((namespace) => {
      const consumer = consumerName({ kind: "ConfigMap", namespace, name });
      const refusal = refusals.of(consumer);
      return refusal === undefined ? [] : [withReason(consumer, refusal)];
    });
    const current = namespaces.length - stale.length;
    return { namespaces: namespaces.length, current, blocked: bundles.blocked, refused };
  }

  async #write(next: TrustDomainStatus, signal: AbortSignal): Promise<void> {
    const { desired, status } = this.#deps;
    const domain = desired.trustDomain();
    const changes = trustDomainStatusChanges(domain.status, next);
    if (!changes.isChanged) return;
    await status.writeTrustDomainStatus(next, signal);
    for (const condition of changes.conditions)
      this.#record(condition, isOrdinary(condition) ? "Normal" : "Warning");
  }

  /** A rotation may be under way when it begins, and then no reason changes. */
  #warnOfEmergency(progress: RotationProgress): void {
    const message = emergency(progress);
    const keys = progress.view.distrusted.map(({ keyID }) => keyID).join();
    if (message === undefined || keys === this.#toldOf) return;
    this.#toldOf = keys;
    this.#record({ reason: "Reissuing", message }, "Warning");
  }

  #record({ reason, message }: Pick<Condition, "reason" | "message">, type: "Normal" | "Warning"): void {
    const { name } = this.#deps.desired.trustDomain().metadata;
    this.#deps.events.record({ regarding: { kind: "TrustDomain", name }, type, reason, message });
  }
}

/** What waits for the end of something or for its policy waits for good reason. */
function waitingSince({ waiting, view }: RotationProgress): ReadonlyMap<AuthorityKind, Seconds> {
  const since = new Map<AuthorityKind, Seconds>();
  for (const one of waiting) {
    if (one.for !== "consumers" && one.for !== "propagation") continue;
    const slot = view.slots.find(({ keyID }) => keyID === one.keyID);
    if (slot !== undefined) since.set(one.kind, slot.since);
  }
  return since;
}
