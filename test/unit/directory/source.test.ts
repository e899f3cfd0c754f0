import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { loadSchemas } from "../../../src/app/schemas.ts";
import { describeProblem } from "../../../src/directory/documents.ts";
import { type Scan, Source, type ValidateDocument } from "../../../src/directory/source.ts";
import { scratch } from "../../support/directory.ts";
import { identityYaml, trustDomainYaml } from "../../support/local-process.ts";

const LIST = `apiVersion: v1
kind: List
items:
  - apiVersion: meshid.dev/v1alpha1
    kind: ServiceIdentity
    metadata: {name: one, namespace: shop}
    spec: {x509: {ttl: 2h}}
  - apiVersion: meshid.dev/v1alpha1
    kind: ServiceIdentity
    metadata: {name: two, namespace: shop}
    spec: {x509: {tll: 2h}}
`;

const names = (scan: Scan): readonly string[] =>
  scan.identities.map(({ namespace, name }) => `${namespace}/${name}`).toSorted();

describe("a source", () => {
  let validate: ValidateDocument;
  let place: ReturnType<typeof scratch>;
  let source: Source;
  /** Every document that was looked at, in order: a file that is not read again adds none. */
  let judged: string[];

  beforeAll(async () => {
    validate = await loadSchemas();
  });

  beforeEach(() => {
    place = scratch();
    judged = [];
    source = new Source(place.dir, (document) => {
      judged.push((document as { readonly metadata: { readonly name: string } }).metadata.name);
      return validate(document);
    });
  });

  afterEach(() => place[Symbol.dispose]());

  const put = (file: string, text: string): void => {
    const path = join(place.dir, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const problemsOf = (scan: Scan): readonly string[] => scan.problems.map(describeProblem);

  it("reads YAML and JSON of every sub-directory, several documents a file", async () => {
    put("a.yaml", `${identityYaml("one")}---\n${identityYaml("two")}`);
    put("deep/er/b.yml", identityYaml("three", "{}", "bank"));
    const metadata = { name: "four", namespace: "shop" };
    const object = { apiVersion: "meshid.dev/v1alpha1", kind: "ServiceIdentity", metadata, spec: {} };
    put("c.json", JSON.stringify(object));
    const scan = await source.scan();
    expect(names(scan)).toEqual(["bank/three", "shop/four", "shop/one", "shop/two"]);
    expect(scan.problems).toEqual([]);
  });

  it("leaves hidden files, hidden directories and files of other kinds alone", async () => {
    put(".a.yaml.swp", "kind: [");
    put(".git/a.yaml", "kind: [");
    put("README.md", "kind: [");
    put("a.yaml~", "kind: [");
    expect(await source.scan()).toMatchObject({ identities: [], problems: [] });
  });

  it("takes the namespace default where a document names none", async () => {
    put("a.yaml", identityYaml("one").replace(", namespace: shop", ""));
    expect(names(await source.scan())).toEqual(["default/one"]);
  });

  it("refuses a name that the files of its status and policy would be too long for, and takes the longest that fits", async () => {
    const fits = "a".repeat(226);
    put("a.yaml", `${identityYaml(`${fits}b`)}---\n${identityYaml(fits)}`);
    const scan = await source.scan();
    expect(names(scan)).toEqual([`shop/${fits}`]);
    expect(problemsOf(scan)).toEqual([
      "a.yaml:3: metadata.name: has 227 characters; expected at most 226, so that files can be named after it",
    ]);
  });

  it("takes a List for its items and names the line of a fault in one of them", async () => {
    put("list.yaml", LIST);
    const scan = await source.scan();
    expect(names(scan)).toEqual(["shop/one"]);
    expect(problemsOf(scan)).toEqual([expect.stringMatching(/^list\.yaml:11: spec\.x509\.tll: /)]);
  });

  it("refuses an item of a List that is no object, and takes the others", async () => {
    put("list.yaml", LIST.replace("  - apiVersion", "  - text\n  - apiVersion"));
    const scan = await source.scan();
    expect(names(scan)).toEqual(["shop/one"]);
    expect(problemsOf(scan)[0]).toBe("list.yaml:4: items[0]: is not an object; expected a ServiceIdentity");
  });

  it("locates a field of a document and of an item of a List", async () => {
    put("list.yaml", LIST);
    put("more.yaml", `${identityYaml("three")}---\n${identityYaml("four", "\n  x509:\n    ttl: 1h")}`);
    const { identities } = await source.scan();
    const byName = new Map(identities.map((identity) => [identity.name, identity]));
    const lineOf = (name: string, path: readonly string[]): number | undefined => {
      const identity = byName.get(name);
      return identity && source.locate(identity, path);
    };
    expect(lineOf("one", ["spec", "x509", "ttl"])).toBe(7);
    expect(lineOf("four", ["spec", "x509", "ttl"])).toBe(11);
  });

  it("locates a field in each of many identities of one file without reading it for each", async () => {
    const many = Array.from({ length: 300 }, (_, index) => identityYaml(`i${index}`, "{x509: {ttl: 1h}}"));
    put("many.yaml", many.join("---\n"));
    const { identities } = await source.scan();
    const [first] = identities;
    expect(first && source.locate(first, ["spec", "x509"])).toBe(4);
    rmSync(join(place.dir, "many.yaml"));
    expect(identities.map((identity) => source.locate(identity, ["spec", "x509"]))).toEqual(
      identities.map((_, index) => 5 * index + 4),
    );
    await source.scan();
    expect(first && source.locate(first, ["spec", "x509"])).toBeUndefined();
  });

  it("locates nothing in a file that is gone", async () => {
    put("a.yaml", identityYaml("one"));
    const [one] = (await source.scan()).identities;
    rmSync(join(place.dir, "a.yaml"));
    expect(one && source.locate(one, ["spec"])).toBeUndefined();
  });

  it("reads again only what has changed", async () => {
    for (const name of ["one", "two", "three"]) put(`${name}.yaml`, identityYaml(name));
    await source.scan();
    expect(judged.toSorted()).toEqual(["one", "three", "two"]);
    judged.length = 0;
    await source.scan();
    expect(judged).toEqual([]);
    put("two.yaml", identityYaml("two", "{x509: {ttl: 3h}}"));
    const scan = await source.scan();
    expect(judged).toEqual(["two"]);
    expect(names(scan)).toEqual(["shop/one", "shop/three", "shop/two"]);
    expect(scan.identities.find(({ name }) => name === "two")?.spec).toEqual({ x509: { ttl: "3h" } });
  });

  it("sees a file of the same size and age that a rename has put in the place of another", async () => {
    put("a.yaml", identityYaml("one"));
    await source.scan();
    put("new", identityYaml("two"));
    renameSync(join(place.dir, "new"), join(place.dir, "a.yaml"));
    expect(names(await source.scan())).toEqual(["shop/two"]);
  });

  it("says nothing of a file that is gone, and no longer of one that is mended", async () => {
    put("a.yaml", "kind: [");
    put("b.yaml", "kind: [");
    expect((await source.scan()).problems).toHaveLength(2);
    rmSync(join(place.dir, "a.yaml"));
    put("b.yaml", identityYaml("one"));
    const scan = await source.scan();
    expect(scan.problems).toEqual([]);
    expect(scan.mayHide("a.yaml")).toBe(false);
    expect(scan.mayHide("b.yaml")).toBe(false);
  });

  it.each<[what: string, content: string | Uint8Array, mayHide: boolean]>([
    ["has a bad document in it", `${identityYaml("one")}---\nkind: [`, true],
    ["is too large", `# ${"x".repeat(1_048_577)}`, true],
    ["is not UTF-8", Uint8Array.of(0xff, 0xfe), true],
    ["is good", identityYaml("one"), false],
  ])("tells whether a file that %s may hide an object", async (_, content, mayHide) => {
    writeFileSync(join(place.dir, "a.yaml"), content);
    expect((await source.scan()).mayHide("a.yaml")).toBe(mayHide);
  });

  it("hides what lies behind a link to nowhere, and nothing beside it", async () => {
    put("a.yaml", identityYaml("one"));
    symlinkSync("nowhere", join(place.dir, "sub"));
    const scan = await source.scan();
    expect(names(scan)).toEqual(["shop/one"]);
    expect(scan.mayHide("sub/b.yaml")).toBe(true);
    expect(scan.mayHide("subway.yaml")).toBe(false);
    expect(scan.mayHide("a.yaml")).toBe(false);
  });

  it("reads a directory that two links lead to once", async () => {
    put("real/a.yaml", identityYaml("one"));
    symlinkSync("real", join(place.dir, "second"));
    const scan = await source.scan();
    expect(names(scan)).toEqual(["shop/one"]);
    expect(source.directories).toHaveLength(2);
  });

  it.each([
    ["cannot be parsed", `${trustDomainYaml("{}")}x: [`],
    ["the schema refuses", trustDomainYaml("{authority: {nonsense: 1}}")],
    ["is of another version", trustDomainYaml("{}").replace("v1alpha1", "v9")],
  ])("says that a document that %s is the TrustDomain: it must not count as none", async (_, text) => {
    put("td.yaml", text);
    expect((await source.scan()).problems).toMatchObject([{ file: "td.yaml", kind: "TrustDomain" }]);
  });

  it("names every directory in which something can change", async () => {
    put("a/b/c.yaml", identityYaml("one"));
    mkdirSync(join(place.dir, "empty"));
    await source.scan();
    const below = ["", "a", "a/b", "empty"].map((path) => join(place.dir, path));
    expect(source.directories.toSorted()).toEqual(below.toSorted());
  });

  it("fails where the directory itself is not there", async () => {
    const none = new Source(join(place.dir, "none"), validate);
    await expect(none.scan()).rejects.toMatchObject({ code: "ENOENT" });
  });
});
