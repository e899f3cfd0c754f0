import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { cliDocs } from "../../../hack/generate-docs.ts";
import { CHECKS } from "../../../src/app/doctor/checks.ts";

describe("docs/cli.md", () => {
  it("is what `node hack/generate-docs.ts` makes", () => {
    expect(readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8")).toBe(cliDocs());
  });
});

describe("docs/operations.md", () => {
  it("explains every check of meshid doctor, and no other", () => {
    const text = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
    const [, section = ""] = /\n## Doctor\n(.*?)\n## /s.exec(text) ?? [];
    const names = [...section.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(names).toEqual(Object.keys(CHECKS));
  });
});
