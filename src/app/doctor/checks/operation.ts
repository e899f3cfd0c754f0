/**
 * Does someone lead, is the work done, and do the clocks agree?
 */

import type { Seconds } from "../../../core/brand.ts";
import { parseRfc3339 } from "../../../core/clock.ts";
import { RENEW_ANNOTATION } from "../../../registration/service-identity.ts";
import { relativeTime } from "../../times.ts";
import type { Facts, IdentityFact } from "../facts.ts";
import { counted, failed, named, ok, skipped, type Verdict, warning } from "../finding.ts";

/** A leader that died is replaced within 18 s, and a storm of 2,000 identities is through in 45. */
const WORK_LIMIT = 120;
/** Seconds between two clocks that are worth a word, and those that credentials bear (notBefore is back-dated by as much). */
const SKEW = { warning: 5, failed: 60 } as const;

export function checkLeader(facts: Facts): Verdict {
  const { lease, operatorNamespace, serverNow } = facts;
  if (!lease.known) return skipped(lease.why);
  const remedy = `kubectl -n ${operatorNamespace} get pods; kubectl -n ${operatorNamespace} logs deploy/meshid`;
  if (lease.value === undefined)
    return failed(
      `there is no Lease ${operatorNamespace}/meshid: no controller has ever led`,
      `${remedy}; if meshid runs elsewhere: --operator-namespace`,
    );
  const { holder, isRenewed, renewTime, durationSeconds } = lease.value;
  if (isRenewed) return ok(`${holder} leads`);
  const since = renewTime === undefined ? "" : `, last renewed ${relativeTime(renewTime, serverNow)}`;
  const who = holder === "" ? "nobody holds it" : `${holder} holds it`;
  return failed(
    `nobody leads: the Lease ${operatorNamespace}/meshid was not renewed while doctor looked (longer than its ${durationSeconds} s): ${who}${since}`,
    remedy,
  );
}

/** What is due and has not been done: the age of the last reconcile alone says nothing, an idle meshid writes nothing. */
export function checkReconciling({ identities, trustDomains, serverNow, operatorNamespace }: Facts): Verdict {
  if (!identities.known) return skipped(identities.why);
  const overdue = identities.value.flatMap((one) => overdueWork(one, serverNow));
  if (overdue.length > 0) {
    return failed(
      `${counted(overdue.length, "identity waits", "identities wait")} for the controller: ${named(overdue)}`,
      `see the check leader; kubectl -n ${operatorNamespace} logs deploy/meshid`,
      overdue,
    );
  }
  const written = identities.value.flatMap(({ reportedAt }) => reportedAt ?? []);
  const domains = trustDomains.known ? trustDomains.value : [];
  const last = Math.max(...written, ...domains.flatMap(({ status }) => lastTransition(status?.conditions)));
  if (!Number.isFinite(last)) return ok("nothing is due");
  return ok(`nothing is due; the last status was written ${relativeTime(last as Seconds, serverNow)}`);
}

function overdueWork({ identity, changedAt, reportedAt }: IdentityFact, now: Seconds): readonly string[] {
  const { metadata, status = {} } = identity;
  const name = `${metadata.namespace}/${metadata.name}`;
  const isOld = now - changedAt > WORK_LIMIT;
  if (reportedAt === undefined || status.observedGeneration === undefined)
    return isOld ? [`${name} (new, ${relativeTime(changedAt, now)})`] : [];
  if (status.observedGeneration < metadata.generation)
    return isOld ? [`${name} (changed ${relativeTime(changedAt, now)})`] : [];
  const isReady = status.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True");
  // Why one that is not Ready does not go on, its conditions say.
  if (isReady !== true) return [];
  const asked = metadata.annotations?.[RENEW_ANNOTATION];
  if (asked !== undefined && asked !== status.lastManualRenewal && isOld)
    return [`${name} (renewal asked for)`];
  const due = parseRfc3339(status.x509?.renewalTime ?? "");
  if (due !== undefined && now - due > WORK_LIMIT) return [`${name} (renewal due ${relativeTime(due, now)})`];
  return [];
}

function lastTransition(
  conditions: readonly { readonly lastTransitionTime: string }[] | undefined,
): readonly number[] {
  return (conditions ?? []).flatMap(({ lastTransitionTime }) => parseRfc3339(lastTransitionTime) ?? []);
}

export function checkClocks({ now, serverNow, lease }: Facts): Verdict {
  const own = now - serverNow;
  const skew = lease.known ? lease.value?.skew : undefined;
  const remedy =
    "set the clocks by NTP (chronyc tracking on the node); certificates and tokens are back-dated by 60 s, no more";
  if (skew !== undefined && Math.abs(skew) > SKEW.failed)
    return failed(
      `the leader's clock is ${ahead(skew)} the API server's: peers refuse what it signs`,
      remedy,
    );
  if (skew !== undefined && Math.abs(skew) > SKEW.warning)
    return warning(`the leader's clock is ${ahead(skew)} the API server's`, remedy);
  if (Math.abs(own) > SKEW.warning)
    return warning(
      `this machine's clock is ${ahead(own)} the API server's: times that meshid shows here are off by as much`,
      "set this machine's clock by NTP",
    );
  return ok(
    skew === undefined
      ? "this machine and the API server agree; the leader's clock could not be seen"
      : "this machine, the API server and the leader agree",
  );
}

function ahead(skew: number): string {
  return `${Math.abs(Math.round(skew))} s ${skew > 0 ? "before" : "behind"}`;
}

/** A bundle was published, and the journal is gone: nobody may make a new root by accident. */
export function checkJournal({ journal, trustDomains, operatorNamespace }: Facts): Verdict {
  if (!journal.known) return skipped(journal.why);
  if (journal.value) return ok(`the journal ${operatorNamespace}/meshid-authority is there`);
  const published =
    trustDomains.known && trustDomains.value.some(({ status }) => status?.bundle !== undefined);
  if (!published)
    return warning(
      `there is no journal ${operatorNamespace}/meshid-authority yet`,
      "the first leader makes it within seconds: see the checks operator and leader",
    );
  return failed(
    `the journal ${operatorNamespace}/meshid-authority is gone, although a bundle was published: nothing can be signed`,
    "meshid restore FILE puts it back from a backup; only where there is none: meshid bootstrap --new-root (docs/operations.md, Starting anew)",
  );
}
