/**
 * Writes status, by server-side apply to the `status` subresource and under a field manager of its own.
 */

import type { StatusWriter } from "../controller/ports.ts";
import {
  API_VERSION,
  type ServiceIdentity,
  type ServiceIdentityStatus,
  type TrustDomainObject,
  type TrustDomainStatus,
} from "../registration/service-identity.ts";
import type { KubeClient } from "./client.ts";
import type { Cluster } from "./cluster.ts";
import { isStatus } from "./errors.ts";
import { APPLY, type KubeObject, STATUS_FIELD_MANAGER } from "./objects.ts";
import { objectPath, type Resource, SERVICE_IDENTITIES, TRUST_DOMAINS } from "./resources.ts";

export interface KubeStatusWriterOptions {
  readonly client: KubeClient;
  readonly cluster: Cluster;
  readonly fence: () => void;
}

export class KubeStatusWriter implements StatusWriter {
  readonly #options: KubeStatusWriterOptions;

  constructor(options: KubeStatusWriterOptions) {
    this.#options = options;
  }

  async writeIdentityStatus(
    identity: ServiceIdentity,
    status: ServiceIdentityStatus,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#write(SERVICE_IDENTITIES, identity, status, signal);
  }

  async writeTrustDomainStatus(status: TrustDomainStatus, signal: AbortSignal): Promise<void> {
    await this.#write(TRUST_DOMAINS, this.#options.cluster.trustDomain(), status, signal);
  }

  /** Of a TrustDomain that is not the served one. */
  async writeForeignStatus(
    domain: TrustDomainObject,
    status: TrustDomainStatus,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#write(TRUST_DOMAINS, domain, status, signal);
  }

  async #write(
    resource: Resource,
    { kind, metadata }: ServiceIdentity | TrustDomainObject,
    status: ServiceIdentityStatus | TrustDomainStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, cluster, fence } = this.#options;
    // The status strategy of a CustomResource ignores a uid in the body, so a namesake is told apart before.
    if (cluster.uidOf({ ...metadata, kind }) !== metadata.uid) return;
    const at = "namespace" in metadata ? { namespace: metadata.namespace } : {};
    const { name } = metadata;
    try {
      const { body } = await client.request<KubeObject>(
        {
          method: "PATCH",
          path: objectPath(resource, { ...at, name }, "status"),
          query: { fieldManager: STATUS_FIELD_MANAGER, force: "true" },
          contentType: APPLY,
          body: { apiVersion: API_VERSION, kind, metadata: { name, ...at }, status },
          fence,
        },
        signal,
      );
      cluster.wrote(resource, body);
    } catch (error) {
      // Gone: the watch tells.
      if (isStatus(error, 404)) return;
      throw error;
    }
  }
}
