/**
 * `meshid rotate --wait` and `meshid renew --all --wait` beside a `meshid local` that serves: what they say happened has
 * happened.
 */

import { X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { AuthorityStatus, TrustDomainStatus } from "../../../src/registration/service-identity.ts";
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

const NAMES = ["payments", "orders", "web"];

describe("commands that wait", () => {
  let work: Workspace;
  let operator: ReturnType<typeof start>;
  let ended: Promise<Finished>;

  beforeAll(async () => {
    work = await makeWorkspace();
    await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 8s}}"));
    for (const name of NAMES)
      await work.put(`${name}.yaml`, identityYaml(name, "{jwt: {tokens: [{audience: orders.shop}]}}"));
    operator = start(["local", "--identities", work.identities, "--out", work.out, "--listen", "none"]);
    ended = finished(operator);
    await until("all are issued", async () => {
      const { code, stdout } = await meshid(["status", "--out", work.out]);
      return code === 0 && NAMES.every((name) => stdout.includes(name)) ? true : undefined;
    });
  });

  afterAll(async () => {
    operator.kill("SIGTERM");
    await ended;
    await work[Symbol.asyncDispose]();
  });

  const status = async (): Promise<TrustDomainStatus> =>
    (parse(await work.read("trustdomain.yaml")) as { status: TrustDomainStatus }).status;
  const activeOf = async (kind: AuthorityStatus["kind"]): Promise<string> =>
    (await status()).authorities?.find((slot) => slot.kind === kind && slot.state === "Active")?.keyID ?? "";
  const leaf = async (name: string): Promise<X509Certificate> =>
    new X509Certificate(await work.read(`shop/${name}-tls/tls.crt`));
  const serials = (): Promise<readonly string[]> =>
    Promise.all(NAMES.map(async (name) => (await leaf(name)).serialNumber));

  it("rotate root --wait ends when an issuing certificate under the new root signs", async () => {
    const [root, issuing] = [await activeOf("Root"), await activeOf("Issuing")];
    const { code, stdout, stderr } = await meshid([
      "rotate",
      "root",
      "--out",
      work.out,
      "--wait",
      "--timeout",
      "120s",
    ]);
    const [newRoot, newIssuing] = [await activeOf("Root"), await activeOf("Issuing")];
    expect(stdout).toContain(
      `Rotated the root key of cluster.local: root ${newRoot} and issuing key ${newIssuing} under it sign now`,
    );
    expect(stderr).toContain(`new key ${newRoot}, not used yet: `);
    expect(stderr).toContain(
      `root ${newRoot} is active; new issuing key ${newIssuing} under it, not used yet: `,
    );
    expect(stderr.split("\n").length).toBeLessThan(12);
    expect([newRoot, newIssuing]).not.toEqual(expect.arrayContaining([root]));
    expect(newIssuing).not.toBe(issuing);
    expect(code).toBe(0);
    const journal = JSON.parse(await readFile(join(work.state, "journal.json"), "utf8")) as {
      slots: { keyID: string; issuerKeyID?: string }[];
    };
    expect(journal.slots.find(({ keyID }) => keyID === newIssuing)?.issuerKeyID).toBe(newRoot);
  });

  it("an interrupt ends the view, says so, and stops no rotation", async () => {
    const before = await activeOf("JWT");
    await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 10m}}"));
    const command = start(["rotate", "jwt", "--out", work.out, "--wait"]);
    const outcome = finished(command);
    let told = "";
    command.stderr?.on("data", (chunk: Buffer) => {
      told += chunk.toString();
    });
    await until("the view", async () => told.includes("not used yet") || undefined);
    command.kill("SIGINT");
    const { signal, stdout } = await outcome;
    expect(stdout).toMatch(
      /^Requested the rotation of the JWT key of cluster\.local, which goes on by itself: new key /,
    );
    expect(signal).toBe("SIGINT");
    await work.put("td.yaml", trustDomainYaml("{rotation: {propagation: 1s}}"));
    await until("the new key signs", async () => ((await activeOf("JWT")) === before ? undefined : true));
  });

  it("renew --all --wait ends when each has another certificate", async () => {
    const before = await serials();
    const begun = new Date(Math.floor(Date.now() / 1000) * 1000).toISOString().replace(".000Z", "Z");
    const { code, stdout, stderr } = await meshid([
      "renew",
      "--all",
      "--out",
      work.out,
      "--wait",
      "-o",
      "json",
    ]);
    const after = await serials();
    expect(JSON.parse(stdout)).toMatchObject({
      identities: 3,
      namespaces: { shop: 3 },
      done: true,
      renewed: 3,
      waiting: [],
    });
    expect(stderr).toMatch(/: 3 of 3 renewed\n$/);
    expect(code).toBe(0);
    for (const serial of after) expect(before).not.toContain(serial);
    const again = await meshid(["renew", "--all", "--before", begun, "--out", work.out, "--wait"]);
    expect(again.stdout).toBe(
      `Nothing to renew in any namespace; left out: 3 issued at ${begun} or later.\n`,
    );
    expect([again.code, await serials()]).toEqual([0, after]);
  });

  it("renew NAME --wait ends when it has another certificate", async () => {
    const before = await leaf("web");
    const { code, stdout } = await meshid(["renew", "web", "-n", "shop", "--out", work.out, "--wait"]);
    const after = await leaf("web");
    expect(stdout).toMatch(
      new RegExp(`^Renewed shop/web: serial 0*${after.serialNumber}, valid until in `, "i"),
    );
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(code).toBe(0);
  });

  it("rotate root --compromised --wait ends when nobody is shown the key, and nothing under it is left", async () => {
    const old = await activeOf("Root");
    const oldRoots = new X509Certificate(
      (await readFile(join(work.out, "shop/web-tls/ca.crt"), "utf8"))
        .split(/(?<=END CERTIFICATE-----\n)/)
        .at(-1) ?? "",
    );
    const emergency = ["rotate", "root", "--compromised", "--confirm", "cluster.local", "--out", work.out];
    const { code, stdout } = await meshid([...emergency, "--wait", "--timeout", "40s"]);
    const root = await activeOf("Root");
    expect(stdout).toBe(
      `Distrusted the root key of cluster.local: ${old} is out of every bundle, ${root} signs; 3 of 3 identities have new certificates.\n`,
    );
    expect(code).toBe(0);
    for (const name of NAMES) {
      const roots = await work.read(`shop/${name}-tls/ca.crt`);
      expect(roots).not.toContain(oldRoots.toString());
      const [, issuing = ""] = (await work.read(`shop/${name}-tls/tls.crt`)).split(
        /(?<=END CERTIFICATE-----\n)/,
      );
      const signer = new X509Certificate(issuing);
      expect((await leaf(name)).verify(signer.publicKey)).toBe(true);
      const trusted = roots.split(/(?<=END CERTIFICATE-----\n)/).filter((pem) => pem.trim() !== "");
      expect(trusted.some((pem) => signer.verify(new X509Certificate(pem).publicKey))).toBe(true);
      const status = await meshid([
        "verify",
        "--bundle",
        join(work.out, `shop/${name}-tls/ca.crt`),
        join(work.out, `shop/${name}-tls/tls.crt`),
      ]);
      expect(status.code).toBe(0);
    }
    // Run again: that emergency, not the next.
    const again = await meshid(emergency);
    expect(again.stdout).toContain(
      `Nothing was asked for: the root key ${old} of cluster.local was distrusted within the hour`,
    );
    expect([await activeOf("Root"), await readdir(join(work.state, "requests"))]).toEqual([root, []]);
  });
});
