/**
 * One run: peers that call each other while every kind of key rotates, several at once, and the controller is disturbed.
 */

import { setTimeout as pause } from "node:timers/promises";
import { type Bed, between, type Disturbance, someOf } from "./bed.ts";
import { PEERS } from "./peers/told.ts";
import { inPlay, type Peers, type Programs, startPeers } from "./peers.ts";
import { describeFailure, instant, type RunRecord, Tally } from "./record.ts";
import type { Settings } from "./settings.ts";
import { KINDS, Timeline } from "./timeline.ts";

const LOOK_EVERY = 500;
/** How often credentials are renewed beside what rotations ask for. */
const RENEW_EVERY = 15_000;
const PROGRESS_EVERY = 30_000;
/** Between two disturbances, at least. */
const RECOVERY = 6000;

export interface RunOptions {
  readonly bed: Bed;
  readonly programs: Programs;
  readonly directory: string;
  readonly settings: Settings;
}

export async function runTraffic(options: RunOptions): Promise<RunRecord> {
  const { bed, settings } = options;
  const tally = new Tally((peer) => inPlay(bed.volumes(peer)));
  await using peers = await startPeers({
    ...options,
    rate: settings.rate,
    onTold: (told) => tally.take(told),
  });
  const run = new Run(bed, settings, tally, peers);
  // Awaited here: the peers end with this scope.
  return await run.toItsEnd();
}

class Run {
  readonly #bed: Bed;
  readonly #settings: Settings;
  readonly #tally: Tally;
  readonly #peers: Peers;
  readonly #timeline = new Timeline();
  readonly #disturbances: Disturbance[] = [];
  readonly #faults: string[] = [];
  readonly #stop = new AbortController();
  /** Aborts when the next key is published. */
  #published = new AbortController();
  #hasAsked = false;
  #told = 0;

  constructor(bed: Bed, settings: Settings, tally: Tally, peers: Peers) {
    this.#bed = bed;
    this.#settings = settings;
    this.#tally = tally;
    this.#peers = peers;
  }

  async toItsEnd(): Promise<RunRecord> {
    const from = Date.now();
    await this.#look();
    this.#peers.call();
    const work = [this.#keepLooking(), this.#keepAsking(), this.#keepRenewing(), this.#keepDisturbing()];
    const watched = work.map((one) =>
      one.catch((error: unknown) => {
        if (this.#isOver) return;
        this.#faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
        this.#stop.abort();
      }),
    );
    await this.#untilEnough(from);
    this.#stop.abort();
    await Promise.all(watched);
    await this.#peers.finish();
    this.#tally.fetches.envoy = await this.#peers.envoyFetches();
    this.#faults.push(...this.#peers.lost);
    const steps = this.#bed.steps();
    this.#timeline.addSteps(steps);
    return {
      mode: this.#bed.mode,
      settings: this.#settings,
      from,
      to: Date.now(),
      tally: this.#tally,
      timeline: this.#timeline,
      disturbances: this.#disturbances,
      steps,
      faults: this.#faults,
    };
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  async #untilEnough(from: number): Promise<void> {
    const { limit } = this.#settings;
    let progress = from;
    while (!this.#isOver && this.#peers.lost.length === 0) {
      const now = Date.now();
      if (now > from + limit * 1000) return;
      if (this.#isEnough()) return;
      if (now > progress + PROGRESS_EVERY) {
        progress = now;
        this.#say(this.#progress());
      }
      this.#sayFailures();
      await pause(LOOK_EVERY);
    }
  }

  #isEnough(): boolean {
    const { complete, handshakes, disturbances, expects } = this.#settings;
    if (expects === "failures") return this.#tally.failed > 0 && this.#tally.refusedTokens > 0;
    if (!this.#hasAsked || this.#tally.handshakes < handshakes) return false;
    if (this.#disturbances.length < disturbances) return false;
    return KINDS.every((kind) => this.#timeline.complete(kind).length >= complete);
  }

  #progress(): string {
    const rotations = KINDS.map((kind) => `${this.#timeline.complete(kind).length} ${kind}`).join(", ");
    const { handshakes, failed, refusedTokens } = this.#tally;
    return `${handshakes} handshakes, ${failed} failed, ${refusedTokens} tokens refused; complete rotations: ${rotations}; ${this.#disturbances.length} disturbances`;
  }

  #sayFailures(): void {
    const { failures } = this.#tally;
    // Where they are wanted a few are enough.
    const end = this.#settings.expects === "failures" ? Math.min(failures.length, 3) : failures.length;
    for (; this.#told < end; this.#told++) {
      const failure = failures[this.#told];
      if (failure !== undefined) this.#say(describeFailure(failure));
    }
  }

  #say(text: string): void {
    process.stdout.write(`${instant(Date.now())} ${this.#bed.mode}: ${text}\n`);
  }

  async #keepLooking(): Promise<void> {
    while (!this.#isOver) {
      await this.#look();
      await this.#sleep(LOOK_EVERY);
    }
  }

  /** A dangerous moment is the one after a switch: some hold what the new key signed, others what the old one did. */
  async #look(): Promise<void> {
    const authorities = await this.#bed.authorities().catch(() => []);
    const changes = this.#timeline.look(authorities, Date.now());
    if (changes.some(({ state }) => state === "Prepared")) this.#published.abort();
    const activated = changes.filter(({ state }) => state === "Active");
    for (const { kind, keyID } of activated) this.#say(`${kind} ${keyID.slice(0, 8)} is active`);
    if (activated.length > 0) await this.#bed.renew(someOf(PEERS));
  }

  async #keepRenewing(): Promise<void> {
    for (;;) {
      await this.#sleep(RENEW_EVERY);
      if (this.#isOver) return;
      await this.#bed.renew(someOf(PEERS));
    }
  }

  async #keepAsking(): Promise<void> {
    const { rounds, every } = this.#settings;
    await this.#sleep(3000);
    for (let round = 0; round < rounds && !this.#isOver; round++) {
      const begun = Date.now();
      // In any order, a few seconds apart: while one is published the next is asked for.
      for (const kind of KINDS.toSorted(() => Math.random() - 0.5)) {
        this.#say(`rotate ${kind}`);
        await this.#bed.rotate(kind);
        await this.#sleep(between(0, 3000));
      }
      await this.#sleep(between(every[0], every[1]) * 1000 - (Date.now() - begun));
    }
    this.#hasAsked = true;
  }

  async #keepDisturbing(): Promise<void> {
    const { peace } = this.#settings;
    if (peace === undefined) return;
    for (;;) {
      // What became due meanwhile is made up for: longer than this nobody may be away at a stretch.
      await this.#sleep(RECOVERY);
      // Another dangerous moment is the one after a key was published: half of the time that is not waited for.
      this.#published = new AbortController();
      const wake = Math.random() < 0.5 ? [this.#published.signal] : [];
      await this.#sleep(between(peace[0], peace[1]) * 1000, wake);
      if (this.#isOver) return;
      if (this.#published.signal.aborted) await this.#sleep(between(0, 3000));
      const disturbance = await this.#bed.disturb();
      this.#disturbances.push(disturbance);
      const { what, from, to } = disturbance;
      this.#say(`${what}; over after ${((to - from) / 1000).toFixed(1)} s`);
    }
  }

  async #sleep(length: number, wake: readonly AbortSignal[] = []): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, ...wake]);
    await pause(Math.max(0, length), undefined, { signal }).catch(() => {});
  }
}
