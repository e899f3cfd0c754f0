import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { isOperatorError } from "../../../src/core/errors.ts";
import { DerCursor, TAG } from "../../../src/x509/der.ts";
import { refusalOf } from "../../support/errors.ts";

function cursor(hex: string): DerCursor {
  return new DerCursor(Buffer.from(hex.replaceAll(" ", ""), "hex"), "input");
}

function latin1Time(tag: string, text: string): DerCursor {
  return cursor(
    tag + text.length.toString(16).padStart(2, "0") + Buffer.from(text, "latin1").toString("hex"),
  );
}

describe("DerCursor", () => {
  it.each([
    ["an indefinite length", "30 80 00 00"],
    ["a long length where the short form fits", "30 81 01 05"],
    ["a length with a leading zero", "30 82 00 80"],
    ["a length of five bytes", "30 85 01 00 00 00 00"],
    ["a length beyond the end", "30 03 02 01"],
    ["a length that is cut short", "30 82 01"],
    ["a missing length", "30"],
    ["another tag", "31 00"],
    ["nothing", ""],
  ])("refuses %s", (_what, hex) => {
    expect(refusalOf(() => cursor(hex).enter(TAG.sequence, "thing"))).toBe("INVALID_INPUT input");
  });

  it("refuses tags of several bytes even when they are asked for", () => {
    expect(refusalOf(() => cursor("1f 81 01 00").any("thing"))).toBe("INVALID_INPUT input");
  });

  it("keeps an element within the one that holds it", () => {
    const outer = cursor("30 03 02 02 01 | 05 00".replace("|", ""));
    expect(refusalOf(() => outer.enter(TAG.sequence, "outer").integer("inner"))).toBe("INVALID_INPUT input");
  });

  it("refuses bytes behind the end", () => {
    const outer = cursor("30 00 05");
    outer.enter(TAG.sequence, "outer");
    expect(refusalOf(() => outer.end("outer"))).toBe("INVALID_INPUT input");
  });

  it.each([
    ["02 00", "no bytes"],
    ["02 02 00 7f", "a needless zero"],
    ["02 02 ff 80", "a needless sign"],
  ])("refuses the integer %s: %s", (hex) => {
    expect(refusalOf(() => cursor(hex).integer("n"))).toBe("INVALID_INPUT input");
  });

  it("reads small integers up to 2^31 − 1 and none above or below", () => {
    expect(cursor("02 04 7f ff ff ff").smallInteger("n")).toBe(2_147_483_647);
    expect(cursor("02 02 00 80").smallInteger("n")).toBe(128);
    expect(refusalOf(() => cursor("02 05 00 80 00 00 00").smallInteger("n"))).toBe("INVALID_INPUT input");
    expect(refusalOf(() => cursor("02 01 ff").smallInteger("n"))).toBe("INVALID_INPUT input");
  });

  it.each([
    ["06 03 55 04 03", "2.5.4.3"],
    ["06 09 2a 86 48 86 f7 0d 01 01 0b", "1.2.840.113549.1.1.11"],
    ["06 03 88 37 03", "2.999.3"],
    ["06 01 27", "0.39"],
    ["06 01 28", "1.0"],
  ])("reads the object identifier %s as %s", (hex, dotted) => {
    expect(cursor(hex).oid("id")).toBe(dotted);
  });

  it.each(["06 00", "06 02 55 84", "06 03 55 80 01", "06 09 ff ff ff ff ff ff ff ff 7f"])(
    "refuses the object identifier %s",
    (hex) => {
      expect(refusalOf(() => cursor(hex).oid("id"))).toBe("INVALID_INPUT input");
    },
  );

  it("takes for true 0xff only", () => {
    expect([cursor("01 01 ff").boolean("b"), cursor("01 01 00").boolean("b")]).toEqual([true, false]);
    expect(refusalOf(() => cursor("01 01 01").boolean("b"))).toBe("INVALID_INPUT input");
    expect(refusalOf(() => cursor("01 02 ff ff").boolean("b"))).toBe("INVALID_INPUT input");
  });

  it.each([
    ["03 02 07 80", [0]],
    ["03 02 01 06", [5, 6]],
    ["03 03 07 00 80", [8]],
    ["03 01 00", []],
  ])("reads the bit list %s as %j", (hex, bits) => {
    expect(cursor(hex).namedBits("bits")).toEqual(bits);
  });

  it.each(["03 00", "03 01 01", "03 02 00 80", "03 02 06 80", "03 02 08 80", "03 03 07 80 00"])(
    "refuses the bit list %s, which has trailing zero bits or none at all",
    (hex) => {
      expect(refusalOf(() => cursor(hex).namedBits("bits"))).toBe("INVALID_INPUT input");
    },
  );

  it("agrees with the calendar on every day from 1950 to 9999", () => {
    fc.assert(
      fc.property(fc.integer({ min: -631_152_000, max: 253_402_300_799 }), (instant) => {
        const iso = new Date(instant * 1000).toISOString();
        const digits = iso.replace(/[-:T]|\.000Z/g, "");
        const early = instant < 2_524_608_000;
        const read = latin1Time(early ? "17" : "18", `${early ? digits.slice(2) : digits}Z`).time("t");
        expect(read).toBe(instant);
      }),
    );
  });

  it.each([
    ["17", "270229000000Z", "a day that does not exist"],
    ["17", "271301000000Z", "a month that does not exist"],
    ["17", "270101240000Z", "an hour that does not exist"],
    ["17", "270101000060Z", "a leap second"],
    ["17", "2701010000Z", "no seconds"],
    ["17", "270101000000+0100", "an offset"],
    ["18", "20490101000000Z", "GeneralizedTime before 2050"],
    ["18", "20500101000000.5Z", "a fraction"],
    ["18", "20500101000000", "no zone"],
  ])("refuses the time %s %s: %s", (tag, text) => {
    expect(refusalOf(() => latin1Time(tag, text).time("t"))).toBe("INVALID_INPUT input");
  });

  it("throws INVALID_INPUT and nothing else on any bytes with any sequence of reads", () => {
    const reads = fc.array(fc.nat(8), { maxLength: 12 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), reads, (bytes, steps) => {
        let at = new DerCursor(bytes, "input");
        try {
          for (const step of steps) at = readOne(at, step);
        } catch (error) {
          if (!isOperatorError(error, "INVALID_INPUT")) throw error;
        }
      }),
      { numRuns: 5000 },
    );
  });
});

function readOne(at: DerCursor, step: number): DerCursor {
  const acts: readonly (() => unknown)[] = [
    () => at.enter(at.tag, "x"),
    () => at.integer("x"),
    () => at.smallInteger("x"),
    () => at.oid("x"),
    () => at.boolean("x"),
    () => at.namedBits("x"),
    () => at.bitStringBytes("x"),
    () => at.time("x"),
    () => at.any("x"),
  ];
  const result = acts[step]?.();
  return result instanceof DerCursor ? result : at;
}
