import { describe, it } from "@jest/globals";
import * as fc from "fast-check";
import type { Hold } from "../../../src/authority/rotation-plan.ts";
import { AUTHORITY_KINDS, activeSlot } from "../../../src/authority/slot.ts";
import { seconds } from "../../../src/core/brand.ts";
import { POLICY } from "../../support/authority-fakes.ts";
import { AuthorityModel, Violation } from "../../support/authority-model.ts";

type Act = (model: AuthorityModel) => void;

const RUNS = Number(process.env["MESHID_MODEL_RUNS"] ?? 10_000);

const index = fc.nat(5);
const kind = fc.constantFrom(...AUTHORITY_KINDS);
const signing = fc.constantFrom("Issuing" as const, "JWT" as const);
/** Mostly small, sometimes past whole lives; rarely back, a little or much. */
const shift = fc.oneof(
  { weight: 6, arbitrary: fc.nat(700) },
  { weight: 3, arbitrary: fc.nat(4000) },
  { weight: 1, arbitrary: fc.nat(40_000) },
  { weight: 1, arbitrary: fc.integer({ min: -60, max: 0 }) },
  { weight: 1, arbitrary: fc.integer({ min: -5000, max: -61 }) },
);

const act: fc.Arbitrary<readonly [string, Act]> = fc.oneof(
  { weight: 6, arbitrary: shift.map((by) => [`move ${by}`, (m: AuthorityModel) => m.move(by)] as const) },
  {
    weight: 6,
    arbitrary: fc.constant(["look and step", (m: AuthorityModel) => void m.step(m.look())] as const),
  },
  {
    weight: 2,
    arbitrary: fc.constant(["step unseen", (m: AuthorityModel) => void m.step(undefined)] as const),
  },
  {
    weight: 2,
    arbitrary: fc.constant(["step on old news", (m: AuthorityModel) => void m.step(m.stale)] as const),
  },
  {
    weight: 3,
    arbitrary: fc.nat(3).map(
      (n) =>
        [
          `die after ${n} saves`,
          (m: AuthorityModel) => {
            m.step(m.look(), n);
            m.restart();
          },
        ] as const,
    ),
  },
  { weight: 4, arbitrary: index.map((i) => [`deliver ${i}`, (m: AuthorityModel) => m.deliver(i)] as const) },
  { weight: 2, arbitrary: fc.constant(["deliver to all", (m: AuthorityModel) => m.deliverToAll()] as const) },
  { weight: 2, arbitrary: fc.constant(["add", (m: AuthorityModel) => m.addConsumer()] as const) },
  {
    weight: 1,
    arbitrary: index.map((i) => [`remove ${i}`, (m: AuthorityModel) => m.removeConsumer(i)] as const),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(signing, fc.integer({ min: 1, max: 9000 }))
      .map(([k, ttl]) => [`sign ${k} ${ttl}`, (m: AuthorityModel) => m.sign(k, ttl)] as const),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(kind, fc.string({ maxLength: 3 })).map(
      ([k, value]) =>
        [
          `ask for ${k} ${value}`,
          (m: AuthorityModel) => {
            m.requests = { ...m.requests, [k]: value };
          },
        ] as const,
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        keyAlgorithm: fc.constantFrom("ECDSA-P256" as const, "ECDSA-P384" as const),
        jwtAlgorithm: fc.constantFrom("ES256" as const, "ES384" as const),
        rootTTL: fc.constantFrom(seconds(14_400), POLICY.rootTTL, seconds(80_000)),
        issuingTTL: fc.constantFrom(seconds(2400), POLICY.issuingTTL),
        propagation: fc.constantFrom(seconds(1), POLICY.propagation),
        crossSignRoots: fc.boolean(),
      })
      .map(
        (changes) =>
          [
            `policy ${JSON.stringify(changes)}`,
            (m: AuthorityModel) => {
              m.policy = { ...m.policy, ...changes };
            },
          ] as const,
      ),
  },
);

