/**
 * `meshid backup`, `restore` and `bootstrap` on real state directories: what was lost comes back, and nothing that is good is
 * ever replaced.
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { decodeJournal } from "../../../src/authority/journal.ts";
import type { AuthorityKind, Journal } from "../../../src/authority/slot.ts";
import type { TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { leaksOf } from "../../support/canaries.ts";
import { cli, type Outcome } from "../../support/cli.ts";
import { meshidWith } from "../../support/cluster-cli.ts";
import {
  type Finished,
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

const FAST = "{rotation: {propagation: 1s}, limits: {minTTL: 1m}}";

/** Backups hold keys by design: they lie where no workspace looks for leaks. */
let store: string;
let backups = 0;

beforeAll(() => {
  store = mkdtempSync(join(tmpdir(), "meshid-backups-"));
});
afterAll(() => {
  rmSync(store, { recursive: true, force: true });
});

const fresh = (): string => join(store, `backup-${++backups}`);

async function serve(work: Workspace, ...args: readonly string[]): Promise<Finished> {
  return meshid(["local", "--identities", work.identities, "--out", work.out, "--once", ...args]);
}

/** One identity, served once. */
async function served(spec = FAST): Promise<Workspace> {
  const work = await makeWorkspace();
  await work.put("payments.yaml", identityYaml("payments", "{jwt: {tokens: [{audience: orders}]}}"));
  await work.put("td.yaml", trustDomainYaml(spec));
  expect((await serve(work)).code).toBe(0);
  return work;
}

const inProcess = meshidWith("/no/kubeconfig");

/** A command in this process, which is quicker; nothing of a key may be in what it prints. */
async function run(work: Workspace, ...args: readonly string[]): Promise<Outcome> {
  const outcome = await inProcess(...args, "--out", work.out);
  expect(leaksOf(work.dir, [outcome.stdout, outcome.stderr])).toEqual([]);
  return outcome;
}

async function backupOf(work: Workspace, ...args: readonly string[]): Promise<string> {
  const file = fresh();
  const { code, stderr } = await run(work, "backup", file, ...args);
  expect([code, stderr]).toEqual([0, ""]);
  return file;
}

const restore = (work: Workspace, file: string, ...args: readonly string[]): Promise<Outcome> =>
  run(work, "restore", file, ...args);

const journalPath = (work: Workspace): string => join(work.state, "journal.json");
const journalOf = (work: Workspace): Journal => decodeJournal(readFileSync(journalPath(work), "utf8"));
const activeKey = (work: Workspace, kind: AuthorityKind): string =>
  journalOf(work).slots.find((slot) => slot.kind === kind && slot.state === "Active")?.keyID ?? "";
const credential = async (work: Workspace): Promise<readonly string[]> =>
  Promise.all(
    ["payments-tls/tls.crt", "payments-tls/ca.crt", "payments-jwt/orders.jwt"].map((file) =>
      work.read(`shop/${file}`),
    ),
  );

async function published(work: Workspace): Promise<{ sequence: number; reasons: readonly string[] }> {
  const { status } = parse(await work.read("trustdomain.yaml")) as TrustDomainObject;
  const reasons = (status?.conditions ?? []).map(({ reason }) => reason);
  return { sequence: status?.bundle?.sequence ?? 0, reasons };
}

async function servedSequence(work: Workspace): Promise<number> {
  const bundle = JSON.parse(await work.read("shop/meshid-bundle/bundle.json")) as { spiffe_sequence: number };
  return bundle.spiffe_sequence;
}

/** Every file below a directory with its content. */
function tree(dir: string): ReadonlyMap<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return new Map(
    files.map((one) => {
      const path = join(one.parentPath, one.name);
      return [path, readFileSync(path, "latin1")];
    }),
  );
}

/** The active key of a kind is replaced by another. */
async function rotate(work: Workspace, kind: "root" | "jwt", authority: AuthorityKind): Promise<void> {
  const before = activeKey(work, authority);
  expect((await run(work, "rotate", kind)).code).toBe(0);
  await until(`another ${kind} key`, async () => {
    await serve(work);
    return activeKey(work, authority) === before ? undefined : true;
  });
}

