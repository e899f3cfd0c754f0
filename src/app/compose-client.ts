/**
 * Composition of a command that asks a cluster: the one place of the CLI that knows the transport's class.
 */

import type { KubeClient } from "../kubernetes/client.ts";
import { type Connection, type Credentials, connect } from "../kubernetes/connection.ts";
import { Transport } from "../kubernetes/transport.ts";
import { readVersion } from "./commands/version.ts";
import type { Io } from "./io.ts";

export interface ClusterAccess {
  readonly client: KubeClient;
  /** `https://10.0.0.1:6443/` */
  readonly server: string;
  /** Of the kubeconfig's context, or the pod's own. */
  readonly namespace: string | undefined;
  close(): void;
}

/** Nothing is asked of the API server yet. @throws INVALID_CONFIGURATION saying what was looked for. */
export async function composeClient(
  at: { readonly kubeconfig: string | undefined; readonly context: string | undefined },
  { env, clock, random }: Pick<Io, "env" | "clock" | "random">,
): Promise<ClusterAccess> {
  const connection = await connect({ ...at, env, monotonic: () => clock.monotonic() });
  // A plugin of the kubeconfig may ask a person to log in, for which the deadline of a request is short. If it fails, so does the
  // first request.
  let first: Promise<Credentials> | undefined = connection.credentials(false);
  await first.catch(() => undefined);
  const prepared: Connection = {
    ...connection,
    credentials: (isRejected) => {
      const asked = isRejected ? undefined : first;
      first = undefined;
      return asked ?? connection.credentials(isRejected);
    },
  };
  const userAgent = `meshid/${await readVersion()} (cli)`;
  const client = new Transport({ connection: prepared, clock, random, userAgent });
  return {
    client,
    server: connection.server.href,
    namespace: connection.namespace,
    close: () => client.close(),
  };
}
