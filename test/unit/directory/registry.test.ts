import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { loadSchemas } from "../../../src/app/schemas.ts";
import { describeProblem } from "../../../src/directory/documents.ts";
import { identityOf, keyOf, Registry, trustDomainOf } from "../../../src/directory/registry.ts";
import { Source, type ValidateDocument } from "../../../src/directory/source.ts";
import { RENEW_ANNOTATION, type ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { identityYaml, trustDomainYaml } from "../../support/local-process.ts";

const FILE = "payments.yaml";
const KEY = "shop/payments";

describe("a registry", () => {
  let validate: ValidateDocument;
  let place: ReturnType<typeof scratch>;
  let clock: FakeClock;
  let source: Source;
  let registry: Registry;

  beforeAll(async () => {
    validate = await loadSchemas();
  });

  beforeEach(() => {
    place = scratch();
    mkdirSync(join(place.dir, "identities"));
    clock = new FakeClock();
    source = new Source(join(place.dir, "identities"), validate);
    registry = new Registry(place.dir, clock, fakeRandom());
    registry.load();
  });

  afterEach(() => place[Symbol.dispose]());

  const pathOf = (file: string): string => join(place.dir, "identities", file);
  const put = (file: string, text: string): void => {
    mkdirSync(dirname(pathOf(file)), { recursive: true });
    writeFileSync(pathOf(file), text);
  };
  const drop = (file: string): void => rmSync(pathOf(file));
  const take = async (): Promise<ReturnType<Registry["merge"]>> => registry.merge(await source.scan());
  const told = async (): Promise<readonly string[]> => (await take()).problems.map(describeProblem);
  const identity = (key = KEY): ServiceIdentity => {
    const record = registry.identity(key);
    if (record === undefined) throw new Error(`no ${key}`);
    return identityOf(record);
  };
  const removed = (): readonly string[] =>
    registry.removed.map(({ accepted, uid }) => `${keyOf(accepted)} ${uid}`);
  /** As the next process does it, with a chance of its own. */
  const restart = (): void => {
    source = new Source(join(place.dir, "identities"), validate);
    registry = new Registry(place.dir, clock, fakeRandom(99));
    registry.load();
  };

  it("gives a new object a uid, its time of creation and generation 1", async () => {
    put(FILE, identityYaml("payments", "{x509: {ttl: 2h}}"));
    expect((await take()).changed).toEqual([KEY]);
    expect(identity()).toEqual({
      apiVersion: "meshid.dev/v1alpha1",
      kind: "ServiceIdentity",
      metadata: {
        name: "payments",
        namespace: "shop",
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        creationTimestamp: "2027-01-15T08:00:00Z",
        generation: 1,
      },
      spec: { x509: { ttl: "2h" } },
    });
  });

  it("says nothing of what has not changed, and writes nothing", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    const { ino } = statSync(join(place.dir, "objects.json"));
    expect(await take()).toEqual({ changed: [], trustDomainChanged: false, problems: [] });
    expect(statSync(join(place.dir, "objects.json")).ino).toBe(ino);
  });

  it("raises the generation with the spec; uid and creation stay", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    const before = identity();
    await clock.advance(60);
    put(FILE, identityYaml("payments", "{x509: {ttl: 3h}}"));
    expect((await take()).changed).toEqual([KEY]);
    expect(identity()).toEqual({
      ...before,
      metadata: { ...before.metadata, generation: 2 },
      spec: { x509: { ttl: "3h" } },
    });
  });

  it("announces a changed annotation and leaves the generation", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    put(FILE, identityYaml("payments").replace("shop}", "shop, annotations: {team: a}}"));
    expect((await take()).changed).toEqual([KEY]);
    expect(identity().metadata).toMatchObject({ generation: 1, annotations: { team: "a" } });
  });

  it("announces nothing when only the lines of a file move", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    put(FILE, `# moved\n\n${identityYaml("payments")}`);
    expect((await take()).changed).toEqual([]);
    expect(registry.identity(KEY)?.accepted.line).toBe(3);
  });

  it("announces a deletion and keeps the record of it until it is forgotten", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    const { uid } = identity().metadata;
    drop(FILE);
    expect((await take()).changed).toEqual([KEY]);
    expect(registry.identity(KEY)).toBeUndefined();
    expect(removed()).toEqual([`${KEY} ${uid}`]);
    restart();
    expect(removed()).toEqual([`${KEY} ${uid}`]);
    registry.forget(new Set([uid]));
    restart();
    expect(removed()).toEqual([]);
  });

  it("gives an object that comes back another uid, and keeps the record of the first", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    const { uid } = identity().metadata;
    drop(FILE);
    await take();
    put(FILE, identityYaml("payments"));
    await take();
    expect(identity().metadata.uid).not.toBe(uid);
    expect(removed()).toEqual([`${KEY} ${uid}`]);
  });

  it("tells a deletion before it is taken up, so that it can be looked at twice", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    expect(registry.wouldRemove(await source.scan())).toBe(false);
    put(FILE, "kind: [");
    expect(registry.wouldRemove(await source.scan())).toBe(false);
    drop(FILE);
    expect(registry.wouldRemove(await source.scan())).toBe(true);
    expect(registry.identity(KEY)).toBeDefined();
  });

  it("takes a renamed file for the same object", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    const before = identity();
    renameSync(pathOf(FILE), pathOf("renamed.yaml"));
    expect((await take()).changed).toEqual([]);
    expect(identity()).toEqual(before);
    expect(removed()).toEqual([]);
    // Known under its new file: a fault there does not remove it.
    put("renamed.yaml", "kind: [");
    await take();
    expect(identity()).toEqual(before);
  });

  it.each([
    ["that cannot be parsed", "kind: ["],
    ["with a field that is not known", identityYaml("payments", "{x509: {tll: 1h}}")],
    ["whose document changed its kind", identityYaml("payments").replace("ServiceIdentity", "Deployment")],
  ])("keeps the last good object of a file %s, across a restart too", async (_, text) => {
    put(FILE, identityYaml("payments", "{x509: {ttl: 2h}}"));
    await take();
    const before = identity();
    put(FILE, text);
    expect((await take()).changed).toEqual([]);
    expect(identity()).toEqual(before);
    restart();
    await take();
    expect(identity()).toEqual(before);
    expect(removed()).toEqual([]);
  });

  it("removes the object of a good document that is gone from a good file", async () => {
    put("both.yaml", `${identityYaml("payments")}---\n${identityYaml("orders")}`);
    await take();
    put("both.yaml", identityYaml("orders"));
    expect((await take()).changed).toEqual([KEY]);
    expect(registry.identity("shop/orders")).toBeDefined();
  });

  it("keeps uid, creation and generation across a restart, also for what changed meanwhile", async () => {
    put(FILE, identityYaml("payments"));
    put("orders.yaml", identityYaml("orders"));
    await take();
    const before = identity();
    await clock.advance(3600);
    put("orders.yaml", identityYaml("orders", "{x509: {ttl: 2h}}"));
    const orders = identity("shop/orders");
    restart();
    expect((await take()).changed).toEqual(["shop/orders"]);
    expect(identity()).toEqual(before);
    expect(identity("shop/orders").metadata).toEqual({ ...orders.metadata, generation: 2 });
  });

  it("takes nothing up that it could not save: the next scan has it again", async () => {
    const broken = new Registry(join(place.dir, "gone"), clock, fakeRandom());
    put(FILE, identityYaml("payments"));
    const scan = await source.scan();
    expect(await codeOf((async () => broken.merge(scan))())).toBe("STORAGE_FAILED");
    expect(broken.identity(KEY)).toBeUndefined();
    mkdirSync(join(place.dir, "gone"));
    expect(broken.merge(scan).changed).toEqual([KEY]);
  });

  it.each(["", "{", "[]", '{"objects":', '{"objects":7}'])(
    "refuses records that are damaged: %j",
    async (text) => {
      writeFileSync(join(place.dir, "objects.json"), text);
      expect(await codeOf((async () => restart())())).toBe("JOURNAL_CORRUPT");
    },
  );

  it("keeps its records to their owner", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    expect(statSync(join(place.dir, "objects.json")).mode & 0o777).toBe(0o600);
  });

  describe("the names of Secrets", () => {
    const named = (x509: string | undefined, jwt?: string): string => {
      const parts = [
        ...(x509 === undefined ? [] : [`x509: {secretName: ${x509}}`]),
        ...(jwt === undefined ? [] : [`jwt: ${jwt}`]),
      ];
      return identityYaml("payments", `{${parts.join(", ")}}`);
    };
    const token = "tokens: [{audience: a}]";

    it.each([
      ["another name", named("one"), named("two"), { field: "spec.x509.secretName", kept: "one" }],
      ["no name after one", named("one"), named(undefined), { field: "spec.x509.secretName", kept: "one" }],
      [
        "a name after none",
        named(undefined),
        named("two"),
        { field: "spec.x509.secretName", kept: "payments-tls" },
      ],
      [
        "another name for tokens",
        named(undefined, `{secretName: one, ${token}}`),
        named(undefined, `{${token}}`),
        { field: "spec.jwt.secretName", kept: "one" },
      ],
      [
        "a name for tokens after none",
        named(undefined, `{${token}}`),
        named(undefined, `{secretName: two, ${token}}`),
        { field: "spec.jwt.secretName", kept: "payments-jwt" },
      ],
    ])("refuses %s and keeps the object as it was", async (_, before, after, { field, kept }) => {
      put(FILE, before);
      await take();
      const object = identity();
      put(FILE, after);
      const merge = await take();
      expect(merge.changed).toEqual([]);
      expect(identity()).toEqual(object);
      expect(merge.problems).toMatchObject([{ file: FILE, line: 1, field }]);
      expect(merge.problems[0]?.message).toContain(kept);
    });

    it.each([
      ["the default, written out", named(undefined), named("payments-tls")],
      ["the default, left out", named("payments-tls"), named(undefined)],
      [
        "a name for tokens where there were none",
        named(undefined),
        named(undefined, `{secretName: two, ${token}}`),
      ],
    ])("takes %s", async (_, before, after) => {
      put(FILE, before);
      await take();
      put(FILE, after);
      expect(await told()).toEqual([]);
      expect(identity().metadata.generation).toBe(2);
    });

    it("says so again and again, until the file is as it was", async () => {
      put(FILE, named("one"));
      await take();
      put(FILE, named("two"));
      expect(await told()).toHaveLength(1);
      expect(await told()).toHaveLength(1);
      restart();
      expect(await told()).toHaveLength(1);
      put(FILE, named("one"));
      expect(await told()).toEqual([]);
    });

    it("are free for an object that comes back under its name", async () => {
      put(FILE, named("one"));
      await take();
      drop(FILE);
      await take();
      put(FILE, named("two"));
      expect(await told()).toEqual([]);
      expect(identity().spec).toEqual({ x509: { secretName: "two" } });
    });
  });

  describe("two files that define one object", () => {
    it("counts the first by name where both are new, and names both", async () => {
      put("b.yaml", identityYaml("payments", "{x509: {ttl: 2h}}"));
      put("a.yaml", `\n${identityYaml("payments", "{x509: {ttl: 3h}}")}`);
      expect(await told()).toEqual([
        "b.yaml:1: metadata.name: ServiceIdentity shop/payments is defined in a.yaml:2 too, which counts; expected each object once",
      ]);
      expect(identity().spec).toEqual({ x509: { ttl: "3h" } });
    });

    it("counts the file that had it, wherever the other stands", async () => {
      put("m.yaml", identityYaml("payments", "{x509: {ttl: 2h}}"));
      await take();
      put("a.yaml", identityYaml("payments", "{x509: {ttl: 3h}}"));
      put("z.yaml", identityYaml("payments", "{x509: {ttl: 4h}}"));
      const { changed, problems } = await take();
      expect(changed).toEqual([]);
      expect(problems.map(({ file }) => file).toSorted()).toEqual(["a.yaml", "z.yaml"]);
      for (const { message } of problems) expect(message).toContain("m.yaml:1");
      restart();
      await take();
      expect(identity().spec).toEqual({ x509: { ttl: "2h" } });
    });

    it("hands the object over when the file that had it is gone", async () => {
      put("m.yaml", identityYaml("payments", "{x509: {ttl: 2h}}"));
      await take();
      const { uid } = identity().metadata;
      put("z.yaml", identityYaml("payments", "{x509: {ttl: 4h}}"));
      await take();
      drop("m.yaml");
      expect(await told()).toEqual([]);
      expect(identity().metadata).toMatchObject({ uid, generation: 2 });
      expect(identity().spec).toEqual({ x509: { ttl: "4h" } });
    });

    it("counts the first of two documents of one file", async () => {
      put("m.yaml", `${identityYaml("payments")}---\n${identityYaml("payments", "{x509: {ttl: 2h}}")}`);
      expect(await told()).toEqual([expect.stringMatching(/^m\.yaml:6: .* defined in m\.yaml:1 too/)]);
      expect(identity().spec).toEqual({});
    });
  });

  describe("the TrustDomain", () => {
    const trustDomain = (): ReturnType<typeof trustDomainOf> | undefined =>
      registry.trustDomain && trustDomainOf(registry.trustDomain);

    it("has a uid that follows from its name, and generations", async () => {
      put("td.yaml", trustDomainYaml("{}", "one.example"));
      expect((await take()).trustDomainChanged).toBe(true);
      const before = trustDomain();
      expect(before?.metadata).toMatchObject({ name: "one.example", generation: 1 });
      put("td.yaml", trustDomainYaml("{rotation: {propagation: 2m}}", "one.example"));
      expect((await take()).trustDomainChanged).toBe(true);
      expect(trustDomain()?.metadata).toEqual({ ...before?.metadata, generation: 2 });
      drop("td.yaml");
      expect((await take()).trustDomainChanged).toBe(true);
      expect(trustDomain()).toBeUndefined();
      put("td.yaml", trustDomainYaml("{}", "one.example"));
      await take();
      expect(trustDomain()?.metadata.uid).toBe(before?.metadata.uid);
    });

    it("is the first of two by file; the second is named with the place of the first", async () => {
      put("a.yaml", trustDomainYaml("{}", "one.example"));
      put("b.yaml", `\n${trustDomainYaml("{}", "two.example")}`);
      expect(await told()).toEqual([
        "b.yaml:2: kind: a second TrustDomain; a.yaml:1 holds the one that counts; expected one at most",
      ]);
      expect(trustDomain()?.metadata.name).toBe("one.example");
    });

    it("stays the one that it was when a second one comes in an earlier file", async () => {
      put("m.yaml", trustDomainYaml("{}", "one.example"));
      await take();
      put("a.yaml", trustDomainYaml("{}", "two.example"));
      expect(await told()).toEqual([expect.stringMatching(/^a\.yaml:1: kind: .* m\.yaml:1 holds the one/)]);
      expect(trustDomain()?.metadata.name).toBe("one.example");
    });

    it("keeps its name: another one is refused with the one that is served", async () => {
      put("td.yaml", trustDomainYaml("{}", "one.example"));
      await take();
      const before = trustDomain();
      put("td.yaml", trustDomainYaml("{}", "two.example"));
      const merge = await take();
      expect(merge.problems.map(describeProblem)).toEqual([
        "td.yaml:1: metadata.name: the name of the trust domain is fixed; expected one.example",
      ]);
      expect(merge.trustDomainChanged).toBe(false);
      expect(trustDomain()).toEqual(before);
    });

    it("follows its document into another file", async () => {
      put("td.yaml", trustDomainYaml("{}", "one.example"));
      await take();
      renameSync(pathOf("td.yaml"), pathOf("moved.yaml"));
      put("a.yaml", trustDomainYaml("{}", "two.example"));
      expect(await told()).toEqual([
        expect.stringMatching(/^a\.yaml:1: kind: .* moved\.yaml:1 holds the one/),
      ]);
      expect(trustDomain()?.metadata).toMatchObject({ name: "one.example", generation: 1 });
    });

    it("stays as it was while its file is broken", async () => {
      put("td.yaml", trustDomainYaml("{rotation: {propagation: 2m}}", "one.example"));
      await take();
      const before = trustDomain();
      put("td.yaml", trustDomainYaml("{rotation: {propagate: 2m}}", "one.example"));
      expect((await take()).trustDomainChanged).toBe(false);
      expect(trustDomain()).toEqual(before);
      restart();
      await take();
      expect(trustDomain()).toEqual(before);
    });
  });

  describe("a renewal by hand", () => {
    it("is an annotation of the object, across edits and a restart", async () => {
      put(FILE, identityYaml("payments"));
      await take();
      expect(registry.renew([KEY], "request-1")).toEqual([KEY]);
      put(FILE, identityYaml("payments", "{x509: {ttl: 3h}}"));
      await take();
      restart();
      expect(identity().metadata).toMatchObject({
        generation: 2,
        annotations: { [RENEW_ANNOTATION]: "request-1" },
      });
    });

    it("gives way to a newer annotation in the file", async () => {
      put(FILE, identityYaml("payments"));
      await take();
      registry.renew([KEY], "request-1");
      put(
        FILE,
        identityYaml("payments").replace("shop}", `shop, annotations: {${RENEW_ANNOTATION}: "by-file"}}`),
      );
      await take();
      expect(identity().metadata.annotations).toEqual({ [RENEW_ANNOTATION]: "by-file" });
    });

    it("is refused for an object that is not there, and not for the others", async () => {
      expect(registry.renew([KEY], "request-1")).toEqual([]);
      put(FILE, identityYaml("payments"));
      await take();
      expect(registry.renew(["shop/none", KEY], "request-2")).toEqual([KEY]);
      expect(identity().metadata.annotations).toEqual({ [RENEW_ANNOTATION]: "request-2" });
    });
  });

  it("keeps no secret and no status on record", async () => {
    put(FILE, identityYaml("payments"));
    await take();
    expect(readFileSync(join(place.dir, "objects.json"), "utf8")).not.toMatch(/PRIVATE|status/);
  });
});
