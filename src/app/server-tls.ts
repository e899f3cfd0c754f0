/**
 * Keeps the certificate of the HTTPS server fresh in the cluster: the leader's task.
 */

import type { Authority } from "../authority/authority.ts";
import { milliseconds, type Seconds, seconds } from "../core/brand.ts";
import type { Clock } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";
import { topIssuerOf } from "../reconcile/facts.ts";
import { issuerKeyIdOf, parseCertificate } from "../x509/certificate.ts";
import { splitPem } from "../x509/pem.ts";
import type { StoredTls } from "./publication.ts";
import { issueServerCredentials, type ServerCredentials } from "./server-credentials.ts";

export interface ServerTlsOptions {
  readonly authority: Authority;
  readonly clock: Clock;
  readonly namespace: string;
  /** The host names that clients connect to. */
  readonly names: () => readonly string[];
  /** What is stored now. */
  readonly stored: () => StoredTls | undefined;
  readonly write: (
    content: { readonly chain: string; readonly key: Secret; readonly ca: string },
    signal: AbortSignal,
  ) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const LOOK_AGAIN = milliseconds(15_000);
const RETRY = milliseconds(1000);

/** Until `signal` aborts. Never rejects. */
export async function keepServerTls(options: ServerTlsOptions, signal: AbortSignal): Promise<void> {
  const { authority, clock, write, onError, namespace } = options;
  while (!signal.aborted) {
    let pause = LOOK_AGAIN;
    try {
      if (isDue(options)) {
        const issued: ServerCredentials = await issueServerCredentials(authority, options.names(), namespace);
        const ca = authority.view().caPem;
        await write({ chain: issued.chain, key: issued.key, ca }, signal);
      }
    } catch (error) {
      if (!isOperatorError(error, "ABORTED")) onError(error);
      pause = RETRY;
    }
    await clock.sleep(pause, signal);
  }
}

/**
 * Missing, unreadable, half-way through its life, for other names, of an issuer that is no more, vouched for by a root that is
 * distrusted, or beside other roots.
 */
function isDue({ authority, clock, names, stored }: ServerTlsOptions): boolean {
  const found = stored();
  if (found === undefined || found.ca !== authority.view().caPem) return true;
  try {
    const chain = splitPem(found.chain);
    const [der, issuerDer] = chain;
    if (der === undefined) return true;
    const leaf = parseCertificate(der);
    const issuerKeyID = issuerKeyIdOf(leaf, issuerDer && parseCertificate(issuerDer));
    const issuers = authority
      .view()
      .slots.filter((slot) => slot.kind === "Issuing" && slot.state !== "Retired");
    const isCurrent = issuers.some(({ keyID }) => keyID === issuerKeyID);
    const isNamed = [...names()].sort().join() === [...leaf.dnsNames, ...leaf.ipAddresses].sort().join();
    const { topIssuerKeyID } = topIssuerOf(chain);
    if (authority.view().distrusted.some(({ keyID }) => keyID === topIssuerKeyID)) return true;
    return !isCurrent || !isNamed || clock.now() >= halfLife(leaf.notBefore, leaf.notAfter);
  } catch {
    return true;
  }
}

function halfLife(notBefore: Seconds, notAfter: Seconds): Seconds {
  return seconds(Math.floor((notBefore + notAfter) / 2));
}
