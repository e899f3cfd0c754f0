import { describe, expect, it } from "@jest/globals";
import { assert, property, string } from "fast-check";
import { formatPretty, usesColour } from "../../../src/telemetry/pretty.ts";

const base = { level: "warn", time: "2026-11-24T11:42:07.123Z", msg: "refused an SVID" };

describe("formatPretty", () => {
  it("puts time, level, message and fields on one line", () => {
    const record = {
      ...base,
      serviceIdentity: "shop/payments",
      attempt: 2,
      explanation: "two words",
      audit: true,
    };
    expect(formatPretty(record, false)).toBe(
      '11:42:07 WARN  refused an SVID  serviceIdentity=shop/payments attempt=2 explanation="two words" audit=true\n',
    );
  });

  it("shows an error's code, message and cause, and its stack below", () => {
    const err = {
      code: "NOT_FOUND",
      message: "no file",
      cause: "ENOENT",
      stack: "Error: no file\n    at a\n    at b",
    };
    expect(formatPretty({ ...base, err }, false)).toBe(
      '11:42:07 WARN  refused an SVID  code=NOT_FOUND err="no file" cause=ENOENT\n    at a\n    at b\n',
    );
  });

  it("colours only when asked to", () => {
    expect(formatPretty(base, true)).toContain("\u001B[33mWARN ");
    expect(formatPretty(base, false)).not.toContain("\u001B");
  });

  it("lets no text steer the terminal or feign another line", () => {
    assert(
      property(string({ unit: "binary" }), string({ unit: "binary" }), (name, text) => {
        const record = { ...base, msg: text, [`x${name}`]: text, err: { message: text, code: text } };
        const line = formatPretty(record, false);
        expect(line).toMatch(/^[^\p{Cc}\u202A-\u202E\u2066-\u2069\u2028\u2029]*\n$/u);
      }),
    );
    expect(formatPretty({ ...base, msg: "a\u001B[2Jb\r\nc\u202Ed" }, false)).toContain(
      "a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{202e}d",
    );
  });
});

describe("usesColour", () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { TERM: "dumb" }, false],
  ])("terminal %p with %j → %p", (isTerminal, environment, expected) => {
    expect(usesColour(isTerminal, environment)).toBe(expected);
  });
});