describe("a lost journal", () => {
  it("is named with the commands that help, comes back by the first, and nothing is issued anew", async () => {
    await using work = await served();
    const before = { ...(await published(work)), credential: await credential(work) };
    const file = await backupOf(work);
    rmSync(journalPath(work));
    const failed = await serve(work);
    expect(failed.code).toBe(2);
    const [, command = ""] = /\((meshid restore FILE [^)]+)\)/.exec(failed.stderr) ?? [];
    expect(failed.stderr).toContain(`meshid bootstrap --new-root --confirm cluster.local --out ${work.out})`);
    const restored = await meshid(command.replace("FILE", file).split(" ").slice(1));
    expect([restored.code, restored.stderr]).toEqual([0, ""]);
    expect(restored.stdout).toMatch(/^Restored the authority of cluster\.local in the state /);
    expect((await serve(work)).code).toBe(0);
    expect(await credential(work)).toEqual(before.credential);
    expect((await published(work)).sequence).toBeGreaterThan(before.sequence);
    expect(await servedSequence(work)).toBe((await published(work)).sequence);
  });

  it("comes back with all of STATE, and what lies in OUT is still meshid's own", async () => {
    await using work = await served();
    const before = await credential(work);
    const file = await backupOf(work);
    rmSync(work.state, { recursive: true });
    expect((await serve(work)).code).toBe(2);
    rmSync(work.state, { recursive: true });
    expect((await restore(work, file, "--dry-run")).code).toBe(0);
    expect(existsSync(work.state)).toBe(false);
    expect((await restore(work, file)).code).toBe(0);
    expect(statSync(work.state).mode & 0o777).toBe(0o700);
    for (const [path] of tree(work.state))
      if (!path.endsWith("/lock")) expect(statSync(path).mode & 0o077).toBe(0);
    const { code, stderr } = await serve(work);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("Conflict")]);
    expect(await credential(work)).toEqual(before);
  });

  it("comes back although OUT is gone too, and is said not to have been compared", async () => {
    await using work = await served();
    const root = activeKey(work, "Root");
    const file = await backupOf(work);
    rmSync(work.out, { recursive: true });
    const { code, stderr } = await restore(work, file);
    expect([code, stderr]).toEqual([0, expect.stringContaining("was not compared")]);
    expect((await serve(work)).code).toBe(0);
    expect(activeKey(work, "Root")).toBe(root);
  });

  it("that is damaged is replaced, and kept", async () => {
    await using work = await served();
    const before = await credential(work);
    const file = await backupOf(work);
    const damaged = readFileSync(journalPath(work), "utf8").replace('"Active"', '"Retired"');
    writeFileSync(journalPath(work), damaged);
    const failed = await serve(work);
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining("(meshid restore)")]);
    const { code, stdout } = await restore(work, file);
    expect(code).toBe(0);
    const [, kept = ""] = /kept as (\S+)\.\n/.exec(stdout) ?? [];
    expect(readFileSync(kept, "utf8")).toBe(damaged);
    expect((await serve(work)).code).toBe(0);
    expect(await credential(work)).toEqual(before);
  });
});

describe("what stands beside a good journal", () => {
  it("comes back alone: a key that is gone, one that is damaged, a record", async () => {
    await using work = await served();
    const before = await credential(work);
    const file = await backupOf(work);
    const journal = readFileSync(journalPath(work), "utf8");
    rmSync(join(work.state, `keys/${activeKey(work, "Issuing")}.pem`));
    writeFileSync(join(work.state, `keys/${activeKey(work, "JWT")}.pem`), "damaged");
    writeFileSync(join(work.state, "holders.json"), "{");
    const failed = await serve(work);
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining("meshid restore")]);
    const { code, stdout } = await restore(work, file);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/the issuing key .*, the JWT key .*, holders\.json\.\n/),
    ]);
    expect(stdout).not.toContain("the root key");
    expect(readFileSync(journalPath(work), "utf8")).toBe(journal);
    expect((await serve(work)).code).toBe(0);
    expect(await credential(work)).toEqual(before);
  });

  it("is not touched where nothing is missing, and the journal in place is named", async () => {
    await using work = await served();
    const file = await backupOf(work);
    await serve(work);
    const before = tree(work.dir);
    const { code, stdout, stderr } = await restore(work, file);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`is good (revision ${journalOf(work).revision}, saved at `);
    const after = new Map([...tree(work.dir)].filter(([path]) => !path.endsWith("/holder.json")));
    expect(after).toEqual(new Map([...before].filter(([path]) => !path.endsWith("/holder.json"))));
  });
});

