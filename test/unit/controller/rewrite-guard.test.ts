import { describe, expect, it } from "@jest/globals";
import { RewriteGuard } from "../../../src/controller/rewrite-guard.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("RewriteGuard", () => {
  it("forgets, when there are many, those that have not been repaired for ten minutes", () => {
    const clock = new FakeClock();
    const guard = new RewriteGuard(clock);
    for (let index = 0; index < 20_000; index++) {
      guard.take(`uid-${index}/x509`);
      clock.jump(1);
    }
    expect(guard.size).toBeLessThan(1300);
    expect(guard.hasRepaired("uid-19999/x509")).toBe(true);
    for (let times = 0; times < 4; times++) expect(guard.take("uid-19999/x509")).toBeUndefined();
    expect(guard.take("uid-19999/x509")).toBe(clock.now() + 120);
  });
});
