/**
 * The trust domain: is it served, do its keys follow each other, does everyone hold its bundle?
 */

import type { AuthorityKind } from "../../../authority/slot.ts";
import type { Seconds } from "../../../core/brand.ts";
import { parseRfc3339 } from "../../../core/clock.ts";
import type { Condition } from "../../../registration/conditions.ts";
import { selects } from "../../../registration/selector.ts";
import type { AuthorityStatus, TrustDomainObject } from "../../../registration/service-identity.ts";
import { DEFAULT_BUNDLE } from "../../cluster-cli/bundle.ts";
import { servedAmong } from "../../cluster-cli/identities.ts";
import { describeInstant } from "../../times.ts";
import type { BundleFact, Facts, NamespaceFact } from "../facts.ts";
import { counted, failed, named, ok, skipped, type Verdict, warning } from "../finding.ts";
import { optionIn } from "../operator-options.ts";

/** A successor is there by 1/2 and signs by 3/4 of a key's life. */
const SHARE = { warning: 0.6, lastQuarter: 0.75, failed: 0.8 } as const;
const KINDS: readonly AuthorityKind[] = ["Root", "Issuing", "JWT"];
/** Reasons of conditions that wait for their time or for others, beside those that are True. */
const ORDINARY: ReadonlySet<string> = new Set(["Idle", "Publishing", "Bootstrapping"]);
/** Reasons that call for a person, although nothing is refused. */
const UNUSUAL: ReadonlySet<string> = new Set(["Degraded"]);

export function checkTrustDomain({ trustDomains, operatorNamespace }: Facts): Verdict {
  if (!trustDomains.known) return skipped(trustDomains.why);
  const served = servedAmong(trustDomains.value);
  if (served === undefined)
    return failed(
      "there is no TrustDomain that is served",
      "the controller makes its own when it first leads: see the checks operator and leader",
    );
  const { name } = served.metadata;
  const conditions = served.status?.conditions ?? [];
  if (conditions.length === 0)
    return failed(
      `TrustDomain ${name} has no status: no controller has looked at it`,
      `is the controller started with --trust-domain ${name}? See the checks operator and leader`,
    );
  const wrong = conditions.filter(isWrong);
  if (wrong.length > 0)
    return failed(
      `TrustDomain ${name}: ${wrong.map(inWords).join("; ")}`,
      `docs/conditions.md explains the reason; kubectl -n ${operatorNamespace} logs deploy/meshid`,
      [name],
    );
  const unusual = conditions.filter(({ reason }) => UNUSUAL.has(reason));
  if (unusual.length > 0)
    return warning(
      `TrustDomain ${name}: ${unusual.map(inWords).join("; ")}`,
      "docs/conditions.md explains the reason",
      [name],
    );
  const others = trustDomains.value.filter((one) => one !== served).map(({ metadata }) => metadata.name);
  if (others.length > 0)
    return warning(
      `TrustDomain ${name} is served, and there are others that are not: ${named(others)}`,
      `kubectl delete trustdomain ${others.join(" ")}: a cluster has one`,
      others,
    );
  return ok(`TrustDomain ${name} is Ready`);
}

function isWrong({ type, status, reason }: Condition): boolean {
  return type !== "RotationInProgress" && status !== "True" && !ORDINARY.has(reason);
}

function inWords({ type, status, reason, message }: Condition): string {
  return `${type} is ${status}: ${reason}: ${message}`;
}

export function checkTrustDomainName({ trustDomains }: Facts): Verdict {
  if (!trustDomains.known) return skipped(trustDomains.why);
  const name = servedAmong(trustDomains.value)?.metadata.name;
  if (name === undefined) return skipped("there is no TrustDomain");
  if (name === "cluster.local")
    return warning(
      "cluster.local is not unique: other clusters have it too, so this one can never federate with them, and a wrong bundle would trust their workloads",
      "choose a name of your own before workloads depend on this one (trustDomain.name of the chart); it cannot be changed later",
    );
  return ok(`${name} is a name of your own`);
}

export function checkAuthorityKeys({ trustDomains, serverNow: now }: Facts): Verdict {
  if (!trustDomains.known) return skipped(trustDomains.why);
  const domain = servedAmong(trustDomains.value);
  const slots = domain?.status?.authorities;
  if (slots === undefined || slots.length === 0) return skipped("the TrustDomain shows no keys yet");
  const verdicts = KINDS.map((kind) =>
    keyVerdict(kind, slots, { now, secret: secretFor(kind, domain?.spec) }),
  );
  return (
    verdicts.find(({ result }) => result === "failed") ??
    verdicts.find(({ result }) => result === "warning") ??
    ok(verdicts.map(({ message }) => message).join("; "))
  );
}

/** The Secret that keys of this kind come from, where someone else's CA makes them. */
function secretFor(kind: AuthorityKind, spec: TrustDomainObject["spec"] | undefined): string | undefined {
  const { source, secretRef } = spec?.authority ?? {};
  return kind === "JWT" || source !== "Secret" ? undefined : (secretRef?.name ?? "");
}

