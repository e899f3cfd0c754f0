/**
 * Watching the Lease for a while: by its clock alone nobody can say whether its holder lives.
 */

import { milliseconds, type Seconds } from "../../core/brand.ts";
import { parseHttpDate, parseRfc3339 } from "../../core/clock.ts";
import { type LeaseRecord, recordOf } from "../../kubernetes/lease-record.ts";
import type { KubeObject } from "../../kubernetes/objects.ts";
import { LEASES, objectPath } from "../../kubernetes/resources.ts";
import { isUnknownKind } from "../cluster-cli/objects.ts";
import { type ClusterSession, isNotFound } from "../cluster-cli/session.ts";
import type { LeaseFact } from "./facts.ts";
import type { Known } from "./finding.ts";
import { type Gathering, known } from "./gathering.ts";

const NAME = "meshid";
const POLL = milliseconds(1000);
/** Beyond the duration of the Lease: another replica then takes it over. */
const GRACE_SECONDS = 5;
const MAX_SECONDS = 60;

export function gatherLease(gathering: Gathering, namespace: string): Promise<Known<LeaseFact | undefined>> {
  const what = `read Leases in ${namespace}`;
  return known(gathering, what, () => watchLease(gathering, namespace));
}

async function watchLease({ session, clock }: Gathering, namespace: string): Promise<LeaseFact | undefined> {
  const first = await readLease(session, namespace);
  if (first === undefined) return undefined;
  const { signal } = new AbortController();
  const length = Math.min(MAX_SECONDS, first.record.durationSeconds + GRACE_SECONDS);
  const end = clock.monotonic() + length * 1000;
  let last = first;
  while (clock.monotonic() < end) {
    await clock.sleep(POLL, signal);
    const next = await readLease(session, namespace);
    if (next === undefined) return undefined;
    last = next;
    const isRenewed = next.record.renewTime !== first.record.renewTime && next.record.holder !== "";
    if (isRenewed) return factOf(next, true);
  }
  return factOf(last, false);
}

interface Reading {
  readonly record: LeaseRecord;
  /** When the API server answered, by its own clock. */
  readonly date: Seconds | undefined;
}

async function readLease(session: ClusterSession, namespace: string): Promise<Reading | undefined> {
  try {
    const path = objectPath(LEASES, { namespace, name: NAME });
    const { body, date } = await session.request<KubeObject>({ method: "GET", path });
    return { record: recordOf(body), date: parseHttpDate(date ?? "") };
  } catch (error) {
    if (isNotFound(error) && !isUnknownKind(error)) return undefined;
    throw error;
  }
}

/** A renewal is seen a poll late at most, so the holder's clock stands at about `renewTime` when the server says `date`. */
function factOf({ record, date }: Reading, isRenewed: boolean): LeaseFact {
  const renewTime = parseRfc3339(record.renewTime ?? "");
  const isKnown = isRenewed && renewTime !== undefined && date !== undefined;
  return {
    holder: record.holder,
    durationSeconds: record.durationSeconds,
    renewTime,
    isRenewed,
    skew: isKnown ? renewTime - date : undefined,
  };
}
