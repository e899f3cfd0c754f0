/**
 * One root rotation of very many identities: from the request until the old root has left, everything that the controller
 * asks for counted in the audit log. The lives are such that each leaf is renewed once meanwhile, as it would be anyway.
 */

import type { ServiceIdentity } from "../../src/registration/service-identity.ts";
import { type AuditEvent, isLease, isWrite } from "../support/audit-log.ts";
import { DOMAIN } from "../support/cluster-suite.ts";
import { must, pause } from "../support/controller-process.ts";
import { type At, Fleet, refused } from "./fleet.ts";
import { atMost, type Result, shown } from "./result.ts";

const DOMAIN_PATH = `/apis/meshid.dev/v1alpha1/trustdomains/${DOMAIN}`;
/** One of so many has a token too. */
const TOKENS_EACH = 10;
/** Of a leaf's life. Late: then the old root has left before any leaf is renewed once more. */
const RENEW_PERCENT = 90;
/** Of a leaf's life: else leaves are renewed twice before the old root has left, and nothing could be told from the counts. */
const MADE_WITHIN = 0.15;
const POLL = 1000;

export interface RotationTrial {
  readonly main: string;
  readonly count: number;
  /** Seconds: of a leaf. */
  readonly life: number;
}

interface Phase {
  readonly what: string;
  readonly seconds: number;
  /** Milliseconds: p99 of the controller's event loop. */
  readonly lag: number;
  readonly events: readonly AuditEvent[];
}

export async function rotationResults({ main, count, life }: RotationTrial): Promise<readonly Result[]> {
  await using fleet = await Fleet.start(main, trustDomainFor(life));
  const places = await fleet.prepare(count);
  const specs = new Map(places.map((at, index) => [at, specFor(life, index)]));
  const made = await fleet.measure(places, (at) => fleet.create(at, specs.get(at)));
  if (made.seconds > life * MADE_WITHIN) throw tooSlow(made.seconds, life);
  const before = await census(fleet);
  const mark = fleet.suite.audit.mark();
  const phases = await rotate(fleet, count);
  const events = writesIn(fleet.suite.audit.since(mark));
  const after = await census(fleet);
  return [
    ...phases.flatMap(phaseResults),
    ...issuanceResults({ before, after, phases, life }),
    ...costResults(places, specs, events),
    atMost("… refused writes (409)", refused(events), 0),
    atMost("… the old root left anywhere", await leftovers(fleet), 0),
    atMost("controller RSS, its peak", fleet.controller.usage().peakMib, 300, " MiB"),
  ];
}

function tooSlow(seconds: number, life: number): Error {
  const most = Math.floor(life * MADE_WITHIN);
  return new Error(
    `making the identities took ${seconds.toFixed(0)} s; expected at most ${most} s for lives of ${life} s: a machine that does nothing else, or --life SECONDS`,
  );
}

/** The old issuing certificate, under which the server's own lives as long as it can, ends soon after the leaves do. */
function trustDomainFor(life: number): Readonly<Record<string, unknown>> {
  const issuing = Math.ceil(life * 1.1);
  return {
    authority: { rootTTL: "24h", issuingTTL: `${issuing}s` },
    rotation: { propagation: `${Math.max(1, Math.floor(life / 90))}s` },
    limits: { minTTL: "1m" },
  };
}

function specFor(life: number, index: number): Readonly<Record<string, unknown>> {
  const x509 = { ttl: `${life}s`, renewAfterPercent: RENEW_PERCENT };
  if (index % TOKENS_EACH !== 0) return { x509 };
  return { x509, jwt: { tokens: [{ audience: "orders", ttl: "24h" }] } };
}

async function rotate(fleet: Fleet, count: number): Promise<readonly Phase[]> {
  const oldRoot = (await roots(fleet, "Active"))[0] ?? "";
  const phases: Phase[] = [];
  const run = async (what: string, isOver: (since: number) => Promise<boolean>): Promise<void> => {
    const mark = fleet.suite.audit.mark();
    const started = Date.now();
    await lag(fleet);
    while (!(await isOver(mark))) await pause(POLL);
    const seconds = (Date.now() - started) / 1000;
    phases.push({ what, seconds, lag: await lag(fleet), events: writesIn(fleet.suite.audit.since(mark)) });
  };
  await must(fleet.suite.kube, {
    method: "PATCH",
    path: DOMAIN_PATH,
    contentType: "application/merge-patch+json",
    body: { metadata: { annotations: { "meshid.dev/rotate-root": "bench" } } },
  });
  await run("the new root is brought to all, then used", async () => {
    return !(await roots(fleet, "Active")).includes(oldRoot);
  });
  await run("every leaf is re-issued", async (mark) => {
    return fleet.suite.audit.since(mark).filter(isStatusOfIdentity).length >= count;
  });
  await run("the last of the old leaves end", async () => !(await roots(fleet)).includes(oldRoot));
  await run("the old root is taken away everywhere", async (mark) => {
    await fleet.quiet(mark);
    return true;
  });
  return phases;
}

function phaseResults({ what, seconds, lag, events }: Phase): readonly Result[] {
  const { most, at } = busiest(events);
  const rate = events.length === 0 ? "none" : `${most} in a second, most (at ${at} s)`;
  return [
    shown(`${what}: time, writes`, `${seconds.toFixed(0)} s, ${events.length}; ${rate}`),
    atMost("… event loop, p99", lag, 50, " ms"),
  ];
}

