import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { lineWidth, type Panel, panelLines, progressBar } from "../../../../src/app/progress/panel.ts";
import { seconds } from "../../../../src/core/brand.ts";

const panel: Panel = {
  title: "Rotation of the root key of cluster.local",
  facts: [{ text: "WaitingForConsumers: 2 consumers lack it" }],
  table: {
    header: ["KIND", "STATE", "WAITING-FOR"],
    rows: [
      [{ text: "Root" }, { text: "Active", style: "good" }, { text: "" }],
      [
        { text: "Issuing" },
        { text: "Prepared" },
        { text: "ConfigMap shop/meshid-bundle, Secret shop/payments-tls and 3 more" },
      ],
    ],
  },
  hint: "Ctrl-C ends this view.",
};

const shown = (size: { columns: number; rows: number }, of = panel): readonly string[] =>
  panelLines(of, size, seconds(125)).map((line) => line.map(({ text }) => text).join(""));

describe("panelLines", () => {
  it("puts a table under the facts, with the time that has passed", () => {
    expect(shown({ columns: 100, rows: 30 })).toEqual([
      "Rotation of the root key of cluster.local  2m5s",
      "WaitingForConsumers: 2 consumers lack it",
      "KIND     STATE     WAITING-FOR",
      "Root     Active    -",
      "Issuing  Prepared  ConfigMap shop/meshid-bundle, Secret shop/payments-tls and 3 more",
      "Ctrl-C ends this view.",
    ]);
  });

  it("breaks the last column where the terminal is narrow", () => {
    expect(shown({ columns: 60, rows: 30 }).slice(2)).toEqual([
      "KIND     STATE     WAITING-FOR",
      "Root     Active    -",
      "Issuing  Prepared  ConfigMap shop/meshid-bundle, Secret",
      "                   shop/payments-tls and 3 more",
      "Ctrl-C ends this view.",
    ]);
  });

  it("puts the last column under its row where the terminal is narrower", () => {
    expect(shown({ columns: 40, rows: 30 })).toEqual([
      "Rotation of the root key of cluster.l..",
      "WaitingForConsumers: 2 consumers lack",
      "it",
      "KIND     STATE",
      "Root     Active",
      "Issuing  Prepared",
      "    ConfigMap shop/meshid-bundle,",
      "    Secret shop/payments-tls and 3 more",
      "Ctrl-C ends this view.",
    ]);
  });

  it("leaves out what a low terminal has no room for, and says so", () => {
    expect(shown({ columns: 100, rows: 4 })).toEqual([
      "Rotation of the root key of cluster.local  2m5s",
      "WaitingForConsumers: 2 consumers lack it",
      "and 4 more lines",
    ]);
  });

  it("makes control characters harmless", () => {
    const facts = [{ text: "a\u001B[2Jb\nc" }];
    expect(shown({ columns: 80, rows: 9 }, { title: "t", facts, hint: "" })[1]).toBe("a\\u{1b}[2Jb\\u{a}c");
  });

  it("never takes a whole row or a whole column of the terminal, whatever it holds", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 80 }), fc.lorem({ maxCount: 40 }));
    const cell = text.map((each) => ({ text: each }));
    fc.assert(
      fc.property(
        fc.record({ columns: fc.integer({ min: 1, max: 140 }), rows: fc.integer({ min: 2, max: 40 }) }),
        fc.array(cell, { maxLength: 5 }),
        fc.array(fc.tuple(cell, cell, cell), { maxLength: 10 }),
        (size, facts, rows) => {
          const table = { header: ["A", "B", "C"], rows };
          const lines = panelLines({ title: "title", facts, table, hint: "hint" }, size, seconds(1));
          expect(lines.length).toBeLessThan(size.rows);
          for (const line of lines)
            expect(lineWidth(line)).toBeLessThanOrEqual(Math.max(1, size.columns - 1));
        },
      ),
    );
  });
});

describe("progressBar", () => {
  it.each([
    [0, 10, "[------------------------] 0 of 10"],
    [5, 10, "[############------------] 5 of 10"],
    [9_999, 10_000, "[#######################-] 9,999 of 10,000"],
    [10_000, 10_000, "[########################] 10,000 of 10,000"],
    [0, 0, "[########################] 0 of 0"],
  ])("of %d of %d", (done, total, text) => {
    expect(progressBar(done, total)).toBe(text);
  });
});
