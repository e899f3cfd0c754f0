/**
 * The identities: are they Ready, and are their credentials far from their end?
 */

import type { Seconds } from "../../../core/brand.ts";
import { parseRfc3339 } from "../../../core/clock.ts";
import type { ServiceIdentity } from "../../../registration/service-identity.ts";
import { relativeTime } from "../../times.ts";
import type { Facts, IdentityFact } from "../facts.ts";
import { counted, failed, named, ok, skipped, type Verdict, warning } from "../finding.ts";

/** Of a credential's life, once its renewal is due. */
const SHARE_LEFT = { warning: 0.25, failed: 0.05 } as const;
/** An identity that is so new may still be on its way. */
const FRESH = 60;

export function checkIdentities({ identities, serverNow }: Facts): Verdict {
  if (!identities.known) return skipped(identities.why);
  const judged = identities.value.filter(({ changedAt }) => serverNow - changedAt > FRESH);
  const notReady = judged.filter(({ identity }) => readyOf(identity)?.status !== "True");
  const total = counted(identities.value.length, "identity", "identities");
  if (notReady.length > 0) {
    return failed(
      `${notReady.length} of ${total} not Ready: ${named(notReady.map(({ identity }) => explained(identity)))}`,
      "docs/conditions.md explains each reason; credentials issued before stay valid until they end",
      notReady.map(({ identity }) => nameOf(identity)),
    );
  }
  const degraded = judged.filter(({ identity }) => readyOf(identity)?.reason === "Degraded");
  if (degraded.length > 0) {
    return warning(
      `${degraded.length} of ${total} Degraded: ${named(degraded.map(({ identity }) => explained(identity)))}`,
      "the credentials are issued, the mesh manifest is not applied: docs/conditions.md explains the reason of MTLSApplied",
      degraded.map(({ identity }) => nameOf(identity)),
    );
  }
  return ok(identities.value.length === 0 ? "there are no identities" : `${total}, all Ready`);
}

/** Whatever their conditions say: is there a Secret, and does what is in it live on? */
export function checkCredentials({ identities, secrets, serverNow }: Facts): Verdict {
  if (!identities.known) return skipped(identities.why);
  const lives = identities.value.flatMap(({ identity }) => livesOf(identity));
  const gone = secrets.known ? identities.value.flatMap((one) => missingSecrets(one, secrets.value)) : [];
  if (gone.length > 0)
    return failed(
      `${counted(gone.length, "Secret")} missing that meshid has written: ${named(gone)}`,
      "meshid makes a deleted Secret anew within a second: see the check leader",
      gone,
    );
  const ended = lives.filter((life) => isLate(life, serverNow, SHARE_LEFT.failed));
  if (ended.length > 0)
    return failed(
      `${counted(ended.length, "credential")} at the end of its life: ${named(ended.map((life) => endOf(life, serverNow)))}`,
      "see the checks leader, reconciling and identities; meshid renew NAME -n NAMESPACE --wait asks for a new one",
      ended.map(({ name }) => name),
    );
  const late = lives.filter((life) => isLate(life, serverNow, SHARE_LEFT.warning));
  if (late.length > 0)
    return warning(
      `${counted(late.length, "credential")} near the end of its life: ${named(late.map((life) => endOf(life, serverNow)))}`,
      "it should have been renewed: see the checks leader, reconciling and identities",
      late.map(({ name }) => name),
    );
  if (lives.length === 0) return ok("no credential has been issued");
  const first = lives.reduce((a, b) => (a.notAfter < b.notAfter ? a : b));
  const unseen = secrets.known ? "" : "; whether their Secrets are there could not be seen";
  return ok(`${counted(lives.length, "credential")}; the first ends: ${endOf(first, serverNow)}${unseen}`);
}

interface Life {
  /** `shop/payments X.509` */
  readonly name: string;
  readonly notAfter: Seconds;
  /** Undefined for tokens: their status tells only their end. */
  readonly renewal: { readonly at: Seconds; readonly notBefore: Seconds } | undefined;
}

function livesOf(identity: ServiceIdentity): readonly Life[] {
  const { x509, jwt } = identity.status ?? {};
  const certificate = lifeOf(`${nameOf(identity)} X.509-SVID`, x509?.notAfter);
  const [at, notBefore] = [parseRfc3339(x509?.renewalTime ?? ""), parseRfc3339(x509?.notBefore ?? "")];
  const renewal = at === undefined || notBefore === undefined ? {} : { renewal: { at, notBefore } };
  return [
    ...certificate.map((life) => ({ ...life, ...renewal })),
    ...(jwt?.tokens ?? []).flatMap(({ audience, notAfter }) =>
      lifeOf(`${nameOf(identity)} token for ${audience}`, notAfter),
    ),
  ];
}

function lifeOf(name: string, notAfter: string | undefined): readonly Life[] {
  const end = parseRfc3339(notAfter ?? "");
  return end === undefined ? [] : [{ name, notAfter: end, renewal: undefined }];
}

/** Whether it has ended, or less than `share` of its life is left although its renewal was due. */
function isLate({ notAfter, renewal }: Life, now: Seconds, share: number): boolean {
  if (now >= notAfter) return true;
  if (renewal === undefined || now < renewal.at) return false;
  return (notAfter - now) / Math.max(1, notAfter - renewal.notBefore) < share;
}

function endOf({ name, notAfter }: Life, now: Seconds): string {
  return `${name} ${relativeTime(notAfter, now)}`;
}

function missingSecrets({ identity }: IdentityFact, secrets: ReadonlySet<string>): readonly string[] {
  const { x509, jwt } = identity.status ?? {};
  return [x509?.secretName, jwt?.secretName]
    .filter((name) => name !== undefined)
    .map((name) => `${identity.metadata.namespace}/${name}`)
    .filter((name) => !secrets.has(name));
}

type Conditions = NonNullable<NonNullable<ServiceIdentity["status"]>["conditions"]>;

function readyOf({ status }: ServiceIdentity): Conditions[number] | undefined {
  return status?.conditions?.find(({ type }) => type === "Ready");
}

/** By the part that is to blame. */
function explained(identity: ServiceIdentity): string {
  const conditions = identity.status?.conditions ?? [];
  const cause = conditions.find(({ type, status }) => type !== "Ready" && status !== "True") ?? conditions[0];
  const why =
    cause === undefined ? "the controller has not looked at it" : `${cause.reason}: ${cause.message}`;
  return `${nameOf(identity)} (${why})`;
}

function nameOf({ metadata }: ServiceIdentity): string {
  return `${metadata.namespace}/${metadata.name}`;
}
