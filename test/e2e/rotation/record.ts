/**
 * What a run has shown: counted, and judged.
 */

import type { AuthorityKind } from "../../../src/authority/slot.ts";
import type { Disturbance, LogStep, Mode } from "./bed.ts";
import { type Failure, type InPlay, PAIRS, type Pair, PEERS, type Peer, type Told } from "./peers/told.ts";
import type { Settings } from "./settings.ts";
import { type KeyLife, KINDS, PHASES, type Phase, phasesAt, type Timeline } from "./timeline.ts";

export interface ExplainedFailure extends Failure {
  readonly caller: InPlay;
  readonly callee: InPlay;
}

export interface PairSecond {
  readonly second: number;
  readonly pair: Pair;
  readonly ok: number;
  readonly across: number;
}

interface FetchCount {
  ok: number;
  failed: number;
}

/** How many failures are kept word by word. */
const MAX_KEPT = 200;

/** Gathers what the peers tell. */
export class Tally {
  readonly seconds: PairSecond[] = [];
  readonly failures: ExplainedFailure[] = [];
  readonly refusals: string[] = [];
  readonly fetches: Record<Peer, FetchCount> = {
    node: { ok: 0, failed: 0 },
    envoy: { ok: 0, failed: 0 },
    go: { ok: 0, failed: 0 },
  };
  readonly #inPlay: (peer: Peer) => InPlay;
  readonly failedByPair: Map<Pair, number> = new Map();
  failed = 0;
  refusedTokens = 0;

  constructor(inPlay: (peer: Peer) => InPlay) {
    this.#inPlay = inPlay;
  }

  take(told: Told): void {
    switch (told.tell) {
      case "counts":
        this.seconds.push(told);
        return;
      case "failure":
        this.#fail(told);
        return;
      case "refusal":
        if (this.refusals.length < MAX_KEPT)
          this.refusals.push(`${instant(told.at)} ${told.peer}: ${told.error}`);
        return;
      case "jwks":
        this.fetches[told.peer][told.ok ? "ok" : "failed"] += 1;
        return;
      case "listening":
        return;
      default:
        throw new TypeError(`unknown: ${JSON.stringify(told satisfies never)}`);
    }
  }

  get handshakes(): number {
    return this.seconds.reduce((sum, { ok }) => sum + ok, 0);
  }

  #fail(failure: Failure): void {
    if (failure.what === "token") this.refusedTokens += 1;
    else this.failed += 1;
    this.failedByPair.set(failure.pair, (this.failedByPair.get(failure.pair) ?? 0) + 1);
    if (this.failures.length >= MAX_KEPT) return;
    const [caller, callee] = failure.pair.split("→") as [Peer, Peer];
    this.failures.push({ ...failure, caller: this.#inPlay(caller), callee: this.#inPlay(callee) });
  }
}

export interface RunRecord {
  readonly mode: Mode;
  readonly settings: Settings;
  readonly from: number;
  readonly to: number;
  readonly tally: Tally;
  readonly timeline: Timeline;
  readonly disturbances: readonly Disturbance[];
  readonly steps: readonly LogStep[];
  /** What went wrong with the run itself. */
  readonly faults: readonly string[];
}

export function instant(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

export function describeFailure({ at, pair, what, error, caller, callee }: ExplainedFailure): string {
  const side = (name: string, play: InPlay): string =>
    `  ${name}: serial ${play.serial} until ${play.notAfter} by ${play.issuer}, roots ${play.roots.join(" ")}; token by ${play.kid}, mounted JWKS ${play.mounted.join(" ")}; ${play.revision}`;
  return `${instant(at)} ${pair} ${what}: ${error}\n${side("caller", caller)}\n${side("callee", callee)}`;
}

/** Handshakes by pair in a phase of the rotations of a kind. */
export function handshakesIn(
  { tally, timeline }: RunRecord,
  kind: AuthorityKind,
  phase: Phase,
): ReadonlyMap<Pair, number> {
  return sumByPair(tally.seconds.filter((one) => phasesOf(timeline.lives, kind, one).includes(phase)));
}

function phasesOf(lives: readonly KeyLife[], kind: AuthorityKind, { second }: PairSecond): readonly Phase[] {
  return phasesAt(lives, kind, second * 1000 + 500);
}

export function sumByPair(
  seconds: readonly PairSecond[],
  of: (one: PairSecond) => number = ({ ok }) => ok,
): ReadonlyMap<Pair, number> {
  const sums = new Map<Pair, number>(PAIRS.map((pair) => [pair, 0]));
  for (const one of seconds) sums.set(one.pair, (sums.get(one.pair) ?? 0) + of(one));
  return sums;
}

/**
 * Each handshake that succeeded carried a token that was accepted: against the mounted JWKS and against the served one, by Envoy
 * against the served one alone.
 */
export function tokenChecks({ seconds }: Tally): { readonly mounted: number; readonly served: number } {
  const sum = (of: readonly PairSecond[]): number => of.reduce((total, { ok }) => total + ok, 0);
  return { mounted: sum(seconds.filter(({ pair }) => !pair.endsWith("envoy"))), served: sum(seconds) };
}

function rotationFaults(record: RunRecord, kind: AuthorityKind): readonly string[] {
  const { timeline, settings } = record;
  const complete = timeline.complete(kind).length;
  const wanted = settings.complete;
  const tooFew = complete < wanted ? [`${complete} complete rotations of ${kind}, expected ${wanted}`] : [];
  const idle = PHASES.flatMap((phase) =>
    [...handshakesIn(record, kind, phase)]
      .filter(([, count]) => count === 0)
      .map(([pair]) => `${pair}: no handshake while a key of kind ${kind} was ${phase}`),
  );
  return [...tooFew, ...idle];
}

/** Everything that must hold and did not; nothing where the run has proved what it is to prove. */
export function violationsOf(record: RunRecord): readonly string[] {
  const { tally, settings, faults, disturbances, steps } = record;
  const of = (text: string): string => `${record.mode}: ${text}`;
  const found: string[] = [...faults];
  const first = (what: Failure["what"]): string => {
    const failure = tally.failures.find((one) => one.what === what);
    return failure === undefined ? "" : `; the first:\n${describeFailure(failure)}`;
  };
  if (tally.failed > 0) found.push(`${tally.failed} failed handshakes${first("handshake")}`);
  if (tally.refusedTokens > 0) found.push(`${tally.refusedTokens} refused tokens${first("token")}`);
  const forced = steps.filter((step) => step.forced !== undefined);
  for (const { kind, kid, forced: why } of forced) found.push(`${kind} ${kid} was used: ${why}`);
  if (settings.expects === "failures") return found.map(of);
  if (tally.handshakes < settings.handshakes)
    found.push(`${tally.handshakes} handshakes, expected ${settings.handshakes}`);
  if (disturbances.length < settings.disturbances)
    found.push(`${disturbances.length} disturbances, expected ${settings.disturbances}`);
  for (const kind of KINDS) found.push(...rotationFaults(record, kind));
  for (const peer of PEERS)
    if (tally.fetches[peer].ok === 0) found.push(`${peer} never fetched the JWKS again`);
  return found.map(of);
}
