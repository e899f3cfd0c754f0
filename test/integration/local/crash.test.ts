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
  type Workspace,
} from "../../support/local-process.ts";

/** 30 in `npm test`; `npm run test:crash` makes it 200. */
const RUNS = Number(process.env["CRASH_RUNS"] ?? 30);
const NAMES = ["one", "two", "three", "four", "five"];
const SPEC = "{jwt: {tokens: [{audience: a}]}}";

async function askForRenewal(work: Workspace, run: number): Promise<void> {
  for (const name of NAMES) {
    const metadata = `namespace: shop, annotations: {meshid.dev/renew: "${run}"}}`;
    await work.put(`${name}.yaml`, identityYaml(name, SPEC).replace("namespace: shop}", metadata));
  }
}

/** What a peer holds, each certificate checked against its key. */
async function heldIn(work: Workspace): Promise<readonly string[]> {
  const pairs = NAMES.map((name) => readCredentials(join(work.out, `shop/${name}-tls`)));
  return (await Promise.all(pairs)).map(({ cert }) => cert);
}

/**
 * How long a process lives until it is killed: anything from 0 to `longest`, which follows the machine. Where no kill comes
 * late enough to find work, or all come after it, the kills would prove nothing.
 */
class Lifetimes {
  #longest: number;

  constructor(oneRun: number) {
    this.#longest = oneRun * 1.5;
  }

  next(): number {
    return Math.random() * this.#longest;
  }

  /** `renewed`: how many of the identities had been renewed when the kill came. */
  learn(renewed: number): void {
    if (renewed === 0) this.#longest *= 1.15;
    if (renewed === NAMES.length) this.#longest *= 0.9;
  }
}

describe("SIGKILL at random instants", () => {
  it(
    `loses nothing in ${RUNS} kills: the same root and keys, and no pair is ever torn`,
    async () => {
      await using work = await makeWorkspace();
      await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 1s}}"));
      await askForRenewal(work, -1);
      const flags = ["local", "--identities", work.identities, "--out", work.out, "--listen", "none"];
      const started = Date.now();
      expect(await meshid([...flags, "--once"])).toMatchObject({ code: 0 });
      const lifetimes = new Lifetimes(Date.now() - started);
      const keysBefore = (await readdir(join(work.state, "keys"))).toSorted();
      const rootBefore = await work.read("shop/meshid-bundle/ca.crt");
      const found = { early: 0, amid: 0, late: 0 };

      for (let run = 0; run < RUNS; run++) {
        const before = await heldIn(work);
        await askForRenewal(work, run);
        const child = start(flags);
        const ended = finished(child);
        setTimeout(() => child.kill("SIGKILL"), lifetimes.next());
        expect(await ended).toMatchObject({ signal: "SIGKILL" });
        const after = await heldIn(work);
        const renewed = after.filter((cert, index) => cert !== before[index]).length;
        found[renewed === 0 ? "early" : renewed === NAMES.length ? "late" : "amid"] += 1;
        lifetimes.learn(renewed);
      }

      const last = await meshid([...flags, "--once"]);
      expect(last).toMatchObject({ code: 0, stderr: expect.not.stringMatching(/error/i) });
      expect(await work.read("shop/meshid-bundle/ca.crt")).toBe(rootBefore);
      expect((await readdir(join(work.state, "keys"))).toSorted()).toEqual(keysBefore);
      // Kills came before the work, and after some of it had been done.
      expect(found.early).toBeGreaterThan(0);
      expect(found.amid + found.late).toBeGreaterThan(0);
      for (const name of NAMES) {
        const left = await readdir(join(work.out, `shop/${name}-tls`));
        expect(left.filter((entry) => entry.startsWith("..")).length).toBe(2);
        const status = await readFile(join(work.out, `shop/${name}.serviceidentity.yaml`), "utf8");
        expect(status).toContain(`lastManualRenewal: "${RUNS - 1}"`);
      }
    },
    RUNS * 20_000 + 60_000,
  );

  it("keeps the first root that anyone has seen, from the very first start on", async () => {
    await using work = await makeWorkspace();
    await askForRenewal(work, 0);
    const flags = ["local", "--identities", work.identities, "--out", work.out, "--listen", "none"];
    const seen = new Set<string>();
    const look = async (): Promise<void> => {
      const roots = await work.read("shop/meshid-bundle/ca.crt").catch(() => undefined);
      if (roots !== undefined) seen.add(roots);
      const entries = await readdir(join(work.out, "shop")).catch((): string[] => []);
      const complete = entries.filter((name) => name.endsWith("-tls"));
      for (const name of complete) {
        const isShown = (await readdir(join(work.out, "shop", name))).includes("..data");
        if (isShown) await readCredentials(join(work.out, "shop", name));
      }
    };
    let longest = 400;
    for (let run = 0; run < 12; run++) {
      const child = start(flags);
      const ended = finished(child);
      setTimeout(() => child.kill("SIGKILL"), Math.random() * longest);
      await ended;
      await look();
      // The first start is over when a root is published: until then the kills come later and later.
      if (seen.size === 0) longest *= 1.4;
    }
    expect(await meshid([...flags, "--once"])).toMatchObject({ code: 0 });
    await look();
    expect(seen.size).toBe(1);
    expect(await readdir(join(work.state, "keys"))).toHaveLength(3);
  }, 300_000);
});
