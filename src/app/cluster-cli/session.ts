/**
 * One command's conversation with a cluster: how it begins, how it ends, and what the user is told when the cluster does not
 * answer.
 */

import { type Milliseconds, milliseconds } from "../../core/brand.ts";
import { isOperatorError, messageOf, OperatorError } from "../../core/errors.ts";
import { isTooLarge, type KubeClient, type KubeRequest, type KubeResponse } from "../../kubernetes/client.ts";
import { isStatus, KubeApiError } from "../../kubernetes/errors.ts";
import type { Io } from "../io.ts";
import { type GivenOptions, textOf } from "../options.ts";

/** A client without the parts that a command has no use for. */
export interface ClusterSession {
  readonly server: string;
  /** `--namespace`, otherwise the kubeconfig's, otherwise `default`. */
  readonly namespace: string;
  /** @throws KubeApiError for an answer that says no; CLUSTER_UNREACHABLE where there is none. */
  request<T>(request: KubeRequest): Promise<KubeResponse<T>>;
}

/** A person waits. */
const DEADLINE: Milliseconds = milliseconds(10_000);

/**
 * `otherwise`: what the user may give in place of a cluster, for the message where there is no usable kubeconfig.
 * @throws what `run` throws; CLUSTER_UNREACHABLE; INVALID_CONFIGURATION without a usable kubeconfig.
 */
export async function withCluster(
  options: GivenOptions,
  io: Io,
  run: (session: ClusterSession) => Promise<number>,
  otherwise?: string,
): Promise<number> {
  // The transport and what reads a kubeconfig are loaded for the commands that need them.
  const { composeClient } = await import("../compose-client.ts");
  const at = { kubeconfig: textOf(options, "kubeconfig"), context: textOf(options, "context") };
  const access = await composeClient(at, io).catch((error: unknown) => {
    if (otherwise === undefined || !isOperatorError(error, "INVALID_CONFIGURATION")) throw error;
    throw new OperatorError("INVALID_CONFIGURATION", `${error.message}; or ${otherwise}`, { cause: error });
  });
  try {
    const namespace = textOf(options, "namespace") ?? access.namespace ?? "default";
    return await run(makeSession({ client: access.client, server: access.server, namespace }));
  } finally {
    access.close();
  }
}

export function makeSession({
  client,
  server,
  namespace,
}: {
  readonly client: KubeClient;
  readonly server: string;
  readonly namespace: string;
}): ClusterSession {
  const { signal } = new AbortController();
  return {
    server,
    namespace,
    request: async <T>(request: KubeRequest): Promise<KubeResponse<T>> => {
      try {
        return await client.request<T>({ deadline: DEADLINE, ...request }, signal);
      } catch (error) {
        throw inWords(error, server);
      }
    },
  };
}

/** For commands that know both modes. */
export const OR_LOCAL = "--out DIR (MESHID_OUT), what a meshid local writes to";

/** Whether an API server said no because of missing rights. */
export function isForbidden(error: unknown): error is KubeApiError {
  return isStatus(error, 403);
}

export function isNotFound(error: unknown): error is KubeApiError {
  return isStatus(error, 404);
}

/** An answer of the API server stays what it is; where there is no usable one, the cluster cannot be reached. */
function inWords(error: unknown, server: string): unknown {
  if (error instanceof KubeApiError) {
    if (error.status === 401) {
      const message = `the API server at ${server} does not know who asks (401 ${error.reason}); expected valid credentials in the kubeconfig`;
      return unreachableCluster(message, error);
    }
    const isBusy = error.status === 429 || error.status >= 500;
    return isBusy
      ? unreachableCluster(`the API server at ${server} cannot serve: ${error.message}`, error)
      : error;
  }
  if (!isOperatorError(error, "STORAGE_FAILED") || isTooLarge(error)) return error;
  const reason = messageOf(error.cause ?? error);
  return unreachableCluster(`the API server at ${server} cannot be reached: ${reason}`, error);
}

function unreachableCluster(message: string, cause: unknown): OperatorError {
  return new OperatorError("CLUSTER_UNREACHABLE", message, { retryable: true, cause });
}