function keyVerdict(
  kind: AuthorityKind,
  all: readonly AuthorityStatus[],
  { now, secret }: { readonly now: Seconds; readonly secret: string | undefined },
): Verdict {
  const slots = all.filter((slot) => slot.kind === kind);
  const active = slots.find(({ state }) => state === "Active");
  const word = kind === "JWT" ? "JWT" : kind.toLowerCase();
  const see = "see the checks leader, trust-domain and rotation";
  if (active === undefined) return failed(`no ${word} key is active`, see);
  const [notBefore, notAfter] = [parseRfc3339(active.notBefore), parseRfc3339(active.notAfter)];
  if (notBefore === undefined || notAfter === undefined) return ok(`${word} key ${active.keyID}`);
  const share = (now - notBefore) / Math.max(1, notAfter - notBefore);
  const ends = `the ${word} key ${active.keyID} ends ${describeInstant(notAfter, now)}`;
  const prepared = slots.find(({ state }) => state === "Prepared");
  if (share >= 1) return failed(`${ends}: it is past its life`, see);
  const why =
    prepared === undefined
      ? "there is no successor yet"
      : `its successor ${prepared.keyID} waits: ${prepared.waitingFor ?? "for nothing"}`;
  const remedy = remedyFor({ word, hasSuccessor: prepared !== undefined, secret, see });
  if (share > SHARE.failed) return failed(`${ends}, and ${why}`, remedy);
  if (share > SHARE.lastQuarter)
    return warning(`${ends}, in the last quarter of its life, and ${why}`, remedy);
  if (share > SHARE.warning && prepared === undefined) return warning(`${ends}, and ${why}`, remedy);
  return ok(`${word} key ends ${describeInstant(notAfter, now)}`);
}

function remedyFor({
  word,
  hasSuccessor,
  secret,
  see,
}: {
  readonly word: string;
  readonly hasSuccessor: boolean;
  readonly secret: string | undefined;
  readonly see: string;
}): string {
  if (hasSuccessor) return `look at the consumers that it waits for; ${see}`;
  if (secret !== undefined)
    return `write a new tls.crt, tls.key and ca.crt into the Secret ${secret} of the operator's namespace: it comes from another CA, and meshid makes none`;
  return `${see}; meshid rotate ${word.toLowerCase()} asks for one`;
}

export function checkBundles(facts: Facts): Verdict {
  const { bundles, crds, namespaces, trustDomains } = facts;
  if (crds.known && crds.value.some(({ isPresent }) => !isPresent)) return skipped("meshid is not installed");
  if (!bundles.known) return skipped(bundles.why);
  if (!namespaces.known) return skipped(namespaces.why);
  const domain = trustDomains.known ? servedAmong(trustDomains.value) : undefined;
  if (trustDomains.known && domain === undefined) return skipped("there is no TrustDomain");
  const selected = selectedNamespaces(facts, namespaces.value, domain);
  const name = domain?.spec.bundle?.configMapName ?? DEFAULT_BUNDLE;
  const held = new Map(
    bundles.value
      .filter((bundle) => bundle.name === name)
      .map((bundle) => [bundle.namespace, bundle] as const),
  );
  const missing = selected.filter((namespace) => !held.has(namespace));
  const reference = referenceBundle([...held.values()], domain);
  const stale = selected.filter((namespace) => {
    const bundle = held.get(namespace);
    return bundle !== undefined && !isCurrent(bundle, { domain, reference });
  });
  const bad = [...missing, ...stale];
  const total = counted(selected.length, "namespace");
  if (bad.length === 0) {
    const sequence = reference?.sequence === undefined ? "" : ` (sequence ${reference.sequence})`;
    return ok(`ConfigMap ${name} is current in all of ${total}${sequence}`);
  }
  const isPublishing = domain?.status?.conditions?.some(({ reason }) => reason === "Publishing") ?? false;
  const message = [
    ...(missing.length === 0 ? [] : [`missing in ${named(missing)}`]),
    ...(stale.length === 0 ? [] : [`not meshid's present one in ${named(stale)}`]),
  ].join("; ");
  const text = `ConfigMap ${name} of ${total}: ${message}`;
  if (isPublishing) return warning(text, "it is being published: look again in a few seconds", bad);
  return failed(
    text,
    `workloads there do not know all authorities; delete a ConfigMap ${name} that is not meshid's (it is made anew), and see the check leader`,
    bad,
  );
}

function selectedNamespaces(
  { scope, deployments }: Facts,
  namespaces: readonly NamespaceFact[],
  domain: TrustDomainObject | undefined,
): readonly string[] {
  const watched = optionIn(deployments, "watch-namespaces")?.split(",");
  const selector = domain?.spec.bundle?.namespaceSelector ?? {};
  return namespaces
    .filter(({ name }) => (scope === undefined || name === scope) && (watched?.includes(name) ?? true))
    .filter(
      ({ labels, isTerminating }) => !isTerminating && (labels === undefined || selects(selector, labels)),
    )
    .map(({ name }) => name);
}

/** What most namespaces hold, of the sequence that the TrustDomain speaks of. */
function referenceBundle(
  held: readonly BundleFact[],
  domain: TrustDomainObject | undefined,
): BundleFact | undefined {
  const sequence = domain?.status?.bundle?.sequence ?? Math.max(...held.map((one) => one.sequence ?? 0));
  const candidates = held.filter((bundle) => bundle.sequence === sequence && isOwned(bundle, domain));
  const counts = new Map<string, number>();
  for (const { digest } of candidates) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return candidates.find(({ digest }) => digest === most?.[0]);
}

function isCurrent(
  bundle: BundleFact,
  {
    domain,
    reference,
  }: { readonly domain: TrustDomainObject | undefined; readonly reference: BundleFact | undefined },
): boolean {
  return isOwned(bundle, domain) && bundle.digest === reference?.digest;
}

function isOwned({ ownerUid }: BundleFact, domain: TrustDomainObject | undefined): boolean {
  return domain === undefined || ownerUid === domain.metadata.uid;
}
