import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { LEASES } from "../../../src/kubernetes/resources.ts";
import { type Candidate, startCandidate } from "../../support/candidate.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { FakeKubeClient, FakeKubeServer, type Fault } from "../../support/fake-kube-client.ts";
import { FakeProcess } from "../../support/fake-process.ts";

const COUNT = 3;
const STEP = 0.25;

type Action = "freeze" | "restart" | "deafen" | "misfit" | Fault;

interface Trouble {
  readonly who: number;
  readonly action: Action;
  /** Seconds until the next one. */
  readonly pause: number;
  /** In how many steps it ends. */
  readonly steps: number;
}

const trouble: fc.Arbitrary<Trouble> = fc.record({
  who: fc.nat(COUNT - 1),
  action: fc.oneof(
    fc.constantFrom<Action>("freeze", "freeze", "restart", "deafen", "misfit", "unreachable", "lost", "hang"),
    fc.record({ status: fc.constantFrom(429, 500, 503) }),
    fc.record({ before: fc.integer({ min: 0, max: 20_000 }), after: fc.integer({ min: 0, max: 9000 }) }),
  ),
  pause: fc.double({ min: 0.25, max: 20, noNaN: true }),
  steps: fc.integer({ min: 1, max: 3 }),
});

/** Several processes on one Lease, each with a pace, troubles, and work that ends a while after its term does. */
class World {
  readonly clock = new FakeClock();
  readonly #server = new FakeKubeServer(LEASES);
  readonly #members: Member[];
  #generation = 0;

  constructor(paces: readonly number[]) {
    this.#members = paces.map((pace, index) => this.#start(index, pace));
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  apply({ who, action, steps }: Trouble): void {
    const member = this.#members[who] as Member;
    member.troubleEndsIn = steps;
    if (action === "freeze") member.process.freeze();
    else if (action === "deafen") member.client.deafenWatches();
    else if (action === "misfit") member.fitness.isFit = false;
    else if (action === "restart") {
      member.process.thaw();
      void member.candidate.stop();
      member.old.push(member.candidate);
      this.#members[who] = { ...this.#start(who, member.pace), old: member.old };
    } else {
      member.client.fault = () => action;
      member.client.breakWatches();
    }
  }

  /** Ends what has lasted long enough; without an argument, everything. */
  heal(isAll = false): void {
    for (const member of this.#members) {
      if (!isAll && --member.troubleEndsIn > 0) continue;
      member.process.thaw();
      member.fitness.isFit = true;
      member.client.fault = () => undefined;
      member.client.deafenWatches(false);
      // Whoever was deaf for long is told so, as a real socket is in the end.
      if (isAll) member.client.breakWatches();
    }
  }

  async advance(length: number): Promise<void> {
    for (let passed = 0; passed < length; passed += STEP) {
      await this.clock.advance(STEP);
      this.#check();
    }
  }

  async stop(): Promise<void> {
    const all = this.#members.flatMap(({ candidate, old }) => [candidate, ...old]);
    const ends = all.map((one) => one.stop());
    await this.clock.advance(30);
    await Promise.all(ends);
  }

  #check(): void {
    const writers = this.#members
      .flatMap(({ candidate, old }) => [candidate, ...old])
      .filter((one) => one.mayWrite());
    expect(writers.map((one) => one.identity).slice(1)).toEqual([]);
  }

  #start(index: number, pace: number): Member {
    this.#generation += 1;
    const process = new FakeProcess(this.clock, pace);
    const client = new FakeKubeClient(this.#server, process.clock);
    const fitness = { isFit: true };
    const candidate = startCandidate({
      client: process.connect(client),
      clock: process.clock,
      identity: `process-${index}-${this.#generation}`,
      seed: this.#generation * 7919,
      drain: 1500 * index,
      isFit: () => fitness.isFit,
    });
    return { process, client, candidate, fitness, pace, troubleEndsIn: 0, old: [] };
  }
}

interface Member {
  readonly process: FakeProcess;
  readonly client: FakeKubeClient;
  readonly candidate: Candidate;
  readonly fitness: { isFit: boolean };
  readonly pace: number;
  readonly old: Candidate[];
  troubleEndsIn: number;
}

describe("several candidates", () => {
  it("are never two inside the fence, and one leads when the trouble is over", async () => {
    const pace = fc.double({ min: 0.92, max: 1.08, noNaN: true });
    const paces = fc.array(pace, { minLength: COUNT, maxLength: COUNT });
    let handovers = 0;
    await fc.assert(
      fc.asyncProperty(paces, fc.array(trouble, { minLength: 3, maxLength: 12 }), async (paces, troubles) => {
        const world = new World(paces);
        await settle();
        for (const one of troubles) {
          world.apply(one);
          await world.advance(one.pause);
          world.heal();
        }
        world.heal(true);
        await world.advance(45);
        const atWork = world.members.filter(({ candidate }) => candidate.isAtWork);
        expect(atWork).toHaveLength(1);
        handovers += world.members.reduce((sum, { candidate }) => sum + candidate.terms.length, 0) - 1;
        await world.stop();
      }),
      { seed: 20_261_124, numRuns: 60 },
    );
    // The troubles are such that it comes to something.
    expect(handovers).toBeGreaterThan(30);
  });
});
