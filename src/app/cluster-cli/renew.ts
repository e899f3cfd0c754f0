/**
 * `meshid renew` in a cluster.
 */

import { milliseconds } from "../../core/brand.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { identityOf } from "../../kubernetes/identity-objects.ts";
import { SERVICE_IDENTITIES } from "../../kubernetes/resources.ts";
import { RENEW_ANNOTATION, type ServiceIdentity } from "../../registration/service-identity.ts";
import type { Io } from "../io.ts";
import type { ObservedIdentity } from "../observed-objects.ts";
import { type GivenOptions, isSet, textOf } from "../options.ts";
import { requestValue } from "../progress/follow.ts";
import { renewOne } from "../renew.ts";
import { renewAll } from "../renew-all.ts";
import type { AskedRenewals, Asking, IdentityName, RenewalTarget } from "../renewal-target.ts";
import { unknownIdentity } from "../unknown-identity.ts";
import { annotate } from "./annotate.ts";
import { listClusterIdentities, toObserved } from "./identities.ts";
import { getObject, isUnknownKind, notInstalled } from "./objects.ts";
import { type ClusterSession, isForbidden, isNotFound, OR_LOCAL, withCluster } from "./session.ts";

/** Requests at once: an API server's share for one user is wider than this. */
const CONCURRENCY = 16;
/** An API server that is away for a moment is asked again, after so many seconds each. */
const RETRIES = [1, 2, 4, 8] as const;

/** @throws INVALID_CONFIGURATION for an unknown identity; KubeApiError, CLUSTER_UNREACHABLE. */
export function runClusterRenew(options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => clusterRenew(session, options, io), OR_LOCAL);
}

export function clusterRenew(session: ClusterSession, options: GivenOptions, io: Io): Promise<number> {
  const target = clusterTarget(session, io);
  if (isSet(options, "all")) return renewAll(target, { options, io });
  const at = { namespace: session.namespace, name: textOf(options, "NAME") ?? "" };
  return renewOne(target, at, { options, io });
}

function clusterTarget(session: ClusterSession, io: Io): RenewalTarget {
  return {
    list: async (namespace) => (await listClusterIdentities(session, namespace)).map(toObserved),
    get: (at) => getIdentity(session, at),
    unknown: (at) => unknown(session, at),
    ask: (identities, asking) => new Asker(session, requestValue(io), io).ask(identities, asking),
    untaken: () => ({ text: "the controller has not taken it up yet" }),
    carriedOut: () => "The controller carries it out; --wait waits for it, meshid status shows it.",
    remedy: "meshid doctor says what is wrong.",
    data: () => ({ server: session.server }),
  };
}

/** Annotates many identities, a few at once; one that is refused keeps no other from it. */
class Asker {
  readonly #session: ClusterSession;
  readonly #id: string;
  readonly #io: Io;
  readonly #asked = new Set<number>();
  readonly #refused: (IdentityName & { readonly message: string })[] = [];
  #next = 0;
  #stopped: Error | undefined;

  constructor(session: ClusterSession, id: string, io: Io) {
    this.#session = session;
    this.#id = id;
    this.#io = io;
  }

  async ask(identities: readonly IdentityName[], { onAsked, signal }: Asking): Promise<AskedRenewals> {
    const work = async (): Promise<void> => {
      for (let index = this.#next++; index < identities.length; index = this.#next++) {
        if (signal.aborted || this.#stopped !== undefined) return;
        const at = identities[index];
        if (at !== undefined && (await this.#askOne(at, signal))) this.#asked.add(index);
        onAsked(this.#asked.size);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, identities.length) }, work));
    return {
      id: this.#id,
      asked: identities.filter((_, index) => this.#asked.has(index)),
      refused: this.#refused,
      ...(this.#stopped === undefined ? {} : { stopped: this.#stopped }),
    };
  }

  async #askOne({ namespace, name }: IdentityName, signal: AbortSignal): Promise<boolean> {
    for (const pause of [...RETRIES, undefined]) {
      try {
        await annotate(
          this.#session,
          SERVICE_IDENTITIES,
          { namespace, name },
          { [RENEW_ANNOTATION]: this.#id },
        );
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        if (!isOperatorError(error, "CLUSTER_UNREACHABLE")) {
          this.#refused.push({ namespace, name, message: messageOf(error) });
          return false;
        }
        if (pause === undefined) this.#stopped ??= error;
        else await this.#io.clock.sleep(milliseconds(pause * 1000), signal);
        if (signal.aborted || this.#stopped !== undefined) return false;
      }
    }
    return false;
  }
}

async function getIdentity(
  session: ClusterSession,
  { namespace, name }: IdentityName,
): Promise<ObservedIdentity | undefined> {
  try {
    const object = await getObject(session, SERVICE_IDENTITIES, { namespace, name });
    return object === undefined ? undefined : toObserved(identityOf(object));
  } catch (error) {
    throw isUnknownKind(error) ? notInstalled(session.server, error) : error;
  }
}

/** With what the user may have meant, as far as the user may see it. */
async function unknown(session: ClusterSession, { namespace, name }: IdentityName): Promise<Error> {
  let known: readonly ServiceIdentity[] = [];
  for (const scope of [undefined, namespace]) {
    try {
      known = await listClusterIdentities(session, scope);
      break;
    } catch (error) {
      if (!isForbidden(error)) throw error;
    }
  }
  return unknownIdentity(
    name,
    namespace,
    known.map(({ metadata }) => metadata),
  );
}
