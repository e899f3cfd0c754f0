import { describe, expect, it } from "@jest/globals";
import { systemRandom } from "../../../src/core/random.ts";

describe("systemRandom.bytes", () => {
  it("gives as many as were asked for, whatever the length, and none twice", () => {
    const seen = new Set<string>();
    let count = 0;
    for (let round = 0; round < 200; round++) {
      for (const length of [8, 16, 20, 200, 256, 257, 5000]) {
        const bytes = systemRandom.bytes(length);
        expect(bytes.length).toBe(length);
        for (let at = 0; at + 8 <= length; at += 8) {
          seen.add(Buffer.from(bytes.subarray(at, at + 8)).toString("hex"));
          count++;
        }
      }
    }
    expect(seen.size).toBe(count);
  });

  it("keeps its own copy: what a caller does to its bytes shows nowhere else", () => {
    const first = systemRandom.bytes(16);
    const before = Buffer.from(first).toString("hex");
    systemRandom.bytes(16).fill(0);
    expect(Buffer.from(first).toString("hex")).toBe(before);
    expect(new Uint8Array(first.buffer).length).toBe(16);
  });
});