const refusal: fc.Arbitrary<readonly [string, Act]> = fc
  .tuple(index, fc.boolean())
  .map(([i, refuses]) => [`refuse ${i} ${refuses}`, (m: AuthorityModel) => m.refuse(i, refuses)] as const);

/** Never, always, or by the clock. */
const hold: fc.Arbitrary<readonly [string, Act]> = fc.constantFrom("none", "Paused", "Closed").map(
  (reason) =>
    [
      `hold ${reason}`,
      (m: AuthorityModel) => {
        m.policy = { ...m.policy, holdAt: (now) => holdFor(reason, now) };
      },
    ] as const,
);

const theft: fc.Arbitrary<readonly [string, Act]> = fc.oneof(
  fc
    .constantFrom("Root" as const, "JWT" as const)
    .map((k) => [`distrust ${k}`, (m: AuthorityModel) => m.distrust(k)] as const),
  fc.constant(["distrust former roots", (m: AuthorityModel) => m.distrustFormer()] as const),
);

const source: fc.Arbitrary<readonly [string, Act]> = fc.oneof(
  fc
    .tuple(fc.nat(2), fc.nat(3), fc.integer({ min: 3000, max: 60_000 }))
    .map(
      ([root, issuing, ttl]) =>
        [
          `bring ${root} ${issuing} ${ttl}`,
          (m: AuthorityModel) => m.bring(`ext${root}`, `sub${root}${issuing}`, ttl),
        ] as const,
    ),
  fc.constant(["spoil", (m: AuthorityModel) => m.spoil()] as const),
  fc.constant(["bring nothing", (m: AuthorityModel) => m.bringNothing()] as const),
);

/** A window of 1000 s in every 5000. */
function holdFor(reason: string, now: number): Hold | undefined {
  if (reason === "Paused") return { reason, message: "paused" };
  if (reason !== "Closed" || now % 5000 < 1000) return undefined;
  return { reason, opensAt: seconds(now - (now % 5000) + 5000), message: "closed" };
}

const step: fc.Arbitrary<readonly [string, Act]> = fc.oneof(
  { weight: 34, arbitrary: act },
  { weight: 2, arbitrary: refusal },
  { weight: 2, arbitrary: hold },
  { weight: 1, arbitrary: theft },
  { weight: 1, arbitrary: source },
);

const story = fc.array(step, { minLength: 5, maxLength: 40 });

describe("rotation under random clocks, crashes and observations", () => {
  it("keeps its promises, and ends every rotation once consumers follow", () => {
    fc.assert(
      fc.property(story, (acts) => {
        const model = new AuthorityModel();
        for (const [, run] of acts) run(model);
        model.setClockRight();
        model.policy = { ...model.policy, holdAt: () => undefined };
        for (let n = 0; n < 40 && model.isBusy(); n++) {
          model.step(model.look());
          model.deliverToAll();
          model.move(model.step(model.look()).wakeAt - model.now);
        }
        if (model.isBusy()) throw new Violation("the rotation does not end although every consumer follows");
      }),
      { numRuns: RUNS },
    );
  });

  it("never lets a consumer that follows nothing run an active key out, and still ends", () => {
    fc.assert(
      fc.property(story, fc.integer({ min: 1, max: 3 }), (acts, consumers) => {
        const model = new AuthorityModel();
        for (const [, run] of acts) run(model);
        for (let n = 0; n < consumers; n++) model.addConsumer();
        // The keys of someone else's CA are not ours to renew.
        model.bringNothing();
        model.setClockRight();
        const start = model.now;
        while (model.now < start + 30_000) {
          const { wakeAt } = model.step(model.look());
          if (model.now > start + 5000) requireNoneRunOut(model);
          // Looking again and again changes nothing here.
          model.move(Math.max(wakeAt - model.now, 120));
        }
      }),
      { numRuns: Math.ceil(RUNS / 10) },
    );
  });
});

function requireNoneRunOut(model: AuthorityModel): void {
  for (const kind of AUTHORITY_KINDS) {
    const active = activeSlot(model.journal, kind);
    if (active === undefined || model.now >= active.notAfter) throw new Violation(`${kind} has run out`);
  }
}
