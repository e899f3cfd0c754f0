import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { leaksOf } from "../../support/canaries.ts";
import { identityYaml, makeWorkspace, meshid } from "../../support/local-process.ts";

const ALGORITHMS = ["ECDSA-P256", "ECDSA-P384", "RSA-2048", "Ed25519"];

describe("the search for secrets, at the end of each workspace", () => {
  it.each(ALGORITHMS)(
    "finds a private key of %s, whole or in part, wherever it was written",
    async (algorithm) => {
      await using work = await makeWorkspace();
      await work.put(
        "a.yaml",
        identityYaml("a", `{x509: {keyAlgorithm: ${algorithm}}, jwt: {tokens: [{audience: x}]}}`),
      );
      const run = await meshid(["local", "--once", "--identities", work.identities, "--out", work.out]);
      expect(run).toMatchObject({ code: 0 });
      const key = readFileSync(join(work.out, "shop/a-tls/tls.key"), "utf8");
      const token = readFileSync(join(work.out, "shop/a-jwt/x.jwt"), "utf8");
      expect(leaksOf(work.dir, [run.stdout, run.stderr, token.split(".", 2).join(".")])).toEqual([]);
      const body = key.split("\n").slice(1, -2).join("");
      const leaky = [key, JSON.stringify(key), `key: ${body}`, `token=${token}`];
      expect(leaksOf(work.dir, [...leaky, "nothing"])).toEqual(leaky.map((_, index) => `output ${index}`));
      mkdirSync(join(work.dir, "elsewhere"));
      writeFileSync(join(work.dir, "elsewhere/log"), body);
      expect(leaksOf(work.dir, [])).toEqual([join(work.dir, "elsewhere/log")]);
      writeFileSync(join(work.dir, "elsewhere/log"), "");
    },
  );
});
