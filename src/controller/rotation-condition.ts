/**
 * What a person is to read of a rotation: what it waits for, by name, since when and until when, and what is to be done.
 * Of several things the one that most wants somebody's attention is told: what breaks, what is left out, what is waited for.
 */

import type { AuthorityView } from "../authority/authority-state.ts";
import type { Waiting } from "../authority/rotation-plan.ts";
import type { Slot } from "../authority/slot.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { toRfc3339 } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
import { condition, type NewCondition, type Reason } from "../registration/conditions.ts";
import { type Refusal, retryRefusedAfter, withReason } from "./refusals.ts";
import { isComplete, type Reissuance, type Reissuances } from "./reissuance.ts";

export interface RotationProgress {
  readonly view: Pick<AuthorityView, "slots" | "issuing" | "jwt" | "distrusted">;
  readonly waiting: readonly Waiting[];
  /** The consumers that a rotation goes on without, with the reason. */
  readonly excluded: readonly string[];
  readonly refusalOf: (consumer: string) => Refusal | undefined;
  readonly reissued: Reissuances;
  readonly propagation: Seconds;
  readonly now: Seconds;
}

interface Told {
  readonly reason: Reason<"RotationInProgress">;
  readonly message: string;
}

/** How long verifiers keep a JWKS, whatever its `Cache-Control` says: Envoy's and istiod's defaults. */
const JWKS_CACHES = { envoy: seconds(600), istiod: seconds(1200) } as const;
const CACHES = "verifiers keep a JWKS for up to 10m (Envoy) and 20m (istiod)";
const MAX_NAMED = 5;
/** Seconds. */
const LOOK_AGAIN = { urgent: { min: 2, max: 60 }, gradual: { min: 1, max: 300 } } as const;

export function rotationCondition(progress: RotationProgress): NewCondition {
  const { reason, message } = told(progress);
  return condition("RotationInProgress", reason === "Idle" ? "False" : "True", reason, message);
}

/** What breaks at present, because keys were taken out of the bundles at once; undefined where nothing does. */
export function emergency({ view, reissued, now }: RotationProgress): string | undefined {
  const { certificates, tokens } = reissued;
  const texts: string[] = [];
  const root = lastDistrusted(view, ({ kind }) => kind !== "JWT");
  if (root !== undefined && certificates.refused > 0) {
    const renewed = shareOf(certificates.total - certificates.refused, certificates.total);
    const who = `${renewed} identities have their new certificate${stillWithout(certificates)}`;
    const what = "until a workload has its own, peers refuse it";
    texts.push(`${distrusted(root)}: ${who}; ${what}`);
  }
  const jwt = lastDistrusted(view, ({ kind }) => kind === "JWT");
  if (jwt !== undefined && (tokens.refused > 0 || now < jwt.at + JWKS_CACHES.istiod)) {
    const renewed = shareOf(tokens.total - tokens.refused, tokens.total);
    const who = `${renewed} tokens are signed anew${stillWithout(tokens)}, and verifiers refuse the others`;
    const what = `they refuse the new ones too until they have fetched the JWKS again, by ${toRfc3339(seconds(jwt.at + JWKS_CACHES.istiod))} at the latest (${CACHES})`;
    texts.push(`${distrusted(jwt)}: ${who}; ${what}`);
  }
  return texts.length === 0 ? undefined : texts.join("; ");
}

/** What the next step of a slot waits for, in words; until when is told apart. */
export function waitingText(
  waiting: Waiting,
  { refusalOf, propagation }: Pick<RotationProgress, "refusalOf" | "propagation">,
): string {
  if (waiting.for === "consumers" && waiting.lacking !== undefined) {
    const { lacking } = waiting;
    const names = lacking.slice(0, MAX_NAMED).map((name) => withReason(name, refusalOf(name)));
    return `${lacking.length} ${lacking.length === 1 ? "consumer lacks" : "consumers lack"} it: ${named(names, lacking.length)}`;
  }
  if (waiting.for !== "propagation" || waiting.kind !== "JWT") return waiting.message;
  const isShort = propagation < JWKS_CACHES.istiod;
  const short = `, and spec.rotation.propagation (${formatDuration(propagation)}) is shorter: tokens may be refused until they fetch it again`;
  return `${waiting.message}; ${CACHES}${isShort ? short : ""}`;
}

/** When to look again how far a new key has come, whatever else happens; undefined where all is done. */
export function progressAt(progress: RotationProgress): Seconds | undefined {
  const { reissued, view, now } = progress;
  const instants = view.distrusted
    .filter(({ kind, at }) => kind === "JWT" && at + JWKS_CACHES.istiod > now)
    .map(({ at }) => at + JWKS_CACHES.istiod);
  const isRefused = reissued.certificates.refused + reissued.tokens.refused > 0;
  if (isRefused || !isComplete(reissued.certificates)) instants.push(now + lookAgainIn(progress, isRefused));
  return instants.length === 0 ? undefined : seconds(Math.min(...instants));
}

/** A twentieth of the time that it has taken, or will take, where something moves; seldom where only a person can move it. */
function lookAgainIn({ reissued, view, propagation, now }: RotationProgress, isRefused: boolean): number {
  if (isRefused) return bounded((now - (view.distrusted.at(-1)?.at ?? 0)) / 20, LOOK_AGAIN.urgent);
  const { lastRenewal = now } = reissued.certificates;
  if (lastRenewal <= now) return retryRefusedAfter(propagation);
  return bounded((lastRenewal - now) / 20, LOOK_AGAIN.gradual);
}

