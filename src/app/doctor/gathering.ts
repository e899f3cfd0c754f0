/**
 * How facts are gathered: what the user may not read is known not to be known, and the rest goes on.
 */

import type { Clock } from "../../core/clock.ts";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { asRecord } from "../../core/strict-json.ts";
import { isUnknownKind } from "../cluster-cli/objects.ts";
import { type ClusterSession, isForbidden } from "../cluster-cli/session.ts";
import type { Known } from "./finding.ts";

export interface Gathering {
  readonly session: ClusterSession;
  readonly clock: Clock;
  /** The one namespace that is looked at; undefined: all. */
  readonly scope: string | undefined;
  /** Requests that got no answer: filled while facts are gathered. */
  readonly unanswered: string[];
}

/** `what` completes "you may not …". @throws what is no answer of the cluster: a fault of ours. */
export async function known<T>(
  { unanswered }: Pick<Gathering, "unanswered">,
  what: string,
  read: () => Promise<T>,
): Promise<Known<T>> {
  try {
    return { known: true, value: await read() };
  } catch (error) {
    if (isForbidden(error)) return { known: false, why: `you may not ${what}` };
    if (isUnknownKind(error))
      return { known: false, why: `you cannot ${what}: the cluster does not know the kind` };
    if (!isOperatorError(error)) throw error;
    if (error.code === "CLUSTER_UNREACHABLE") unanswered.push(what);
    return { known: false, why: messageOf(error) };
  }
}

/** The objects of a list from outside. */
export function recordsIn(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.map(asRecord).filter((each) => each !== undefined);
}
