import { beforeAll, describe, expect, it } from "@jest/globals";
import { credentialsIn, secretNameIn } from "../../../../src/app/cluster-cli/secret.ts";
import { secretReport } from "../../../../src/app/cluster-cli/secret-report.ts";
import { faultsOf, isGood, type Report } from "../../../../src/app/inspect/report.ts";
import type { KubeObject } from "../../../../src/kubernetes/objects.ts";
import { encodeKeyHashes } from "../../../../src/reconcile/annotations.ts";
import { keyHashes } from "../../../../src/reconcile/facts.ts";
import { makePki, NOW, type Pki } from "../../../support/cli.ts";

let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

type Content = Readonly<Record<string, string>>;

const own = (): Content => ({ "tls.crt": pki.chainPem, "tls.key": pki.keyPem, "ca.crt": pki.rootPem });

/** As meshid writes it; `now` is what it holds meanwhile. */
function secretOf(written: Content, now: Content = written, spiffeID?: string): KubeObject {
  const bytes = Object.fromEntries(Object.entries(written).map(([key, text]) => [key, Buffer.from(text)]));
  return {
    ...foreign(now),
    metadata: {
      ...foreign(now).metadata,
      annotations: {
        "meshid.dev/spiffe-id": spiffeID ?? "spiffe://cluster.local/ns/shop/sa/payments",
        "meshid.dev/content": encodeKeyHashes(keyHashes(bytes)),
        "meshid.dev/revision": "7",
      },
      ownerReferences: [{ kind: "ServiceIdentity", name: "payments", uid: "u", controller: true }],
    },
  };
}

function foreign(content: Content): KubeObject {
  return {
    type: "kubernetes.io/tls",
    metadata: {
      name: "payments-tls",
      namespace: "shop",
      uid: "s",
      resourceVersion: "1",
      creationTimestamp: "",
    },
    data: Object.fromEntries(
      Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    ),
  };
}

const explain = (secret: KubeObject): Promise<Report> =>
  secretReport(secret, { now: NOW, trust: undefined, password: undefined });

describe("secretReport", () => {
  it("says whose it is, and that nothing is wrong", async () => {
    const report = await explain(secretOf(own()));
    expect(report).toMatchObject({
      kind: "secret",
      title: "Secret with an X.509-SVID",
      name: "shop/payments-tls",
    });
    expect(report.facts.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["spiffeID", "notAfter", "owner", "revision"]),
    );
    expect(isGood(report)).toBe(true);
  });

  it("shows nothing of a key or a token", async () => {
    const reports = [
      await explain(secretOf(own())),
      await explain(foreign({ "orders.jwt": pki.token, "key.pem": pki.keyPem })),
    ];
    for (const secret of pki.secrets) expect(JSON.stringify(reports)).not.toContain(secret);
  });

  it("finds what another writer has changed", async () => {
    const other = await makePki();
    const report = await explain(secretOf(own(), { ...own(), "tls.key": other.keyPem }));
    expect(faultsOf(report).map(({ rule }) => rule)).toEqual(expect.arrayContaining(["changed", "pair"]));
    expect(isGood(report)).toBe(false);
  });

  it("finds the certificate of another identity", async () => {
    const report = await explain(secretOf(own(), own(), "spiffe://cluster.local/ns/shop/sa/other"));
    expect(faultsOf(report)).toContainEqual(expect.objectContaining({ severity: "wrong", rule: "identity" }));
  });

  it("says of a Secret of others that meshid has not written it, and does not ask it for a bundle", async () => {
    const report = await explain(
      foreign({ "tls.crt": pki.chainPem, "tls.key": pki.keyPem, "notes.txt": "hello" }),
    );
    expect(faultsOf(report)).toContainEqual(expect.objectContaining({ severity: "note", rule: "owner" }));
    expect(isGood(report)).toBe(true);
  });

  it("cannot explain a Secret of which it knows nothing", async () => {
    await expect(explain(foreign({ password: "hunter2" }))).rejects.toThrow(
      "secret/payments-tls: holds nothing that meshid can explain",
    );
  });
});

describe("credentialsIn", () => {
  it("gives the chain, and the tokens for an audience where there are such", () => {
    const secret = foreign({ "tls.crt": pki.chainPem, "a.jwt": pki.token, "ca.crt": pki.rootPem });
    const names = (audience?: string): readonly string[] =>
      credentialsIn(secret, audience).map(({ name }) => name);
    const all = ["secret/payments-tls tls.crt", "secret/payments-tls a.jwt"];
    expect(names()).toEqual(all);
    expect(names("orders.shop")).toEqual(all);
    // Refused then, rather than left out in silence.
    expect(names("nobody")).toEqual(all);
  });
});

describe("secretNameIn", () => {
  it.each([
    ["secret/payments-tls", "payments-tls"],
    ["secrets/a.b", "a.b"],
    ["./secret/payments-tls", undefined],
    ["out/secret/x", undefined],
    ["-", undefined],
  ])("reads %s", (path, name) => {
    expect(secretNameIn(path)).toBe(name);
  });

  it.each(["secret/", "secret/../x", "secret/a/b", "secret/A"])("refuses %s", (path) => {
    expect(() => secretNameIn(path)).toThrow("cannot be the name of a Secret");
  });
});
