import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { OperatorError, quoted } from "../../../src/core/errors.ts";
import { parseStrictJson } from "../../../src/core/strict-json.ts";
import { refusalOf } from "../../support/errors.ts";

describe("parseStrictJson", () => {
  it.each([
    ["at the top", '{"a":1,"a":2}'],
    ["with the same value", '{"a":1,"a":1}'],
    ["inside an array", '[{"b":0},{"a":1,"b":[],"a":2}]'],
    ["after an object that has the name too", '{"a":{"a":1},"b":{"a":2},"a":3}'],
    ["written with an escape", '{"alg":1,"\\u0061lg":2}'],
    ["with space before the colon", '{"a" :1,"a"\n:2}'],
    ["that is empty", '{"":1,"":2}'],
    ["that is __proto__", '{"__proto__":1,"__proto__":2}'],
    ["after a string full of braces and quotes", '{"x":"{\\"}","a":1,"a":2}'],
  ])("refuses a member named twice %s", (_place, text) => {
    expect(refusalOf(() => parseStrictJson(text, "f"))).toBe("INVALID_INPUT f");
  });

  it.each(["", "{", "{'a':1}", '{"a":1}x', '{"a":01}', "NaN", "\ufeff{}", '{"a":1,}'])(
    "refuses %j, which is not JSON",
    (text) => {
      expect(refusalOf(() => parseStrictJson(text, "f"))).toBe("INVALID_INPUT f");
    },
  );

  it("never quotes the text in its message, which may be a credential", () => {
    expect(() => parseStrictJson("canary-7f3a", "f")).toThrow(/^(?!.*canary).*f: is not JSON/);
  });

  it("keeps every digit of an integer that a number cannot hold", () => {
    expect(parseStrictJson("[9007199254740993,-9007199254740993,9007199254740991]", "f")).toEqual([
      9007199254740993n,
      -9007199254740993n,
      9007199254740991,
    ]);
  });

  it("reads a string of a megabyte", () => {
    const text = JSON.stringify({ a: `\\"{`.repeat(300_000) });
    expect(parseStrictJson(text, "f")).toEqual(JSON.parse(text));
  });

  it("reads all that JSON.stringify writes as JSON.parse does", () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ noUnicodeString: false }),
        fc.constantFrom(undefined, 2),
        (value, indent) => {
          const text = JSON.stringify(value, undefined, indent);
          const wide = /\d{16}/.test(text);
          fc.pre(!wide);
          expect(parseStrictJson(text, "f")).toEqual(JSON.parse(text));
        },
      ),
    );
  });

  it("refuses any object once one of its members is repeated", () => {
    const objects = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { minKeys: 1 });
    fc.assert(
      fc.property(objects, fc.nat(), (object, choice) => {
        const members = Object.entries(object).map(
          ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
        );
        const text = `{${[...members, members[choice % members.length]].join(",")}}`;
        expect(() => parseStrictJson(text, "f")).toThrow(OperatorError);
      }),
    );
  });
});

describe("quoted", () => {
  it("escapes what a terminal would obey and cuts what is long", () => {
    expect(quoted('a"\\\u001b[2J\u202eé')).toBe('"a\\"\\\\\\u001b[2J\\u202e\\u00e9"');
    expect(quoted("x".repeat(101))).toBe(`"${"x".repeat(100)}…"`);
  });
});