function issuanceResults({
  before,
  after,
  phases,
  life,
}: {
  readonly before: Census;
  readonly after: Census;
  readonly phases: readonly Phase[];
  readonly life: number;
}): readonly Result[] {
  const [first, second] = phases as readonly [Phase, Phase, ...Phase[]];
  const others = [...after].filter(
    ([name, { revision }]) => revision !== (before.get(name)?.revision ?? 0) + 1,
  );
  const signed = new Set([...after.values()].map(({ issuer }) => issuer));
  const old = [...before.values()].filter(({ issuer }) => signed.has(issuer));
  return [
    atMost("from the request to the last re-issuance", first.seconds + second.seconds, life, " s"),
    // Each writes its status last.
    atMost("… re-issued in a second, most", busiest(second.events.filter(isStatusOfIdentity)).most, 200),
    atMost("… re-issued other than once", others.length + Math.abs(after.size - before.size), 0),
    atMost("… still under the old root", old.length, 0),
  ];
}

function costResults(
  places: readonly At[],
  specs: ReadonlyMap<At, Readonly<Record<string, unknown>>>,
  events: readonly AuditEvent[],
): readonly Result[] {
  const byName = Map.groupBy(events, ({ objectRef }) => {
    const name = (objectRef?.name ?? "").replace(/-(tls|jwt)$/, "");
    return `${objectRef?.namespace}/${name}`;
  });
  const cost = (at: At): number => byName.get(`${at.namespace}/${at.name}`)?.length ?? 0;
  const hasTokens = (at: At): boolean => specs.get(at)?.["jwt"] !== undefined;
  const plain = places.filter((at) => !hasTokens(at)).map(cost);
  const tokens = places.filter(hasTokens).map(cost);
  const own = [...plain, ...tokens].reduce((sum, one) => sum + one, 0);
  return [
    atMost("writes of one with a certificate, most", Math.max(...plain), 4),
    atMost("… of one with a token too, most", Math.max(...tokens), 7),
    shown("… all others: journal, keys, bundles, TrustDomain, events", String(events.length - own)),
    atMost("… all writes, for each identity", events.length / places.length, 4.5),
  ];
}

/** In which second most of them were answered. */
function busiest(events: readonly AuditEvent[]): { readonly most: number; readonly at: number } {
  const times = events.map(({ stageTimestamp }) => Math.floor(Date.parse(stageTimestamp) / 1000));
  const first = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  let best = { most: 0, at: 0 };
  for (const [time, found] of Map.groupBy(times, (time) => time))
    if (found.length > best.most) best = { most: found.length, at: time - first };
  return best;
}

function writesIn(events: readonly AuditEvent[]): readonly AuditEvent[] {
  return events.filter((event) => isWrite(event) && !isLease(event));
}

function isStatusOfIdentity({ verb, objectRef }: AuditEvent): boolean {
  return verb === "patch" && objectRef?.resource === "serviceidentities";
}

type Census = ReadonlyMap<string, { readonly revision: number; readonly issuer: string }>;

async function census(fleet: Fleet): Promise<Census> {
  const all = await fleet.suite.list();
  return new Map(all.map((one) => [nameOf(one), factsOf(one)]));
}

function factsOf({ status }: ServiceIdentity): { readonly revision: number; readonly issuer: string } {
  return { revision: status?.x509?.revision ?? 0, issuer: status?.x509?.authorityKeyID ?? "" };
}

function nameOf({ metadata }: ServiceIdentity): string {
  return `${metadata.namespace}/${metadata.name}`;
}

async function roots(fleet: Fleet, wanted?: string): Promise<readonly string[]> {
  const { status } = await fleet.suite.trustDomain();
  return (status?.authorities ?? []).flatMap(({ kind, keyID, state }) =>
    kind === "Root" && (wanted === undefined || state === wanted) ? [keyID] : [],
  );
}

/** Secrets and bundles that hold more than one root, once the leader has looked at the server's own: it does so every 15 s. */
async function leftovers({ suite: { kube } }: Fleet): Promise<number> {
  await pause(16_000);
  let found = 0;
  for (const [path, decode] of [
    ["/api/v1/secrets", (text: string) => Buffer.from(text, "base64").toString()],
    ["/api/v1/configmaps", (text: string) => text],
  ] as const) {
    const { items } = await must<{
      readonly items: readonly { readonly data?: Readonly<Record<string, string>> }[];
    }>(kube, { method: "GET", path: `${path}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmeshid` });
    for (const { data } of items) {
      const pem = decode(data?.["ca.crt"] ?? "");
      if (pem.split("-----BEGIN").length > 2) found += 1;
    }
  }
  return found;
}

/** Milliseconds since it was last asked for. */
async function lag({ controller }: Fleet): Promise<number> {
  const { body } = await controller.probe("/metrics");
  const found = /^meshid_event_loop_lag_seconds(?:\{[^}]*\})? (\S+)/m.exec(body)?.[1];
  if (found === undefined) throw new Error("the controller has no meshid_event_loop_lag_seconds");
  return Number(found) * 1000;
}
