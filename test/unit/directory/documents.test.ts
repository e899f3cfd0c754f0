import { describe, expect, it } from "@jest/globals";
import { readDocuments } from "../../../src/directory/documents.ts";

const read = (text: string): ReturnType<typeof readDocuments> => readDocuments(Buffer.from(text));

describe("readDocuments", () => {
  it("reads several documents and leaves empty ones out", () => {
    expect(read("a: 1\n---\n---\nb: 2\n").length).toBe(2);
  });

  it("reads JSON", () => {
    const [first] = read('{"a": {"b": 1}}');
    expect(first).toMatchObject({ document: { value: { a: { b: 1 } } } });
  });

  it("names the line of a field, or of the nearest one above it", () => {
    const [first] = read("a: 1\nspec:\n  x509:\n    dnsNames:\n      - one\n      - two\n");
    if (first === undefined || !("document" in first)) throw new Error("not read");
    const { lineOf } = first.document;
    expect([
      lineOf(["spec"]),
      lineOf(["spec", "x509", "dnsNames", 1]),
      lineOf(["spec", "x509", "ttl"]),
    ]).toEqual([2, 6, 3]);
  });

  it.each([
    ["a key that stands twice", "a: 1\na: 2\n", 2],
    ["a bracket that is not closed", "a: 1\nb: [\n", 3],
    ["a list", "- 1\n", 1],
  ])("refuses %s with its line", (_, text, line) => {
    expect(read(text)).toMatchObject([{ problem: { line } }]);
  });

  it("goes on with the documents beside a bad one", () => {
    const [first, second] = read("- 1\n---\nb: 2\n");
    expect(first).toHaveProperty("problem");
    expect(second).toHaveProperty("document");
  });
});
