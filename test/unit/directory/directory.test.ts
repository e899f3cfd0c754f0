import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { milliseconds } from "../../../src/core/brand.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import { keyOf } from "../../../src/directory/registry.ts";
import type { ObjectRef } from "../../../src/reconcile/state.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import {
  BUNDLE,
  bundleOf,
  NEVER,
  plant,
  SECRET,
  type StartedDirectory,
  secretOf,
  startDirectory,
} from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import {
  identityYaml,
  makeWorkspace,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

const KEY = "shop/payments";

describe("a directory that is followed", () => {
  let work: Workspace;
  let started: StartedDirectory;

  beforeEach(async () => {
    work = await makeWorkspace();
    await work.put("payments.yaml", identityYaml("payments"));
    started = await startDirectory(work);
    started.follow();
  });

  afterEach(async () => {
    await started[Symbol.asyncDispose]();
    await work[Symbol.asyncDispose]();
  });

  const at = (file: string): string => join(work.identities, file);
  const ttl = (key = KEY): string | undefined => started.directory.identity(key)?.spec.x509?.ttl;
  const payments = (): ServiceIdentity => {
    const identity = started.directory.identity(KEY);
    if (identity === undefined) throw new Error("no identity");
    return identity;
  };
  /** Well below the time after which everything is looked at in any case. */
  const soon = (what: string, isSo: () => boolean): Promise<true> =>
    until(what, async () => (isSo() ? true : undefined), 5000);

  it("takes up an editor's write through a temporary file and a rename", async () => {
    const { uid } = payments().metadata;
    writeFileSync(at(".payments.yaml.swp"), identityYaml("payments", "{x509: {ttl: 2h}}"));
    renameSync(at(".payments.yaml.swp"), at("payments.yaml"));
    await soon("the edit", () => ttl() === "2h");
    expect(payments().metadata.uid).toBe(uid);
    expect(started.changes.identities).toEqual([KEY]);
  });

  it("takes a file that is removed and written again for an edit", async () => {
    const { uid } = payments().metadata;
    rmSync(at("payments.yaml"));
    await systemClock.sleep(milliseconds(400), NEVER);
    writeFileSync(at("payments.yaml"), identityYaml("payments", "{x509: {ttl: 2h}}"));
    await soon("the edit", () => ttl() === "2h");
    expect(payments().metadata).toMatchObject({ uid, generation: 2 });
  });

  it("takes a file that is empty for a moment for an edit", async () => {
    const { uid } = payments().metadata;
    writeFileSync(at("payments.yaml"), "");
    await systemClock.sleep(milliseconds(400), NEVER);
    writeFileSync(at("payments.yaml"), identityYaml("payments", "{x509: {ttl: 2h}}"));
    await soon("the edit", () => ttl() === "2h");
    expect(payments().metadata.uid).toBe(uid);
  });

  it("takes a renamed file for the same object, and announces nothing", async () => {
    const { uid } = payments().metadata;
    renameSync(at("payments.yaml"), at("renamed.yaml"));
    await work.put("orders.yaml", identityYaml("orders"));
    await soon("the other", () => started.directory.identity("shop/orders") !== undefined);
    expect(payments().metadata.uid).toBe(uid);
    expect(started.changes.identities).toEqual(["shop/orders"]);
  });

  it("follows into a directory that is new, deep or moved in", async () => {
    mkdirSync(at("new/deep"), { recursive: true });
    await systemClock.sleep(milliseconds(400), NEVER);
    writeFileSync(at("new/deep/a.yaml"), identityYaml("a"));
    await soon("a", () => started.directory.identity("shop/a") !== undefined);
    writeFileSync(at("new/deep/a.yaml"), identityYaml("a", "{x509: {ttl: 2h}}"));
    await soon("the edit of a", () => ttl("shop/a") === "2h");
    plant(join(work.dir, "aside"), { "b.yaml": identityYaml("b", "{}", "bank") });
    renameSync(join(work.dir, "aside"), at("moved"));
    await soon("b", () => started.directory.identity("bank/b") !== undefined);
    expect(started.changes.namespaces).toBe(1);
    expect(started.directory.bundleNamespaces()).toEqual(["bank", "shop"]);
  });

  it("removes what belongs to a deleted identity, and nothing else", async () => {
    const { objects } = started.directory;
    const { uid } = payments().metadata;
    await objects.apply(secretOf(uid, { "tls.key": "a" }), NEVER);
    await objects.apply(bundleOf("uid-td", { "ca.crt": "pem" }), NEVER);
    await started.directory.writeIdentityStatus(payments(), { lastManualRenewal: "1" });
    writeFileSync(join(work.out, "shop/notes"), "theirs");
    rmSync(at("payments.yaml"));
    await soon("the end", () => !existsSync(objects.pathOf(SECRET)));
    await soon(
      "the end of its status",
      () => !existsSync(join(work.out, "shop/payments.serviceidentity.yaml")),
    );
    expect(existsSync(objects.pathOf(BUNDLE))).toBe(true);
    expect(existsSync(join(work.out, "shop/notes"))).toBe(true);
  });

  it("tells of a problem once while it lasts, and again when it comes back", async () => {
    const { problems, directory } = started;
    writeFileSync(at("bad.yaml"), "kind: [");
    await soon("the problem", () => problems.length === 1);
    await work.put("orders.yaml", identityYaml("orders"));
    await soon("orders", () => directory.identity("shop/orders") !== undefined);
    expect(problems).toHaveLength(1);
    rmSync(at("bad.yaml"));
    await soon("its end", () => directory.problems.length === 0);
    writeFileSync(at("bad.yaml"), "kind: [");
    await soon("the problem again", () => problems.length === 2);
  });

  it("forgets nothing where its own directory is gone, and says so", async () => {
    const { uid } = payments().metadata;
    renameSync(work.identities, join(work.dir, "away"));
    await soon("the problem", () => started.directory.problems.length === 1);
    expect(started.directory.problems[0]?.message).toContain("cannot be read (ENOENT)");
    expect(payments().metadata.uid).toBe(uid);
    expect(started.changes.identities).toEqual([]);
  });

  it("goes on while a link to itself is in the place of its own directory, until that is back", async () => {
    await work.put("sub/orders.yaml", identityYaml("orders"));
    await soon("orders", () => started.directory.identity("shop/orders") !== undefined);
    renameSync(work.identities, join(work.dir, "away"));
    symlinkSync(work.identities, work.identities);
    await soon("the problem", () => started.directory.problems.length === 1);
    rmSync(work.identities);
    renameSync(join(work.dir, "away"), work.identities);
    writeFileSync(at("payments.yaml"), identityYaml("payments", "{x509: {ttl: 2h}}"));
    await until("the edit", async () => (ttl() === "2h" ? true : undefined));
    await until("the end", async () => (started.directory.problems.length === 0 ? true : undefined));
  });

  it("tells again of what could not be taken up, though nobody touches a file", async () => {
    started.changes.failing = new OperatorError("STORAGE_FAILED", "the disk is full", { retryable: true });
    await work.put("orders.yaml", identityYaml("orders"));
    await soon("the problem", () => started.directory.problems.length === 1);
    expect(started.changes.identities).toEqual([]);
    started.changes.failing = undefined;
    await soon("orders", () => started.changes.identities.length > 0);
    expect(started.changes.identities).toEqual(["shop/orders"]);
    await soon("its end", () => started.directory.problems.length === 0);
    expect(started.problems).toEqual([".: the disk is full"]);
  });
});

describe("a directory", () => {
  let work: Workspace;

  beforeEach(async () => {
    work = await makeWorkspace();
  });

  afterEach(async () => {
    await work[Symbol.asyncDispose]();
  });

  it("reads a Secret that a spec refers to, the end of its last line left out", async () => {
    await work.put("shop/p12/password", "correct horse \n");
    await work.put("shop/p12/windows", "correct\r\n");
    await using started = await startDirectory(work);
    const { directory } = started;
    expect((await directory.secretValue("shop", "p12", "password"))?.reveal()).toBe("correct horse ");
    expect((await directory.secretValue("shop", "p12", "windows"))?.reveal()).toBe("correct");
    expect(await directory.secretValue("shop", "p12", "none")).toBeUndefined();
    expect(await directory.secretValue("shop", "p12", "../p12/password")).toBeUndefined();
  });

  it("serves what was there, what is new and what has changed after a restart", async () => {
    for (const name of ["one", "two", "three"]) await work.put(`${name}.yaml`, identityYaml(name));
    await (await startDirectory(work))[Symbol.asyncDispose]();
    rmSync(join(work.identities, "three.yaml"));
    await work.put("two.yaml", identityYaml("two", "{x509: {ttl: 2h}}"));
    await work.put("four.yaml", identityYaml("four"));
    await using started = await startDirectory(work);
    const served = [...started.directory.identities()].map(({ metadata }) => metadata.name);
    expect(served.toSorted()).toEqual(["four", "one", "two"]);
    expect(started.directory.identity("shop/two")?.metadata.generation).toBe(2);
  });

  it("keeps statuses across a restart, for the object of the same uid alone", async () => {
    await work.put("payments.yaml", identityYaml("payments"));
    {
      await using started = await startDirectory(work);
      const identity = started.directory.identity(KEY);
      if (identity === undefined) throw new Error("no identity");
      await started.directory.writeIdentityStatus(identity, { lastManualRenewal: "1" });
      await started.directory.writeTrustDomainStatus({ lastManualRotation: { root: "2" } });
    }
    {
      await using started = await startDirectory(work);
      expect(started.directory.identity(KEY)?.status).toEqual({ lastManualRenewal: "1" });
      expect(started.directory.trustDomain().status).toEqual({ lastManualRotation: { root: "2" } });
    }
    rmSync(join(work.state, "objects.json"));
    await using started = await startDirectory(work);
    expect([...started.directory.identities()].map(({ metadata }) => keyOf(metadata))).toEqual([KEY]);
    expect(started.directory.identity(KEY)?.status).toBeUndefined();
  });

  it("carries out at the next start what a deletion has left undone", async () => {
    await work.put("payments.yaml", identityYaml("payments"));
    {
      await using started = await startDirectory(work);
      const uid = started.directory.identity(KEY)?.metadata.uid ?? "";
      await started.directory.objects.apply(secretOf(uid, { "tls.key": "a" }), NEVER);
    }
    rmSync(join(work.identities, "payments.yaml"));
    await using started = await startDirectory(work);
    await started.directory.collect(NEVER);
    expect(existsSync(started.directory.objects.pathOf(SECRET))).toBe(false);
  });

  it("removes what it can of those that are gone, and says of which it cannot", async () => {
    const names = ["one", "two", "three"];
    for (const name of names) await work.put(`${name}.yaml`, identityYaml(name));
    const refOf = (name: string): ObjectRef => ({ kind: "Secret", namespace: "shop", name: `${name}-tls` });
    {
      await using started = await startDirectory(work);
      const { directory } = started;
      for (const name of names) {
        const uid = directory.identity(`shop/${name}`)?.metadata.uid ?? "";
        await directory.objects.apply(secretOf({ name, uid }, { "tls.key": "a" }, refOf(name)), NEVER);
      }
    }
    for (const name of names) rmSync(join(work.identities, `${name}.yaml`));
    await using started = await startDirectory(work);
    const { objects } = started.directory;
    const left = (): readonly string[] => names.filter((name) => existsSync(objects.pathOf(refOf(name))));
    const inTheWay = join(objects.pathOf(refOf("one")), "..data/theirs");
    mkdirSync(inTheWay);
    await started.directory.collect(NEVER);
    expect(left()).toEqual(["one"]);
    expect(started.directory.problems).toMatchObject([{ message: expect.stringContaining("one-tls") }]);
    expect(readFileSync(join(work.state, "objects.json"), "utf8").match(/isRemoved/g)).toHaveLength(1);
    rmSync(inTheWay, { recursive: true });
    await started.directory.collect(NEVER);
    expect(left()).toEqual([]);
    expect(started.directory.problems).toEqual([]);
  });

  it("has evidence of an authority in what is published, and none in keys alone", async () => {
    await using started = await startDirectory(work);
    const { directory } = started;
    rmSync(join(work.state, "objects.json"), { force: true });
    await directory.keys.put("ab".repeat(20) as KeyId, new Secret("pem"));
    expect(await directory.journal.hasEvidence()).toBe(false);
    await directory.objects.apply(bundleOf("uid-td", { "ca.crt": "pem" }), NEVER);
    expect(await directory.journal.hasEvidence()).toBe(true);
    await directory.objects.prune(BUNDLE, "uid-td");
    expect(await directory.journal.hasEvidence()).toBe(false);
    await directory.writeTrustDomainStatus({
      bundle: { sequence: 1, hash: "a", namespaces: 0, namespacesCurrent: 0 },
    });
    expect(await directory.journal.hasEvidence()).toBe(true);
  });

  it("names the file and line of a field, of the TrustDomain too", async () => {
    await work.put("payments.yaml", identityYaml("payments", "\n  x509:\n    ttl: 2h"));
    await work.put("td.yaml", trustDomainYaml("\n  rotation:\n    propagation: 2m"));
    await using started = await startDirectory(work);
    const { directory } = started;
    expect(directory.locate(KEY, ["spec", "x509", "ttl"])).toBe("payments.yaml:6");
    expect(directory.locate(undefined, ["spec", "rotation"])).toBe("td.yaml:5");
    expect(directory.locate("shop/none", ["spec"])).toBeUndefined();
  });

  it.each([
    ["that the schema refuses", [trustDomainYaml("{nonsense: 1}")]],
    ["that cannot be parsed", [`${trustDomainYaml("{}")}x: [`]],
    ["of which there are two", [trustDomainYaml("{}", "one.example"), trustDomainYaml("{}", "two.example")]],
  ])("does not start on a TrustDomain %s", async (_, texts) => {
    for (const [index, text] of texts.entries()) await work.put(`td${index}.yaml`, text);
    expect(await codeOf(startDirectory(work))).toBe("INVALID_CONFIGURATION");
  });
});
