/**
 * What each replica of meshid serves over HTTPS counts as a consumer too: verifiers fetch JWKS and bundle from any of them.
 */

import type { Observation } from "../authority/rotation-plan.ts";
import type { Slot } from "../authority/slot.ts";
import { throwIfAborted } from "../core/clock.ts";
import { isOperatorError } from "../core/errors.ts";
import { parseJwks } from "../jwt/jwks.ts";
import { parseBundle } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type KeyId, keyIdOfSpki } from "../x509/keys.ts";
import type { Observer, ReplicaDocuments, ReplicaEndpoint, ReplicaEndpoints } from "./ports.ts";
import type { Refusals } from "./refusals.ts";

export interface ReplicaObserverDeps {
  readonly endpoints: ReplicaEndpoints;
  readonly documents: ReplicaDocuments;
  readonly trustDomain: TrustDomain;
  /** Told of replicas that do not show what they should. */
  readonly refusals: Refusals;
  /** A look that is under way when it aborts is given up. */
  readonly signal: AbortSignal;
}

type Looked = readonly Pick<Slot, "kind" | "keyID">[];

/** What it lacks of what was looked for. */
interface Replica {
  readonly consumer: string;
  readonly lacking: ReadonlySet<KeyId>;
}

interface Carried {
  readonly roots: ReadonlySet<string>;
  readonly jwt: ReadonlySet<string>;
  readonly sequence: bigint | undefined;
}

/** How many are asked at once. */
const CONCURRENCY = 8;
const FORBIDDEN = 403;

/** `observer`, and the replicas. */
export function withReplicas(observer: Observer, deps: ReplicaObserverDeps): Observer {
  return {
    look: async (slots): Promise<Observation> => {
      const [seen, replicas] = await Promise.all([observer.look(slots), lookAtReplicas(deps, slots)]);
      const lacking = slots.map(({ keyID }): [KeyId, readonly string[]] => {
        const names = replicas.filter((one) => one.lacking.has(keyID)).map(({ consumer }) => consumer);
        return [keyID, [...(seen.lacking.get(keyID) ?? []), ...names]];
      });
      return { ...seen, lacking: new Map(lacking), consumers: seen.consumers + replicas.length };
    },
  };
}

async function lookAtReplicas(deps: ReplicaObserverDeps, slots: Looked): Promise<readonly Replica[]> {
  let found: readonly ReplicaEndpoint[];
  try {
    found = await deps.endpoints.list();
  } catch (error) {
    return [unlisted(deps, error, slots)];
  }
  const replicas: Replica[] = [];
  for (let start = 0; start < found.length; start += CONCURRENCY) {
    throwIfAborted(deps.signal);
    const some = found.slice(start, start + CONCURRENCY);
    replicas.push(...(await Promise.all(some.map((endpoint) => lookAt(deps, endpoint, slots)))));
  }
  return replicas;
}

/**
 * Whoever cannot be named cannot be seen current either. That the right to ask is missing is for a person to mend, and no
 * reason to hold a rotation to its end; that the API server gives no answer passes.
 */
function unlisted({ endpoints, refusals }: ReplicaObserverDeps, error: unknown, slots: Looked): Replica {
  if (!isOperatorError(error) || error.code === "ABORTED") throw error;
  const consumer = `the replicas of ${endpoints.place}`;
  if (error.details["status"] === FORBIDDEN) refusals.note(consumer, error.message);
  return { consumer, lacking: new Set(slots.map(({ keyID }) => keyID)) };
}

async function lookAt(
  { documents, trustDomain, refusals, signal }: ReplicaObserverDeps,
  endpoint: ReplicaEndpoint,
  slots: Looked,
): Promise<Replica> {
  const consumer = `replica ${endpoint.name}`;
  try {
    const carried = carriedBy(await documents.fetch(endpoint, signal), trustDomain);
    const lacking = slots.filter((slot) => !isCarried(slot, carried)).map(({ keyID }) => keyID);
    if (lacking.length === 0) refusals.clear(consumer);
    else refusals.note(consumer, `serves an old bundle, sequence ${carried.sequence}`);
    return { consumer, lacking: new Set(lacking) };
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    throwIfAborted(signal);
    refusals.note(consumer, error.message);
    return { consumer, lacking: new Set(slots.map(({ keyID }) => keyID)) };
  }
}

/** @throws INVALID_INPUT for what is no bundle, or no JWKS. */
function carriedBy(
  { bundleJson, jwksJson }: { readonly bundleJson: string; readonly jwksJson: string },
  trustDomain: TrustDomain,
): Carried {
  const { x509Authorities, jwtAuthorities, sequence } = parseBundle(bundleJson, trustDomain);
  const inBundle = new Set(jwtAuthorities.map(({ keyID }) => keyID));
  const inJwks = parseJwks(jwksJson).map(({ keyID }) => keyID);
  return {
    roots: new Set(x509Authorities.map(({ der }) => keyIdOfSpki(parseCertificate(der).spki))),
    jwt: new Set(inJwks.filter((keyID) => inBundle.has(keyID))),
    sequence,
  };
}

function isCarried({ kind, keyID }: Looked[number], { roots, jwt }: Carried): boolean {
  return (kind === "JWT" ? jwt : roots).has(keyID);
}
