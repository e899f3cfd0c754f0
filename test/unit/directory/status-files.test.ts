import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import {
  identityStatusPath,
  readIdentityStatus,
  readTrustDomainStatus,
  StatusFiles,
  trustDomainPath,
} from "../../../src/directory/status-files.ts";
import type { ServiceIdentity, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";

const IDENTITY: ServiceIdentity = {
  apiVersion: "meshid.dev/v1alpha1",
  kind: "ServiceIdentity",
  metadata: {
    name: "payments",
    namespace: "shop",
    uid: "uid-1",
    creationTimestamp: "2027-01-15T08:00:00Z",
    generation: 1,
  },
  spec: {},
  status: {
    observedGeneration: 1,
    lastManualRenewal: "12:30:45",
    conditions: [
      {
        type: "Ready",
        status: "True",
        reason: "Issued",
        message: `credentials are issued: ${"a long message ".repeat(20)}`,
        lastTransitionTime: "2027-01-15T08:00:00Z",
        observedGeneration: 1,
      },
    ],
  },
};

const TRUST_DOMAIN: TrustDomainObject = {
  apiVersion: "meshid.dev/v1alpha1",
  kind: "TrustDomain",
  metadata: { name: "one.example", uid: "uid-td", creationTimestamp: "2027-01-15T08:00:00Z", generation: 1 },
  spec: {},
  status: { bundle: { sequence: 3, hash: "abc", namespaces: 1, namespacesCurrent: 1 } },
};

describe("status files", () => {
  let place: ReturnType<typeof scratch>;
  let path: string;

  beforeEach(() => {
    place = scratch();
    path = identityStatusPath(place.dir, IDENTITY.metadata);
    mkdirSync(join(place.dir, "shop"));
  });

  afterEach(() => place[Symbol.dispose]());

  const write = (object: ServiceIdentity | TrustDomainObject = IDENTITY): void =>
    new StatusFiles(undefined).write(path, object);

  it("stand at the places that are documented", () => {
    expect(path).toBe(join(place.dir, "shop/payments.serviceidentity.yaml"));
    expect(trustDomainPath(place.dir)).toBe(join(place.dir, "trustdomain.yaml"));
  });

  it("hold the object with its status, one line for a message", () => {
    write();
    const text = readFileSync(path, "utf8");
    expect(parse(text)).toEqual(IDENTITY);
    expect(text.split("\n").filter((line) => line.includes("a long message"))).toHaveLength(1);
  });

  it("quote what an older YAML parser would take for a number", () => {
    write();
    expect(readFileSync(path, "utf8")).toContain('lastManualRenewal: "12:30:45"');
  });

  it("are 0600, and 0640 for a group", () => {
    write();
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    new StatusFiles(process.getgid?.() ?? 0).write(path, IDENTITY);
    expect(lstatSync(path).mode & 0o777).toBe(0o640);
  });

  it("are written again over one of an earlier run, and leave nothing beside it", () => {
    write();
    const next = { ...IDENTITY, status: { lastManualRenewal: "next" } };
    write(next);
    expect(readIdentityStatus(path, "uid-1")).toEqual({ lastManualRenewal: "next" });
    expect(existsSync(join(place.dir, "shop/.payments.serviceidentity.yaml.tmp"))).toBe(false);
  });

  const notOurs: readonly [what: string, put: (at: string) => void][] = [
    ["an object that a user wrote", (at) => writeFileSync(at, "kind: ServiceIdentity\nspec: {}\n")],
    ["another kind", (at) => writeFileSync(at, "kind: Service\nmetadata:\n  uid: a\nstatus: {}\n")],
    ["text", (at) => writeFileSync(at, "notes")],
    ["a link", (at) => symlinkSync("elsewhere", at)],
    ["a directory", (at) => mkdirSync(at)],
  ];

  it.each(notOurs)("leave %s in their place alone", async (_, put) => {
    put(path);
    const before = lstatSync(path).ino;
    expect(await codeOf((async () => write())())).toBe("NOT_OWNED");
    new StatusFiles(undefined).remove(path);
    expect(lstatSync(path).ino).toBe(before);
    expect(existsSync(join(place.dir, "shop/elsewhere"))).toBe(false);
  });

  it("are removed where they are ours, and without a word where there is none", () => {
    const files = new StatusFiles(undefined);
    files.write(path, IDENTITY);
    files.remove(path);
    files.remove(path);
    expect(existsSync(path)).toBe(false);
  });

  it("give the status back to the object of the same uid alone", () => {
    write();
    expect(readIdentityStatus(path, "uid-1")).toEqual(IDENTITY.status);
    expect(readIdentityStatus(path, "uid-2")).toBeUndefined();
  });

  it("give the status of the TrustDomain back, whatever its uid was", () => {
    const files = new StatusFiles(undefined);
    files.write(trustDomainPath(place.dir), TRUST_DOMAIN);
    expect(readTrustDomainStatus(trustDomainPath(place.dir))).toEqual(TRUST_DOMAIN.status);
  });

  it.each(["", "7", "- 1", "status", "a: [", "kind: ServiceIdentity\nmetadata: {uid: uid-1}\n"])(
    "give no status where a file holds %j",
    (text) => {
      writeFileSync(path, text);
      expect(readIdentityStatus(path, "uid-1")).toBeUndefined();
    },
  );

  it("give no status where something else is in the place of an identity's file", () => {
    mkdirSync(path);
    expect(readIdentityStatus(path, "uid")).toBeUndefined();
  });

  it("give no status where there is no file", () => {
    expect(readIdentityStatus(path, "uid-1")).toBeUndefined();
  });

  it("fail with the path where a directory cannot be written", async () => {
    if (process.getuid?.() === 0) path = "/proc/meshid.serviceidentity.yaml";
    else chmodSync(join(place.dir, "shop"), 0o500);
    expect(await codeOf((async () => write())())).toBe("STORAGE_FAILED");
    expect(() => write()).toThrow(`writing ${path}`);
  });
});
