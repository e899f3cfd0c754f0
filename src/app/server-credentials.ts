/**
 * The X.509-SVID that meshid's own HTTPS server presents: issued like any other, kept in memory only, renewed at half of its
 * life.
 */

import { isIP } from "node:net";
import type { Authority } from "../authority/authority.ts";
import { type Milliseconds, milliseconds, type Seconds, seconds } from "../core/brand.ts";
import { type Clock, sleepUntil } from "../core/clock.ts";
import type { Secret } from "../core/secret.ts";
import { DEFAULT_OPERATOR_NAMESPACE } from "../registration/trust-domain-policy.ts";
import { workloadSpiffeId } from "../spiffe/spiffe-id.ts";
import { encodePrivateKey, generateKey, publicKeyOf } from "../x509/keys.ts";

export interface ServerCredentials {
  readonly chain: string;
  readonly key: Secret;
  readonly renewAt: Seconds;
}

const SERVICE_ACCOUNT = "meshid";
const TTL = seconds(86_400);
const RETRY: Milliseconds = milliseconds(5000);

/**
 * `names`: the host names and addresses that clients connect to; `namespace`: the operator's.
 * @throws as `Authority.signX509Svid`.
 */
export async function issueServerCredentials(
  authority: Authority,
  names: readonly string[],
  namespace: string = DEFAULT_OPERATOR_NAMESPACE,
): Promise<ServerCredentials> {
  const privateKey = await generateKey("ECDSA-P256");
  const view = authority.view();
  const svid = await authority.signX509Svid({
    spiffeId: workloadSpiffeId(view.trustDomain, namespace, SERVICE_ACCOUNT),
    dnsNames: names.filter((name) => isIP(name) === 0),
    ipAddresses: names.filter((name) => isIP(name) !== 0),
    publicKey: publicKeyOf(privateKey),
    ttl: TTL,
  });
  const issuedAt = svid.notBefore + 60;
  return {
    chain: svid.chainPem,
    key: encodePrivateKey(privateKey),
    renewAt: seconds(issuedAt + Math.max(1, Math.floor((svid.notAfter - issuedAt) / 2))),
  };
}

export interface RenewalOptions {
  readonly first: ServerCredentials;
  readonly issue: () => Promise<ServerCredentials>;
  readonly reload: (credentials: ServerCredentials) => void;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/** Keeps the server's credentials fresh until `signal` aborts. */
export async function renewServerCredentials(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  let { renewAt } = options.first;
  while (!signal.aborted) {
    if (clock.now() < renewAt) {
      await sleepUntil(clock, renewAt, signal);
      continue;
    }
    try {
      const next = await options.issue();
      options.reload(next);
      renewAt = next.renewAt;
    } catch (error) {
      options.onError(error);
      await clock.sleep(RETRY, signal);
    }
  }
}
