/**
 * The rotation of the authority's keys: does something hold it up, for how long yet, and do verifiers have time to follow?
 */

import { type AuthorityKind, HOLD_SHARE, LATEST_SHARE, PREPARE_SHARE } from "../../../authority/slot.ts";
import { type Seconds, seconds } from "../../../core/brand.ts";
import { CLOCK_SKEW, parseRfc3339 } from "../../../core/clock.ts";
import { parseDuration } from "../../../core/duration.ts";
import type { Condition } from "../../../registration/conditions.ts";
import type { AuthorityStatus, TrustDomainObject } from "../../../registration/service-identity.ts";
import { servedAmong } from "../../cluster-cli/identities.ts";
import { describeInstant, shortLength } from "../../times.ts";
import type { Facts } from "../facts.ts";
import { ok, skipped, type Verdict, warning } from "../finding.ts";

const KINDS: readonly AuthorityKind[] = ["Root", "Issuing", "JWT"];
/** istiod fetches a JWKS again after so many seconds, and knows no new key until then. */
const ISTIOD_CACHE = 1200;
const DEFAULT_PROPAGATION = 1800;
/** A consumer that lags for so many times the propagation does not just need time. */
const PATIENCE = 3;

export function checkRotation(facts: Facts): Verdict {
  const { trustDomains, serverNow: now } = facts;
  if (!trustDomains.known) return skipped(trustDomains.why);
  const domain = servedAmong(trustDomains.value);
  if (domain === undefined) return skipped("there is no TrustDomain");
  const condition = domain.status?.conditions?.find(({ type }) => type === "RotationInProgress");
  if (condition === undefined) return skipped("the TrustDomain does not show where its rotation stands yet");
  return (
    excludedVerdict(condition) ??
    pauseVerdict(domain, condition, now) ??
    laggingVerdict(domain, condition, now) ??
    propagationVerdict(facts, domain) ??
    ok(`${condition.reason}: ${condition.message}`)
  );
}

function excludedVerdict({ reason, message }: Condition): Verdict | undefined {
  if (reason !== "ConsumersExcluded") return undefined;
  return warning(
    `a rotation goes on without consumers that have refused the new bundle for too long: ${message}`,
    "mend or delete what is named: its workloads do not know the new key, and refuse peers that use it",
  );
}

/** A pause with nothing due is nobody's worry. */
function pauseVerdict(domain: TrustDomainObject, condition: Condition, now: Seconds): Verdict | undefined {
  const isPaused = domain.spec.rotation?.paused === true || condition.reason === "Paused";
  if (!isPaused) return undefined;
  const slots = domain.status?.authorities ?? [];
  const due = KINDS.flatMap((kind) => dueWords(kind, slots, now) ?? []);
  if (due.length === 0) {
    const held = condition.reason === "Paused" ? `: ${condition.message}` : "";
    return ok(`rotations are held back, and none is due by itself${held}`);
  }
  return warning(
    `rotations are held back (${condition.message}), and ${due.join("; ")}`,
    "choose the hour yourself while there is time: spec.rotation.paused: false, or wider maintenanceWindows",
  );
}

/** What a pause holds up, and when it ends all the same. */
function dueWords(kind: AuthorityKind, all: readonly AuthorityStatus[], now: Seconds): string | undefined {
  const slots = all.filter((slot) => slot.kind === kind);
  const active = slots.find(({ state }) => state === "Active");
  const [from, half, hold, latest] = [0, PREPARE_SHARE, HOLD_SHARE, LATEST_SHARE].map((share) =>
    instantOfLife(active, share),
  );
  if (from === undefined || half === undefined || now < half) return undefined;
  const word = kind === "JWT" ? "JWT" : kind.toLowerCase();
  const isPrepared = slots.some(({ state }) => state === "Prepared");
  const limit = isPrepared ? latest : hold;
  const what = isPrepared ? "is used" : "is prepared";
  if (limit === undefined) return undefined;
  return `the successor of the ${word} key ${what} ${describeInstant(limit, now)} at the latest, pause or not`;
}

function instantOfLife(slot: AuthorityStatus | undefined, share: number): Seconds | undefined {
  const [notBefore, notAfter] = [parseRfc3339(slot?.notBefore ?? ""), parseRfc3339(slot?.notAfter ?? "")];
  if (notBefore === undefined || notAfter === undefined) return undefined;
  const start = notBefore + CLOCK_SKEW;
  return seconds(start + Math.max(0, Math.floor((notAfter - start) * share)));
}

function laggingVerdict(domain: TrustDomainObject, condition: Condition, now: Seconds): Verdict | undefined {
  if (condition.reason !== "WaitingForConsumers") return undefined;
  const patience = PATIENCE * propagationOf(domain);
  const late = domain.status?.authorities?.find(({ state, since }) => {
    const prepared = parseRfc3339(since);
    return state === "Prepared" && prepared !== undefined && now - prepared > patience;
  });
  const since = parseRfc3339(late?.since ?? "");
  if (late === undefined || since === undefined) return undefined;
  const until = late.waitingUntil === undefined ? "" : `; it signs at ${late.waitingUntil} at the latest`;
  return warning(
    `the new ${late.kind} key ${late.keyID} was published ${describeInstant(since, now)} and still waits: ${late.waitingFor ?? condition.message}${until}`,
    "make what is named writable (quota, admission policy, stuck namespace), or delete it: who lacks the key then refuses who uses it",
  );
}

/** Who checks tokens by Istio goes by a copy of the JWKS. */
function propagationVerdict({ mesh, identities }: Facts, domain: TrustDomainObject): Verdict | undefined {
  const { servesPolicies, controlPlanes } = mesh;
  const hasIstio =
    (servesPolicies.known && servesPolicies.value) || (controlPlanes.known && controlPlanes.value.length > 0);
  const propagation = propagationOf(domain);
  if (!hasIstio || propagation >= ISTIOD_CACHE) return undefined;
  const hasTokens =
    !identities.known || identities.value.some(({ identity }) => identity.spec.jwt !== undefined);
  if (!hasTokens) return undefined;
  return warning(
    `rotation.propagation is ${shortLength(propagation)}, and istiod keeps its copy of the JWKS for ${shortLength(ISTIOD_CACHE)}: a new token key is used before istiod knows it, and Istio refuses its tokens until then`,
    "set spec.rotation.propagation of the TrustDomain to 20m or more (the default is 30m), unless no RequestAuthentication checks meshid's tokens",
  );
}

/** One that the engine refuses is no rule: the check trust-domain speaks of it. */
function propagationOf({ spec }: TrustDomainObject): Seconds {
  const text = spec.rotation?.propagation;
  try {
    return text === undefined
      ? seconds(DEFAULT_PROPAGATION)
      : parseDuration(text, "spec.rotation.propagation");
  } catch {
    return seconds(DEFAULT_PROPAGATION);
  }
}