describe("a backup that is older than what is published", () => {
  it("is refused, with what would break, until that is accepted", async () => {
    await using work = await served();
    const old = { root: activeKey(work, "Root"), jwt: activeKey(work, "JWT") };
    const file = await backupOf(work);
    await rotate(work, "root", "Root");
    await rotate(work, "jwt", "JWT");
    await run(work, "renew", "payments", "-n", "shop");
    await until("a certificate under the new root", async () => {
      await serve(work);
      const { slots } = journalOf(work);
      const issuing = slots.find(({ kind, state }) => kind === "Issuing" && state === "Active");
      return issuing?.issuerKeyID === activeKey(work, "Root") || undefined;
    });
    const now = { root: activeKey(work, "Root"), jwt: activeKey(work, "JWT") };
    const { sequence } = await published(work);
    rmSync(journalPath(work));
    const keys = tree(join(work.state, "keys"));
    const refused = await restore(work, file);
    expect(refused.code).toBe(2);
    for (const key of [`root key ${now.root}`, `JWT key ${now.jwt}`])
      expect(refused.stderr).toContain(`the ${key} is published and not in the backup`);
    expect(existsSync(journalPath(work))).toBe(false);
    expect(tree(join(work.state, "keys"))).toEqual(keys);

    const dry = await restore(work, file, "--dry-run");
    expect([dry.code, dry.stdout]).toEqual([0, expect.stringMatching(/^Would restore /)]);
    expect(dry.stderr).toContain(now.root);
    expect(existsSync(journalPath(work))).toBe(false);

    const accepted = await restore(work, file, "--accept-loss");
    expect([accepted.code, accepted.stderr]).toEqual([0, expect.stringContaining(now.root)]);
    expect((await serve(work)).code).toBe(0);
    expect([activeKey(work, "Root"), activeKey(work, "JWT")]).toEqual([old.root, old.jwt]);
    expect((await published(work)).sequence).toBeGreaterThan(sequence);
    const chain = join(work.out, "shop/payments-tls/tls.crt");
    const bundle = join(work.out, "shop/meshid-bundle/ca.crt");
    expect((await inProcess("verify", "--bundle", bundle, chain)).code).toBe(0);
  });

  it("goes on with a rotation that it had begun, its key observed anew", async () => {
    await using work = await served("{rotation: {propagation: 10m}, limits: {minTTL: 1m}}");
    await run(work, "rotate", "jwt");
    await serve(work);
    const prepared = journalOf(work).slots.find(({ state }) => state === "Prepared");
    expect(prepared?.kind).toBe("JWT");
    const file = await backupOf(work);
    rmSync(work.state, { recursive: true });
    expect((await restore(work, file)).code).toBe(0);
    await work.put("td.yaml", trustDomainYaml(FAST));
    await until("the key that was prepared", async () => {
      await serve(work);
      return activeKey(work, "JWT") === prepared?.keyID || undefined;
    });
  });
});

describe("a state that is served", () => {
  it("is backed up while it runs, and neither restored nor begun anew: the process is named", async () => {
    await using work = await served();
    const args = ["local", "--identities", work.identities, "--out", work.out, "--listen", "none"];
    const running = start(args);
    const end = finished(running);
    let log = "";
    running.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    try {
      await until("the process", async () => {
        const { stdout } = await run(work, "status", "-o", "json");
        return (JSON.parse(stdout) as { pid?: number }).pid;
      });
      // It has read its journal.
      await until("its work", async () => log.includes('"msg":"serving"') || undefined);
      const file = await backupOf(work);
      rmSync(journalPath(work));
      for (const command of [
        ["restore", file],
        ["bootstrap", "--new-root", "--confirm", "cluster.local"],
      ]) {
        const { code, stderr } = await run(work, ...command);
        expect([code, stderr]).toEqual([2, expect.stringContaining(`is held by pid ${running.pid}`)]);
      }
      expect(existsSync(journalPath(work))).toBe(false);
    } finally {
      running.kill();
      await end;
    }
  });
});

