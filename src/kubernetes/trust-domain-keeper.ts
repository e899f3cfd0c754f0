/**
 * The TrustDomain objects themselves: creates the served one where there is none, guards it with a finalizer, and says of
 * others that they are not served.
 */

import type { EventRecorder } from "../controller/ports.ts";
import type { Clock } from "../core/clock.ts";
import { condition, mergeConditions } from "../registration/conditions.ts";
import { API_VERSION, type TrustDomainObject } from "../registration/service-identity.ts";
import type { KubeClient } from "./client.ts";
import type { Cluster } from "./cluster.ts";
import { isStatus } from "./errors.ts";
import { findByList } from "./find.ts";
import type { AcceptedTrustDomain } from "./identity-objects.ts";
import { APPLY, FIELD_MANAGER, type KubeObject } from "./objects.ts";
import { collectionPath, objectPath, TRUST_DOMAINS } from "./resources.ts";
import type { KubeStatusWriter } from "./status-writer.ts";

export interface TrustDomainKeeperOptions {
  readonly client: KubeClient;
  readonly cluster: Cluster;
  readonly status: KubeStatusWriter;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly fence: () => void;
  readonly name: string;
  /** Of the object where it has to be created. */
  readonly spec: Readonly<Record<string, unknown>>;
}

const FINALIZER = "meshid.dev/trust-domain";

export class TrustDomainKeeper {
  readonly #options: TrustDomainKeeperOptions;
  #toldOfDeletion = false;

  constructor(options: TrustDomainKeeperOptions) {
    this.#options = options;
  }

  /** Makes the served TrustDomain if there is none; one that is there is never changed. @throws STORAGE_FAILED. */
  async ensure(signal: AbortSignal): Promise<void> {
    const { client, cluster, name, spec, fence } = this.#options;
    if (cluster.hasTrustDomain) return;
    try {
      const { body } = await client.request<KubeObject>(
        {
          method: "POST",
          path: collectionPath(TRUST_DOMAINS),
          query: { fieldManager: FIELD_MANAGER },
          body: { apiVersion: API_VERSION, kind: "TrustDomain", metadata: { name }, spec },
          fence,
        },
        signal,
      );
      cluster.wrote(TRUST_DOMAINS, body);
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      const found = await findByList(client, TRUST_DOMAINS, { name }, signal);
      if (found !== undefined) cluster.wrote(TRUST_DOMAINS, found);
    }
  }

  /** Called whenever a TrustDomain or the number of identities may have changed. @throws STORAGE_FAILED. */
  async keep(signal: AbortSignal): Promise<void> {
    await this.ensure(signal);
    for (const domain of this.#options.cluster.trustDomains()) {
      if (domain.object.metadata.name === this.#options.name) await this.#guard(domain, signal);
      else await this.#refuse(domain.object, signal);
    }
  }

  /** Deleting the TrustDomain would orphan every credential: it goes once no identity is left. */
  async #guard(domain: AcceptedTrustDomain, signal: AbortSignal): Promise<void> {
    const { cluster, events } = this.#options;
    const { uid, name } = domain.object.metadata;
    if (!domain.isDeleted) {
      this.#toldOfDeletion = false;
      return this.#setGuarded(domain, true, signal);
    }
    let identities = 0;
    for (const _ of cluster.identities()) identities += 1;
    if (identities === 0) return this.#setGuarded(domain, false, signal);
    if (this.#toldOfDeletion) return;
    this.#toldOfDeletion = true;
    events.record({
      regarding: { kind: "TrustDomain", name },
      type: "Warning",
      reason: "DeletionBlocked",
      message: `TrustDomain ${name} (uid ${uid}) is to be deleted, but ${identities} ServiceIdentities live by it: delete them first; until then it is served`,
    });
  }

  async #setGuarded(
    { object, finalizers }: AcceptedTrustDomain,
    isWanted: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (finalizers.includes(FINALIZER) === isWanted) return;
    const { client, cluster, fence } = this.#options;
    const { name, uid } = object.metadata;
    const wanted = isWanted ? [FINALIZER] : [];
    try {
      const { body } = await client.request<KubeObject>(
        {
          method: "PATCH",
          path: objectPath(TRUST_DOMAINS, { name }),
          query: { fieldManager: FIELD_MANAGER, force: "true" },
          contentType: APPLY,
          body: {
            apiVersion: API_VERSION,
            kind: "TrustDomain",
            metadata: { name, uid, finalizers: wanted },
          },
          fence,
        },
        signal,
      );
      cluster.wrote(TRUST_DOMAINS, body);
    } catch (error) {
      // Gone, or another of its name: the watch tells.
      if (!isStatus(error, 404) && !isStatus(error, 409) && !isStatus(error, 422)) throw error;
    }
  }

  async #refuse(object: TrustDomainObject, signal: AbortSignal): Promise<void> {
    const { status, clock, name } = this.#options;
    const { generation } = object.metadata;
    const message = `this meshid serves TrustDomain ${name}; expected one per cluster: delete this one, or start meshid with --trust-domain ${object.metadata.name}`;
    const ready = condition("Ready", "False", "NotServed", message);
    const known = object.status?.conditions?.find((one) => one.type === "Ready");
    if (
      known?.reason === ready.reason &&
      known.message === message &&
      known.observedGeneration === generation
    )
      return;
    const conditions = mergeConditions(object.status?.conditions, [ready], {
      now: clock.now(),
      generation,
    });
    await status.writeForeignStatus(object, { observedGeneration: generation, conditions }, signal);
  }
}
