import { describe, expect, it } from "@jest/globals";
import { whenChanged } from "../../../src/app/when-changed.ts";

describe("whenChanged", () => {
  it("gives notice at the first look and after each change, not of what is the same", () => {
    let value = {};
    let notices = 0;
    const { look } = whenChanged(
      () => value,
      () => notices++,
    );
    for (let times = 0; times < 3; times++) look();
    expect(notices).toBe(1);
    value = {};
    for (let times = 0; times < 3; times++) look();
    expect(notices).toBe(2);
  });
});