describe("a new root", () => {
  const bootstrap = (work: Workspace, ...args: readonly string[]): Promise<Outcome> =>
    run(work, "bootstrap", ...args);
  const CONFIRMED = ["--new-root", "--confirm", "cluster.local"];

  it("is made where the journal is gone, above what was published, and everything is issued anew under it", async () => {
    await using work = await served();
    const before = {
      root: activeKey(work, "Root"),
      ...(await published(work)),
      chain: await credential(work),
    };
    rmSync(journalPath(work));
    const { code, stdout, stderr } = await bootstrap(work, ...CONFIRMED);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^Began anew: cluster\.local .*\n.*every credential that was issued before is refused/s,
    );
    expect(stdout).toContain(`meshid backup FILE --out ${work.out}\n`);
    expect((await serve(work)).code).toBe(0);
    expect(activeKey(work, "Root")).not.toBe(before.root);
    expect((await published(work)).sequence).toBeGreaterThan(before.sequence);
    const after = await credential(work);
    for (const [index, text] of after.entries()) expect(text).not.toBe(before.chain[index]);
    const bundle = join(work.out, "shop/meshid-bundle/ca.crt");
    const chain = join(work.out, "shop/payments-tls/tls.crt");
    expect((await inProcess("verify", "--bundle", bundle, chain)).code).toBe(0);
    expect(journalOf(work).slots.map(({ state }) => state)).toEqual(["Active", "Active", "Active"]);
  });

  it("is made where the journal is damaged, which is kept, and where an active key is gone", async () => {
    await using work = await served();
    writeFileSync(journalPath(work), "damaged");
    const first = await bootstrap(work, ...CONFIRMED, "-o", "json");
    expect(first.code).toBe(0);
    const { kept } = JSON.parse(first.stdout) as { kept: string };
    expect(readFileSync(kept, "utf8")).toBe("damaged");
    expect((await serve(work)).code).toBe(0);
    const root = activeKey(work, "Root");
    rmSync(join(work.state, `keys/${root}.pem`));
    expect((await serve(work)).code).toBe(2);
    expect((await bootstrap(work, ...CONFIRMED)).code).toBe(0);
    expect((await serve(work)).code).toBe(0);
    expect(activeKey(work, "Root")).not.toBe(root);
  });

  it("is refused with a good journal, and unless it is asked for by name", async () => {
    await using work = await served();
    const before = readFileSync(journalPath(work), "utf8");
    const good = await bootstrap(work, ...CONFIRMED);
    expect([good.code, good.stderr]).toEqual([
      2,
      expect.stringContaining("meshid rotate root --compromised"),
    ]);
    expect(readFileSync(journalPath(work), "utf8")).toBe(before);
    rmSync(journalPath(work));
    for (const [args, message] of [
      [["--confirm", "cluster.local"], "--new-root: is missing"],
      [["--new-root"], "--confirm: is missing; expected --confirm cluster.local"],
      [["--new-root", "--confirm", "other.local"], '--confirm: "other.local" is not the trust domain'],
    ] as const) {
      const { code, stderr } = await bootstrap(work, ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
      expect(existsSync(journalPath(work))).toBe(false);
    }
  });

  it("says where nothing in OUT is known to be its own, and how identities are served all the same", async () => {
    await using work = await served();
    rmSync(work.state, { recursive: true });
    const { code, stderr } = await bootstrap(work, ...CONFIRMED);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/objects\.json is gone .* Move aside/)]);
    expect((await serve(work)).code).toBe(1);
    for (const name of ["payments-tls", "payments-jwt"])
      rmSync(join(work.out, "shop", name), { recursive: true, force: true });
    expect((await serve(work)).code).toBe(0);
  });

  it("leaves old certificates accepted where the old root was published beside it", async () => {
    await using work = await served();
    const old = join(work.dir, "old.crt");
    writeFileSync(old, await work.read("shop/payments-tls/tls.crt"));
    const root = (await work.read("shop/meshid-bundle/ca.crt")).trimEnd().replaceAll("\n", "\\n");
    rmSync(journalPath(work));
    await work.put(
      "td.yaml",
      trustDomainYaml(`{limits: {minTTL: 1m}, bundle: {additionalRoots: "${root}"}}`),
    );
    expect((await bootstrap(work, ...CONFIRMED)).code).toBe(0);
    expect((await serve(work)).code).toBe(0);
    const bundle = join(work.out, "shop/meshid-bundle/ca.crt");
    for (const chain of [old, join(work.out, "shop/payments-tls/tls.crt")])
      expect((await inProcess("verify", "--bundle", bundle, chain)).code).toBe(0);
  });

  it("has the rules of the TrustDomain, from OUT or, where that is gone, from STATE", async () => {
    const issuer = "https://id.example.org";
    await using work = await served(`{jwt: {issuer: "${issuer}"}, authority: {rootTTL: 48h}}`);
    for (const lost of [[], ["trustdomain.yaml"]]) {
      for (const name of lost) rmSync(join(work.out, name));
      rmSync(journalPath(work));
      expect((await bootstrap(work, ...CONFIRMED)).code).toBe(0);
      const { slots, issuer: made } = journalOf(work);
      expect(made).toBe(issuer);
      const root = slots.find(({ kind }) => kind === "Root");
      expect((root?.notAfter ?? 0) - (root?.notBefore ?? 0)).toBe(48 * 3600 + 60);
      expect((await serve(work)).code).toBe(0);
    }
  });
});

