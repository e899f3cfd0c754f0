/**
 * An API server of a few answers, by method and path, for the commands that ask a cluster.
 */

import { type ClusterSession, makeSession } from "../../src/app/cluster-cli/session.ts";
import { OperatorError } from "../../src/core/errors.ts";
import { type KubeRequest, type KubeResponse, TOO_LARGE } from "../../src/kubernetes/client.ts";
import { KubeApiError } from "../../src/kubernetes/errors.ts";

/** A status with its reason, no answer at all, or the body of a 200. */
export type Answer =
  | { readonly status: number; readonly reason?: string }
  | "unreachable"
  | "too large"
  | { readonly body: unknown; readonly date?: string };

export interface FakeSession {
  readonly session: ClusterSession;
  readonly requests: readonly KubeRequest[];
}

/** `answer` is asked for each request; undefined: the kind is not known. */
export function fakeSession(
  answer: (request: KubeRequest) => Answer | undefined,
  namespace = "shop",
): FakeSession {
  const requests: KubeRequest[] = [];
  const client = {
    request: async <T>(request: KubeRequest): Promise<KubeResponse<T>> => {
      requests.push(request);
      const found = answer(request) ?? { status: 404, reason: "" };
      const what = `${request.method} ${request.path}`;
      if (found === "unreachable")
        throw new OperatorError("STORAGE_FAILED", `${what}: no answer`, {
          retryable: true,
          cause: new Error("connect ECONNREFUSED"),
        });
      if (found === "too large")
        throw new OperatorError("STORAGE_FAILED", what, { retryable: true, details: { errno: TOO_LARGE } });
      if ("status" in found)
        throw new KubeApiError(found.status, found.reason ?? "Reason", `${what}: HTTP ${found.status}`);
      const date = found.date === undefined ? {} : { date: found.date };
      return { status: 200, body: found.body as T, ...date };
    },
    watch: () => {
      throw new TypeError("no command watches");
    },
  };
  return { session: makeSession({ client, server: "https://api.test:6443/", namespace }), requests };
}
