import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { cliDocs } from "../../../hack/generate-docs.ts";

describe("docs/cli.md", () => {
  it("is what `node hack/generate-docs.ts` makes", () => {
    expect(readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8")).toBe(cliDocs());
  });
});