describe("the file of a backup", () => {
  it("is its owner's alone, whatever the umask, and never takes the place of another", async () => {
    await using work = await served();
    const file = fresh();
    const wide = spawnSync(
      "sh",
      ["-c", `umask 0; exec "$0" src/main.ts backup ${file} --out ${work.out}`, process.execPath],
      { encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } },
    );
    expect([wide.status, wide.stdout]).toEqual([
      0,
      expect.stringContaining("holds the private keys of the CA"),
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file, "utf8");
    const target = join(store, "target");
    writeFileSync(target, "mine");
    const [link, dangling] = [join(store, "link"), join(store, "dangling")];
    symlinkSync(target, link);
    symlinkSync(join(store, "nowhere"), dangling);
    for (const taken of [file, link, dangling, store]) {
      const { code, stderr } = await run(work, "backup", taken);
      expect([code, stderr]).toEqual([2, expect.stringContaining("is there already")]);
    }
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(readFileSync(target, "utf8")).toBe("mine");
    expect(lstatSync(dangling).isSymbolicLink()).toBe(true);
    expect(existsSync(join(store, "nowhere"))).toBe(false);
    const elsewhere = await run(work, "backup", join(store, "no/such/dir"));
    expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringContaining("ENOENT")]);
    expect(readdirSync(store).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("goes to standard output for a pipe, whole, and never to a terminal", async () => {
    await using work = await served();
    const piped = spawnSync(process.execPath, ["src/main.ts", "backup", "-", "--out", work.out], {
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    expect([piped.status, piped.stderr]).toEqual([0, expect.stringMatching(/^Saved .* to standard output/)]);
    expect(piped.stderr).not.toContain("-----BEGIN");
    rmSync(journalPath(work));
    const restored = spawnSync(process.execPath, ["src/main.ts", "restore", "-", "--out", work.out], {
      input: piped.stdout,
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    expect(restored.status).toBe(0);
    const terminal = await cli(["backup", "-", "--out", work.out], { isTTY: true });
    expect(terminal.code).toBe(2);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).toContain("standard output is a terminal");
  });

  it("that others may read is said to be so, unless it is encrypted", async () => {
    await using work = await served();
    const password = join(store, "password");
    writeFileSync(password, "correct horse battery\n", { mode: 0o600 });
    const [open, sealed] = [await backupOf(work), await backupOf(work, "--password-file", password)];
    for (const file of [open, sealed]) chmodSync(file, 0o644);
    const told = await restore(work, open, "--dry-run");
    expect(told.stderr).toContain("others on this machine may read it (mode 0644)");
    const quiet = await restore(work, sealed, "--dry-run", "--password-file", password);
    expect(quiet.stderr).not.toContain("others");
    rmSync(work.state, { recursive: true });
    const other = join(store, "other-password");
    writeFileSync(other, "correct horse batterie\n");
    for (const args of [["--password-file", other], []]) {
      const { code, stderr } = await restore(work, sealed, ...args);
      expect([code, stderr]).toEqual([args.length === 0 ? 2 : 1, expect.stringMatching(/password/)]);
    }
    expect((await restore(work, sealed, "--password-file", password)).code).toBe(0);
    expect((await serve(work)).code).toBe(0);
    writeFileSync(other, "short\n");
    const weak = await run(work, "backup", fresh(), "--password-file", other);
    expect([weak.code, weak.stderr]).toEqual([2, expect.stringContaining("at least 12 characters")]);
  });

  it("is refused before anything is written when it is changed, huge, another's, or no backup", async () => {
    await using work = await served();
    await using foreign = await makeWorkspace();
    await foreign.put("td.yaml", trustDomainYaml(FAST, "other.org"));
    await foreign.put("payments.yaml", identityYaml("payments"));
    expect((await serve(foreign)).code).toBe(0);
    const [own, others] = [await backupOf(work), await backupOf(foreign)];
    rmSync(journalPath(work));
    const before = tree(work.dir);
    const [changed, huge] = [fresh(), fresh()];
    writeFileSync(changed, readFileSync(own, "utf8").replace("cluster.local", "cluster.lokal"), {
      mode: 0o600,
    });
    copyFileSync(own, huge);
    truncateSync(huge, 300 * 1_048_576);
    for (const [file, code, message] of [
      [changed, 1, /checksum/],
      [huge, 2, /is larger than 256 MiB/],
      [others, 2, /is of the trust domain "other\.org", and in the state .* that is "cluster\.local"/],
      [join(work.out, "trustdomain.yaml"), 1, /is not JSON/],
      [join(store, "nothing"), 2, /there is no such file/],
      [store, 2, /it is a directory/],
    ] as const) {
      const refused = await restore(work, file);
      expect([refused.code, refused.stderr]).toEqual([code, expect.stringMatching(message)]);
      expect(refused.stdout).toBe("");
    }
    const after = new Map([...tree(work.dir)].filter(([path]) => !path.endsWith("/holder.json")));
    expect(after).toEqual(new Map([...before].filter(([path]) => !path.endsWith("/holder.json"))));
  });

  it("opens with openssl", async () => {
    await using work = await served();
    const password = join(store, "openssl-password");
    writeFileSync(password, "correct horse battery\n", { mode: 0o600 });
    const file = await backupOf(work, "--password-file", password);
    const { keys } = JSON.parse(readFileSync(file, "utf8")) as {
      keys: { keyID: string; privateKey: string }[];
    };
    expect(keys).toHaveLength(3);
    for (const { keyID, privateKey } of keys) {
      const opened = spawnSync("openssl", ["pkey", "-passin", `file:${password}`], {
        input: privateKey,
        encoding: "utf8",
      });
      expect(opened.stdout).toBe(readFileSync(join(work.state, `keys/${keyID}.pem`), "utf8"));
    }
  });
});

it("a backup of what is not there, or is damaged, is none", async () => {
  await using work = await served();
  const file = fresh();
  writeFileSync(journalPath(work), "damaged");
  const damaged = await run(work, "backup", file);
  expect([damaged.code, damaged.stderr]).toEqual([2, expect.stringContaining("the journal is damaged")]);
  rmSync(journalPath(work));
  const missing = await run(work, "backup", file);
  expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining("there is nothing to back up")]);
  mkdirSync(join(work.dir, "empty"));
  const nowhere = await inProcess("backup", file, "--out", join(work.dir, "empty"));
  expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining("there is nothing to back up")]);
  expect(existsSync(file)).toBe(false);
});
