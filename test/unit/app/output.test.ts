import { describe, expect, it } from "@jest/globals";
import { formatData, formatFields, formatTable, painter, visible } from "../../../src/app/output.ts";

const plain = painter({ isTTY: false, env: {} });

describe("painter", () => {
  it("paints on a terminal", () => {
    expect(painter({ isTTY: true, env: {} })("good", "yes")).toBe("\u001B[32myes\u001B[0m");
  });

  it.each([
    ["a pipe", false, {}],
    ["NO_COLOR", true, { NO_COLOR: "1" }],
    ["a dumb terminal", true, { TERM: "dumb" }],
  ])("leaves text as it is for %s", (_, isTTY, env) => {
    expect(painter({ isTTY, env })("good", "yes")).toBe("yes");
  });
});

describe("formatTable", () => {
  it("aligns columns, shows what is absent, and leaves no space at line ends", () => {
    const rows = [
      [{ text: "payments" }, { text: "True" }, { text: "" }],
      [{ text: "a" }, { text: "False" }, { text: "x" }],
    ];
    expect(formatTable(["NAME", "READY", "AGE"], rows, plain)).toBe(
      "NAME       READY   AGE\npayments   True    -\na          False   x\n",
    );
  });

  it("aligns the same with colours", () => {
    const colour = painter({ isTTY: true, env: {} });
    const rows = [[{ text: "ab", style: "good" as const }, { text: "c" }]];
    // oxlint-disable-next-line no-control-regex -- escapes are what is stripped
    const stripped = formatTable(["A", "B"], rows, colour).replaceAll(/\u001B\[\d+m/g, "");
    expect(stripped).toBe(formatTable(["A", "B"], rows, plain));
  });

  it("makes text that could steer a terminal harmless", () => {
    expect(formatTable(["A"], [[{ text: "\u001B[2Jx" }]], plain)).toBe("A\n\\u{1b}[2Jx\n");
  });
});

describe("formatFields", () => {
  it("hangs further lines of a value under its first", () => {
    expect(
      formatFields(
        [
          ["Names", "a\nb"],
          ["Key", "k"],
        ],
        "  ",
        plain,
      ),
    ).toBe("  Names   a\n          b\n  Key     k\n");
  });
});

describe("formatData", () => {
  it("says the same in JSON and in YAML", async () => {
    const value = { name: "a: b", list: [1, "2"], none: undefined };
    expect(JSON.parse(await formatData(value, "json"))).toEqual({ name: "a: b", list: [1, "2"] });
    expect(await formatData(value, "yaml")).toBe('name: "a: b"\nlist:\n  - 1\n  - "2"\n');
  });
});

describe("visible", () => {
  it("escapes what reverses text", () => {
    expect(visible("a\u202Eb")).toBe("a\\u{202e}b");
  });
});
