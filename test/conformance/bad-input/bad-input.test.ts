import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { identityYaml, makeWorkspace, meshid } from "../../support/local-process.ts";
import { BAD_INPUTS } from "./cases.ts";

describe("meshid local --once with bad input", () => {
  it.each(BAD_INPUTS.map((bad) => [bad.name, bad] as const))("explains %s", async (_, bad) => {
    await using work = await makeWorkspace();
    await work.put("good.yaml", identityYaml("good"));
    await bad.prepare(work);
    const args = [
      "local",
      "--once",
      "--identities",
      work.identities,
      "--out",
      work.out,
      ...(bad.args?.(work) ?? []),
    ];
    const { code, stdout, stderr } = await meshid(args);
    for (const text of bad.says) {
      if (typeof text === "string") expect(stderr).toContain(text);
      else expect(stderr).toMatch(text);
    }
    expect(code).toBe(bad.code);
    expect(stdout + stderr).not.toMatch(/^\s+at .*[:(]/m);
    expect(existsSync(join(work.out, "shop/good-tls/tls.crt"))).toBe(bad.code === 1);
    if (bad.status !== undefined) {
      expect(await work.read(`${bad.status[0]}.serviceidentity.yaml`)).toContain(`reason: ${bad.status[1]}`);
    }
    if (bad.statusOfOne !== undefined) {
      const [names, reason] = bad.statusOfOne;
      const texts = await Promise.all(names.map((name) => work.read(`${name}.serviceidentity.yaml`)));
      expect(texts.filter((text) => text.includes(`reason: ${reason}`))).toHaveLength(1);
    }
  });

  it("says what is wrong with a file even where nothing else is there", async () => {
    await using work = await makeWorkspace();
    await work.put("only.yaml", "kind: [");
    const { code, stderr } = await meshid([
      "local",
      "--once",
      "--identities",
      work.identities,
      "--out",
      work.out,
    ]);
    expect(stderr).toContain("only.yaml:1");
    expect(code).toBe(1);
  });
});