function bounded(length: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, Math.floor(length)));
}

function told(progress: RotationProgress): Told {
  const { waiting, excluded } = progress;
  const broken = emergency(progress);
  const of = (what: Waiting["for"]): string | undefined => {
    const texts = waiting.filter((one) => one.for === what).map((one) => sentence(one, progress));
    return texts.length === 0 ? undefined : texts.join("; ");
  };
  const lagging = of("consumers");
  const without =
    excluded.length === 0
      ? undefined
      : `the rotation goes on without ${named(excluded)}: repair or delete them, peers of their workloads may be refused until then`;
  const together = (...texts: readonly (string | undefined)[]): string => texts.filter(Boolean).join("; ");
  if (broken !== undefined) return { reason: "Reissuing", message: together(broken, without, lagging) };
  if (without !== undefined) return { reason: "ConsumersExcluded", message: together(without, lagging) };
  if (lagging !== undefined) return { reason: "WaitingForConsumers", message: lagging };
  const held = of("policy");
  if (held !== undefined) return { reason: "Paused", message: held };
  const spreading = of("propagation");
  if (spreading !== undefined) return { reason: "WaitingForPropagation", message: spreading };
  const { certificates } = progress.reissued;
  if (!isComplete(certificates)) return { reason: "Reissuing", message: reissuing(certificates, progress) };
  return retiring(progress) ?? { reason: "Idle", message: "no rotation is in progress" };
}

/** `Root 0f3a…, published since T: 2 consumers lack it: …; until T at the latest` */
function sentence(waiting: Waiting, progress: RotationProgress): string {
  const slot = progress.view.slots.find(({ keyID }) => keyID === waiting.keyID);
  const until = waiting.until === undefined ? "" : `; until ${toRfc3339(waiting.until)} at the latest`;
  return `${waiting.kind} key ${waiting.keyID}${sinceWhen(slot)}: ${waitingText(waiting, progress)}${until}`;
}

function sinceWhen(slot: Slot | undefined): string {
  if (slot?.state !== "Prepared") return "";
  const seen = slot.observedAt === undefined ? "" : `, seen everywhere at ${toRfc3339(slot.observedAt)}`;
  return `, published since ${toRfc3339(slot.since)}${seen}`;
}

function reissuing(certificates: Reissuance, { view, now }: RotationProgress): string {
  const { total, fromActive, lastRenewal } = certificates;
  const percent = Math.floor((10 * fromActive) / total) * 10;
  const { keyID } = view.issuing;
  const since = view.slots.find((slot) => slot.keyID === keyID)?.since;
  const active = `the active issuing key ${keyID}${since === undefined ? "" : ` (since ${toRfc3339(since)})`}`;
  const share = `${percent} % of ${rounded(total)} certificates come from ${active}`;
  if (lastRenewal !== undefined && lastRenewal > now)
    return `${share}; the others follow at their renewal, the last at ${toRfc3339(lastRenewal)}`;
  const rest = total - fromActive;
  return `${share}; the renewal of the others is overdue, see their conditions: ${named(certificates.left, rest)}`;
}

function retiring({ view, waiting }: RotationProgress): Told | undefined {
  const retired = view.slots.filter((slot) => slot.state === "Retired");
  if (retired.length === 0) return undefined;
  const names = retired.map(({ kind, keyID }) => {
    const until = waiting.find((one) => one.keyID === keyID)?.until;
    return `${kind} ${keyID}${until === undefined ? "" : ` (until ${toRfc3339(until)})`}`;
  });
  return {
    reason: "Retiring",
    message: `published until nothing that they signed is alive: ${named(names)}`,
  };
}

/** The one that was named: what lay beside it and went with it stands behind it in the journal. */
function lastDistrusted(
  { distrusted: all }: Pick<AuthorityView, "distrusted">,
  isWanted: (one: AuthorityView["distrusted"][number]) => boolean,
): AuthorityView["distrusted"][number] | undefined {
  const wanted = all.filter(isWanted);
  return wanted.find(({ at }) => at === wanted.at(-1)?.at);
}

function distrusted({ kind, keyID, at }: AuthorityView["distrusted"][number]): string {
  const what = kind === "JWT" ? "JWT key" : kind === "Root" ? "root" : "issuing key";
  return `${what} ${keyID} was distrusted at ${toRfc3339(at)}`;
}

/** Once they are few. */
function stillWithout({ left, refused }: Reissuance): string {
  return refused > 0 && refused <= MAX_NAMED ? ` (still without: ${left.join(", ")})` : "";
}

/** In about ten steps, so that not each identity that follows is a status to be written. */
function shareOf(done: number, total: number): string {
  if (done >= total || total <= 10) return `${done} of ${total}`;
  const step = Math.ceil(total / 10);
  return `at least ${rounded(Math.floor(done / step) * step)} of ${rounded(total)}`;
}

/** Two digits that count, for the same reason. */
function rounded(count: number): string {
  if (count < 100) return String(count);
  const unit = 10 ** (String(count).length - 2);
  const whole = Math.floor(count / unit) * unit;
  return `${whole === count ? "" : "about "}${whole.toLocaleString("en")}`;
}

function named(items: readonly string[], total: number = items.length): string {
  const shown = items.slice(0, MAX_NAMED);
  const more = total > shown.length ? ` and ${total - shown.length} more` : "";
  return shown.join(", ") + more;
}
