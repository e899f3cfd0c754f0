import { readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import {
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  until,
  type Workspace,
} from "../../support/local-process.ts";

const once = (work: Workspace, ...flags: readonly string[]): ReturnType<typeof meshid> =>
  meshid(["local", "--once", "--identities", work.identities, "--out", work.out, ...flags]);

const journalOf = (work: Workspace): string => join(work.state, "journal.json");

interface BadState {
  readonly name: string;
  readonly damage: (work: Workspace) => Promise<void>;
  readonly flags?: readonly string[];
  readonly says: readonly string[];
}

const BAD_STATES: readonly BadState[] = [
  {
    name: "a journal that is truncated",
    damage: async (work) => writeFile(journalOf(work), (await readFile(journalOf(work))).subarray(0, 700)),
    says: ["journal", "restore"],
  },
  {
    name: "a journal from a newer version",
    damage: async (work) => {
      const text = await readFile(journalOf(work), "utf8");
      await writeFile(journalOf(work), text.replace(/"version": ?1/, '"version": 99'));
    },
    says: ["99"],
  },
  {
    name: "a journal of another trust domain",
    damage: async () => {},
    flags: ["--trust-domain", "other.example"],
    says: ["cluster.local", "other.example"],
  },
  {
    name: "a missing journal beside a published bundle",
    damage: (work) => rm(journalOf(work)),
    says: ["missing", "restore", "bootstrap"],
  },
  {
    name: "a missing STATE beside a published bundle",
    damage: (work) => rm(work.state, { recursive: true }),
    says: ["missing", "restore", "bootstrap"],
  },
];

describe("meshid local with a bad state", () => {
  it.each(BAD_STATES.map((bad) => [bad.name, bad] as const))(
    "refuses %s, and writes nothing",
    async (_, bad) => {
      await using work = await makeWorkspace();
      await work.put("good.yaml", identityYaml("good"));
      expect((await once(work)).code).toBe(0);
      const before = await work.read("shop/good-tls/tls.crt");
      await bad.damage(work);
      await work.put("second.yaml", identityYaml("second"));
      const { code, stderr } = await once(work, ...(bad.flags ?? []));
      for (const text of bad.says) expect(stderr).toContain(text);
      expect(code).toBe(2);
      expect(await work.read("shop/good-tls/tls.crt")).toBe(before);
      await expect(work.read("shop/second-tls/tls.crt")).rejects.toThrow("ENOENT");
    },
  );

  it("refuses a state that another process holds, and names its pid", async () => {
    await using work = await makeWorkspace();
    await work.put("good.yaml", identityYaml("good"));
    const holder = start(["local", "--identities", work.identities, "--out", work.out, "--listen", "none"]);
    const ended = finished(holder);
    await until("issued", () => work.read("shop/good-tls/tls.crt"));
    const { code, stderr } = await once(work);
    holder.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    expect(stderr).toContain(`pid ${holder.pid}`);
    expect(code).toBe(2);
  });

  it("writes nothing through a link in the place of a namespace", async () => {
    await using work = await makeWorkspace();
    await work.put("good.yaml", identityYaml("good", "{}", "bank"));
    expect((await once(work)).code).toBe(0);
    await rm(join(work.out, "bank"), { recursive: true });
    await symlink(work.dir, join(work.out, "bank"));
    expect((await once(work)).code).toBe(1);
    await expect(readFile(join(work.dir, "good.serviceidentity.yaml"))).rejects.toThrow("ENOENT");
    await expect(readFile(join(work.dir, "good-tls/tls.key"))).rejects.toThrow("ENOENT");
  });
});
