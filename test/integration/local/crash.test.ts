import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { readCredentials } from "../../../examples/peers/credentials.ts";
import {
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
} from "../../support/local-process.ts";

/** 30 in `npm test`; `CRASH_RUNS=200` for the long form. */
const RUNS = Number(process.env["CRASH_RUNS"] ?? 30);
const NAMES = ["one", "two", "three", "four", "five"];

describe("SIGKILL at random instants", () => {
  it(
    `loses nothing in ${RUNS} kills: the same root and keys, and no pair is ever torn`,
    async () => {
      await using work = await makeWorkspace();
      await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 1s}}"));
      for (const name of NAMES)
        await work.put(`${name}.yaml`, identityYaml(name, "{jwt: {tokens: [{audience: a}]}}"));
      const flags = ["local", "--identities", work.identities, "--out", work.out, "--listen", "none"];
      expect((await meshid([...flags, "--once"])).code).toBe(0);
      const keysBefore = (await readdir(join(work.state, "keys"))).toSorted();
      const rootBefore = await work.read("shop/meshid-bundle/ca.crt");
      const serials = new Set<string>();

      for (let run = 0; run < RUNS; run++) {
        for (const name of NAMES) {
          const annotated = identityYaml(name, "{jwt: {tokens: [{audience: a}]}}").replace(
            "namespace: shop}",
            `namespace: shop, annotations: {meshid.dev/renew: "${run}"}}`,
          );
          await work.put(`${name}.yaml`, annotated);
        }
        const child = start(flags);
        const ended = finished(child);
        setTimeout(() => child.kill("SIGKILL"), 150 + Math.random() * 700);
        expect((await ended).signal).toBe("SIGKILL");
        for (const name of NAMES) {
          const pair = await readCredentials(join(work.out, `shop/${name}-tls`));
          serials.add(pair.cert);
        }
      }

      const last = await meshid([...flags, "--once"]);
      expect(last.stderr).not.toMatch(/error/i);
      expect(last.code).toBe(0);
      expect(await work.read("shop/meshid-bundle/ca.crt")).toBe(rootBefore);
      expect((await readdir(join(work.state, "keys"))).toSorted()).toEqual(keysBefore);
      expect(serials.size).toBeGreaterThan(NAMES.length);
      for (const name of NAMES) {
        const left = await readdir(join(work.out, `shop/${name}-tls`));
        expect(left.filter((entry) => entry.startsWith("..")).length).toBe(2);
        const status = await readFile(join(work.out, `shop/${name}.serviceidentity.yaml`), "utf8");
        expect(status).toContain(`lastManualRenewal: "${RUNS - 1}"`);
      }
    },
    RUNS * 4000 + 30_000,
  );
});
