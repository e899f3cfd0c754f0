/**
 * The Secret with the certificate of meshid's own HTTPS server: written by the leader, read by every replica.
 */

import type { Secret } from "../core/secret.ts";
import { MANAGED_BY_LABELS } from "../reconcile/manifests/manifest.ts";
import type { KubeClient } from "./client.ts";
import { APPLY, FIELD_MANAGER } from "./objects.ts";
import { objectPath, SECRETS } from "./resources.ts";

export const SERVER_SECRET = "meshid-server-tls";

export interface ServerSecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly fence: () => void;
}

/** `chain`, `ca`: PEM. @throws STORAGE_FAILED. */
export async function writeServerSecret(
  { client, namespace, fence }: ServerSecretOptions,
  { chain, key, ca }: { readonly chain: string; readonly key: Secret; readonly ca: string },
  signal: AbortSignal,
): Promise<void> {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  await client.request(
    {
      method: "PATCH",
      path: objectPath(SECRETS, { namespace, name: SERVER_SECRET }),
      // The name is reserved: whatever is there is ours.
      query: { fieldManager: FIELD_MANAGER, force: "true" },
      contentType: APPLY,
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: SERVER_SECRET, namespace, labels: MANAGED_BY_LABELS },
        type: "kubernetes.io/tls",
        data: { "tls.crt": encode(chain), "tls.key": encode(key.reveal()), "ca.crt": encode(ca) },
      },
      fence,
    },
    signal,
  );
}
