import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { Secret } from "../../../src/core/secret.ts";
import { ObjectStore } from "../../../src/directory/object-store.ts";
import type { PeerAuthenticationManifest } from "../../../src/reconcile/manifests/manifest.ts";
import {
  BUNDLE,
  bundleOf,
  NEVER,
  POLICY,
  plant,
  RecordedChanges,
  SECRET,
  scratch,
  secretOf,
  shownIn,
} from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { mayMount, mountSmallDisk } from "../../support/small-disk.ts";

const itWithMount = mayMount() ? it : it.skip;
const PAIR = { "tls.crt": "crt-1", "tls.key": "key-1" };
const NEXT = { "tls.crt": "crt-2", "tls.key": "key-2" };
const DOCUMENTS = { "ca.crt": "pem", "bundle.json": "{}", "jwks.json": "{}" };

function policyOf(ownerUid: string, mode = "STRICT"): PeerAuthenticationManifest {
  return {
    kind: "PeerAuthentication",
    ref: POLICY,
    owner: { kind: "ServiceIdentity", name: "payments", uid: ownerUid },
    annotations: { note: "1" },
    spec: { selector: { matchLabels: { app: "payments" } }, mtls: { mode } },
  };
}

describe("an object store", () => {
  let place: ReturnType<typeof scratch>;
  let store: ObjectStore;
  let changes: RecordedChanges;

  const open = (gid?: number): ObjectStore =>
    new ObjectStore({ out: place.dir, gid, clock: new FakeClock(), random: fakeRandom(randomSeed++) });
  let randomSeed = 1;

  beforeEach(() => {
    place = scratch();
    store = open();
    changes = new RecordedChanges();
  });

  afterEach(() => place[Symbol.dispose]());

  const at = (...path: readonly string[]): string => join(place.dir, "shop", ...path);
  const apply = (uid: string, data: Readonly<Record<string, string>>): Promise<void> =>
    store.apply(secretOf(uid, data), NEVER);
  const sweep = (): Promise<void> => store.sweep(changes, async () => {}, NEVER);
  const modeOf = (path: string): string => (lstatSync(path).mode & 0o777).toString(8);

  describe("ownership", () => {
    const inTheWay: readonly [what: string, put: (path: string) => void][] = [
      ["a directory with another's files", (path) => plant(path, { "tls.key": "theirs" })],
      ["a file", (path) => writeFileSync(path, "theirs")],
      ["a link to a directory", (path) => symlinkSync(place.dir, path)],
      ["a link to nowhere", (path) => symlinkSync("nowhere", path)],
    ];
    /** Everything that lies at a path, links not followed. */
    const trace = (path: string): unknown => {
      const { mode, size, ino, mtimeMs } = lstatSync(path);
      const inside = lstatSync(path).isDirectory() ? readdirSync(path) : [];
      return { mode, size, ino, mtimeMs, inside, shown: inside.length > 0 ? shownIn(path) : undefined };
    };

    it.each(inTheWay)(
      "is refused for %s in the place of a Secret, which is left as it is",
      async (_, put) => {
        mkdirSync(at());
        put(at("payments-tls"));
        const before = trace(at("payments-tls"));
        expect(await codeOf(apply("uid-1", PAIR))).toBe("NOT_OWNED");
        const change = { ref: SECRET, ownerUid: "uid-1", set: new Secret({}), remove: [], annotations: {} };
        expect(await codeOf(store.amend(change, NEVER))).toBe("NOT_OWNED");
        await store.prune(SECRET, "uid-1");
        expect(trace(at("payments-tls"))).toEqual(before);
        expect(store.secret("shop", "payments-tls")).toBeUndefined();
        expect(readdirSync(at())).toEqual(["payments-tls"]);
      },
    );

    it.each(inTheWay)("is refused for %s in the place of a PeerAuthentication", async (_, put) => {
      mkdirSync(at());
      const path = at("payments.peerauthentication.yaml");
      put(path);
      const before = trace(path);
      expect(await codeOf(store.apply(policyOf("uid-1"), NEVER))).toBe("NOT_OWNED");
      await store.prune(POLICY, "uid-1");
      expect(trace(path)).toEqual(before);
      expect(store.peerAuthentications("shop")).toEqual([]);
    });

    it.each(inTheWay.slice(1))("is refused for %s in the place of a namespace", async (_, put) => {
      put(join(place.dir, "shop"));
      const before = trace(join(place.dir, "shop"));
      expect(await codeOf(apply("uid-1", PAIR))).toBe("NOT_OWNED");
      expect(trace(join(place.dir, "shop"))).toEqual(before);
      expect(existsSync(join(place.dir, "payments-tls"))).toBe(false);
    });

    it("of another uid is respected: no write, no removal, and the observed owner stays", async () => {
      await apply("uid-1", PAIR);
      expect(await codeOf(apply("uid-2", NEXT))).toBe("NOT_OWNED");
      await store.prune(SECRET, "uid-2");
      expect(shownIn(at("payments-tls"))).toEqual(PAIR);
      expect(store.secret("shop", "payments-tls")?.ownerUid).toBe("uid-1");
      expect(store.ownedBy("uid-2")).toEqual([]);
    });

    it("is read from the disk: what another process has taken over meanwhile is not overwritten", async () => {
      await apply("uid-1", PAIR);
      const other = open();
      await other.load();
      await other.prune(SECRET, "uid-1");
      await other.apply(secretOf("uid-2", NEXT), NEVER);
      expect(await codeOf(apply("uid-1", PAIR))).toBe("NOT_OWNED");
      expect(shownIn(at("payments-tls"))).toEqual(NEXT);
    });

    it("covers the files of others beside its own: they outlive replacement and removal", async () => {
      await apply("uid-1", PAIR);
      writeFileSync(at("payments-tls", "notes"), "theirs");
      await apply("uid-1", NEXT);
      await store.prune(SECRET, "uid-1");
      expect(readdirSync(at("payments-tls"))).toEqual(["notes"]);
    });
  });

  describe("on the disk", () => {
    it("keeps directories to 0700 and files to 0600, whatever the umask is", async () => {
      const umask = process.umask(0);
      try {
        await apply("uid-1", PAIR);
        await store.apply(policyOf("uid-1"), NEVER);
      } finally {
        process.umask(umask);
      }
      const revision = readlinkSync(at("payments-tls/..data"));
      const directories = [at(), at("payments-tls"), at("payments-tls", revision)];
      expect(directories.map(modeOf)).toEqual(["700", "700", "700"]);
      const files = readdirSync(at("payments-tls", revision)).map((name) =>
        at("payments-tls", revision, name),
      );
      expect(files.length).toBe(3);
      expect([...files, at("payments.peerauthentication.yaml")].map(modeOf)).toEqual(Array(4).fill("600"));
    });

    it("gives a group 0750 and 0640, whatever the umask is", async () => {
      const gid = process.getgid?.() ?? 0;
      store = open(gid);
      const umask = process.umask(0o077);
      try {
        await apply("uid-1", PAIR);
        await store.apply(policyOf("uid-1"), NEVER);
      } finally {
        process.umask(umask);
      }
      const revision = readlinkSync(at("payments-tls/..data"));
      const directories = [at(), at("payments-tls"), at("payments-tls", revision)];
      expect(directories.map(modeOf)).toEqual(["750", "750", "750"]);
      const files = readdirSync(at("payments-tls", revision)).map((name) =>
        at("payments-tls", revision, name),
      );
      expect([...files, at("payments.peerauthentication.yaml")].map(modeOf)).toEqual(Array(4).fill("640"));
      expect(statSync(at("payments-tls", revision, "tls.key")).gid).toBe(gid);
    });

    it("keeps the view of a reader that opened the old files, and shows new ones the new", async () => {
      await apply("uid-1", PAIR);
      const key = openSync(at("payments-tls/tls.key"), "r");
      try {
        await apply("uid-1", NEXT);
        expect(readFileSync(key, "utf8")).toBe(PAIR["tls.key"]);
        expect(shownIn(at("payments-tls"))).toEqual(NEXT);
      } finally {
        closeSync(key);
      }
    });

    it("swaps ..data alone: links and the directory that consumers watch stay the same", async () => {
      await apply("uid-1", PAIR);
      const inodes = (): readonly number[] =>
        ["", "tls.crt", "tls.key"].map((name) => lstatSync(at("payments-tls", name)).ino);
      const before = inodes();
      await apply("uid-1", NEXT);
      expect(inodes()).toEqual(before);
    });

    it("names revisions as kubelet does, and keeps one", async () => {
      await apply("uid-1", PAIR);
      await apply("uid-1", NEXT);
      const hidden = readdirSync(at("payments-tls")).filter((name) => name.startsWith(".."));
      expect(hidden).toEqual(["..data", readlinkSync(at("payments-tls/..data"))].toSorted());
      expect(hidden).toContainEqual(expect.stringMatching(/^\.\.2027_01_15_08_00_00\.\d+$/));
    });

    it("notes kind, type, owner and annotations in a marker that readers do not see", async () => {
      await apply("uid-1", PAIR);
      const marker = readFileSync(at("payments-tls/..data/..meshid.json"), "utf8");
      expect(JSON.parse(marker)).toEqual({
        kind: "Secret",
        type: "kubernetes.io/tls",
        ownerUid: "uid-1",
        annotations: { "meshid.dev/revision": "1" },
      });
      expect(shownIn(at("payments-tls"))).toEqual(PAIR);
    });

    it("writes a PeerAuthentication that kubectl can apply, with its owner in an annotation", async () => {
      await store.apply(policyOf("uid-1"), NEVER);
      expect(parse(readFileSync(at("payments.peerauthentication.yaml"), "utf8"))).toEqual({
        apiVersion: "security.istio.io/v1",
        kind: "PeerAuthentication",
        metadata: {
          name: "payments",
          namespace: "shop",
          labels: { "app.kubernetes.io/managed-by": "meshid" },
          annotations: { note: "1", "meshid.dev/owner-uid": "uid-1" },
        },
        spec: policyOf("uid-1").spec,
      });
      expect(store.peerAuthentication("shop", "payments")?.annotations).toEqual({ note: "1" });
    });

    it("tells of storage that fails by path and errno, and leaves what was there whole", async () => {
      await apply("uid-1", PAIR);
      const tooLong = secretOf("uid-1", { ...NEXT, ["x".repeat(300)]: "" });
      expect(await codeOf(store.apply(tooLong, NEVER))).toBe("STORAGE_FAILED");
      expect(shownIn(at("payments-tls"))).toEqual(PAIR);
      const hidden = readdirSync(at("payments-tls")).filter((name) => name.startsWith(".."));
      expect(hidden).toHaveLength(2);
    });
  });

  describe("after a restart", () => {
    const reopened = async (): Promise<ObjectStore> => {
      store = open();
      await store.load();
      store.mend();
      return store;
    };

    it("observes what is there, by name and by owner", async () => {
      await apply("uid-1", PAIR);
      await store.apply(policyOf("uid-1"), NEVER);
      await store.apply(bundleOf("uid-td", DOCUMENTS), NEVER);
      const before = store.secret("shop", "payments-tls");
      await reopened();
      expect(store.secret("shop", "payments-tls")).toEqual(before);
      expect(store.ownedBy("uid-1").toSorted((a, b) => a.kind.localeCompare(b.kind))).toEqual([
        POLICY,
        SECRET,
      ]);
      expect(store.ownedBy("uid-td")).toEqual([BUNDLE]);
      expect(store.configMap("shop", "meshid-bundle")?.ownerUid).toBe("uid-td");
      // Kinds are not mixed up: a ConfigMap's directory is no Secret.
      expect(store.secret("shop", "meshid-bundle")).toBeUndefined();
    });

    it("leaves everything that is not meshid's out of sight", async () => {
      plant(at("theirs"), { "tls.key": "x" });
      plant(at(), { "other.yaml": "kind: Service", "b.peerauthentication.yaml": "kind: PeerAuthentication" });
      plant(join(place.dir, ".hidden/payments-tls"), { "tls.key": "x" });
      await reopened();
      expect(store.refs()).toEqual([]);
    });

    it("repairs the links of a volume and removes what a kill left beside it", async () => {
      await apply("uid-1", PAIR);
      rmSync(at("payments-tls/tls.crt"));
      symlinkSync("..data/stale", at("payments-tls/stale"));
      mkdirSync(at("payments-tls/..half"));
      await reopened();
      expect(shownIn(at("payments-tls"))).toEqual(PAIR);
      expect(readdirSync(at("payments-tls"))).toHaveLength(4);
    });

    it("removes a volume of its own that shows nothing", async () => {
      await apply("uid-1", PAIR);
      rmSync(at("payments-tls/..data"));
      await reopened();
      expect(existsSync(at("payments-tls"))).toBe(false);
      expect(store.refs()).toEqual([]);
    });

    it("writes nothing before it is told to mend", async () => {
      await apply("uid-1", PAIR);
      rmSync(at("payments-tls/tls.crt"));
      store = open();
      await store.load();
      expect(existsSync(at("payments-tls/tls.crt"))).toBe(false);
      expect(store.secret("shop", "payments-tls")?.ownerUid).toBe("uid-1");
    });
  });

  describe("a sweep", () => {
    beforeEach(async () => {
      await apply("uid-1", PAIR);
      await store.apply(policyOf("uid-1"), NEVER);
      await store.apply(bundleOf("uid-td", DOCUMENTS), NEVER);
    });

    const revision = (): string => readlinkSync(at("payments-tls/..data"));

    it("says nothing while nobody has touched anything, its own writes included", async () => {
      await sweep();
      await apply("uid-1", NEXT);
      await store.apply(policyOf("uid-1", "PERMISSIVE"), NEVER);
      await sweep();
      expect(changes.outputs).toEqual([]);
    });

    it("tells of an edit in place once, and observes the new content", async () => {
      const before = store.secret("shop", "payments-tls")?.hashes;
      writeFileSync(at("payments-tls", revision(), "tls.key"), "changed");
      await sweep();
      await sweep();
      expect(changes.outputs).toEqual(["Secret shop/payments-tls of uid-1"]);
      expect(store.secret("shop", "payments-tls")?.hashes["tls.key"]).not.toBe(before?.["tls.key"]);
      expect(store.secret("shop", "payments-tls")?.hashes["tls.crt"]).toBe(before?.["tls.crt"]);
    });

    it.each([
      ["a Secret", () => at("payments-tls"), "Secret shop/payments-tls of uid-1"],
      [
        "a PeerAuthentication",
        () => at("payments.peerauthentication.yaml"),
        "PeerAuthentication shop/payments of uid-1",
      ],
      ["a ConfigMap", () => at("meshid-bundle"), "ConfigMap shop/meshid-bundle of uid-td"],
    ])("tells of the deletion of %s and observes it no more", async (_, path, told) => {
      const count = store.refs().length;
      rmSync(path(), { recursive: true });
      await sweep();
      await sweep();
      expect(changes.outputs).toEqual([told]);
      expect(store.refs()).toHaveLength(count - 1);
    });

    it("tells of a deletion of everything", async () => {
      rmSync(at(), { recursive: true });
      await sweep();
      expect(changes.outputs).toHaveLength(3);
      expect(store.ownedBy("uid-1")).toEqual([]);
    });

    it("tells of an edited PeerAuthentication, and forgets one that lost its owner", async () => {
      const path = at("payments.peerauthentication.yaml");
      writeFileSync(path, readFileSync(path, "utf8").replace("STRICT", "DISABLE"));
      await sweep();
      expect(store.peerAuthentication("shop", "payments")?.spec).toMatchObject({ mtls: { mode: "DISABLE" } });
      writeFileSync(path, "kind: PeerAuthentication\n");
      await sweep();
      expect(changes.outputs).toEqual(Array(2).fill("PeerAuthentication shop/payments of uid-1"));
      expect(store.peerAuthentication("shop", "payments")).toBeUndefined();
    });

    it.each([
      ["a link that is gone", () => rmSync(at("payments-tls/tls.key"))],
      [
        "a link that leads elsewhere",
        () => {
          rmSync(at("payments-tls/tls.key"));
          symlinkSync("/etc/hostname", at("payments-tls/tls.key"));
        },
      ],
      [
        "a file in the place of a link",
        () => {
          rmSync(at("payments-tls/tls.key"));
          writeFileSync(at("payments-tls/tls.key"), "planted");
        },
      ],
    ])("repairs %s and tells of it", async (_, damage) => {
      damage();
      await sweep();
      expect(shownIn(at("payments-tls"))).toEqual(PAIR);
      expect(changes.outputs).toEqual(["Secret shop/payments-tls of uid-1"]);
      await sweep();
      expect(changes.outputs).toHaveLength(1);
    });

    it("tells when a directory of someone else has taken the place of a Secret", async () => {
      rmSync(at("payments-tls"), { recursive: true });
      plant(at("payments-tls"), { "tls.key": "theirs" });
      await sweep();
      expect(changes.outputs).toEqual(["Secret shop/payments-tls of uid-1"]);
      expect(store.secret("shop", "payments-tls")).toBeUndefined();
      expect(shownIn(at("payments-tls"))).toEqual({ "tls.key": "theirs" });
    });

    it("goes on with the others where one cannot be mended, and says which", async () => {
      const other = { ...SECRET, name: "orders-tls" };
      await store.apply(secretOf("uid-2", PAIR, other), NEVER);
      // A key of this name would need a link in the place of the volume's own.
      writeFileSync(at("payments-tls", revision(), "..data"), "theirs");
      rmSync(at("orders-tls/tls.key"));
      for (let times = 0; times < 2; times++) {
        await expect(sweep()).rejects.toMatchObject({
          code: "STORAGE_FAILED",
          message: expect.stringContaining("payments-tls"),
        });
      }
      expect(shownIn(at("orders-tls"))).toEqual(PAIR);
      expect(changes.outputs).toEqual(["Secret shop/orders-tls of uid-2"]);
    });

    it("ends early when it is told to stop", async () => {
      rmSync(at(), { recursive: true });
      await store.sweep(changes, async () => {}, AbortSignal.abort());
      expect(changes.outputs).toEqual([]);
    });
  });

  itWithMount("finishes a removal that was given up half-way", async () => {
    await apply("uid-1", PAIR);
    {
      using _inTheWay = mountSmallDisk(at("payments-tls/..0"));
      expect(await codeOf(store.prune(SECRET, "uid-1"))).toBe("STORAGE_FAILED");
      expect(shownIn(at("payments-tls"))).toEqual({});
    }
    await store.prune(SECRET, "uid-1");
    expect(existsSync(at("payments-tls"))).toBe(false);
    expect(store.ownedBy("uid-1")).toEqual([]);
  });

  it("lets others run while it looks at many objects", async () => {
    for (let index = 0; index < 250; index++) {
      const ref = { kind: "Secret", namespace: "shop", name: `s${index}` } as const;
      await store.apply(secretOf("uid-1", {}, ref), NEVER);
    }
    let pauses = 0;
    await store.sweep(changes, async () => void pauses++, NEVER);
    expect(pauses).toBe(2);
  });
});
