import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { leaveRequest, type Request, readRequests } from "../../../src/directory/requests.ts";
import { HeldRotations } from "../../../src/directory/rotation-requests.ts";
import { RENEW_ANNOTATION } from "../../../src/registration/service-identity.ts";
import { type StartedDirectory, scratch, startDirectory } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fakeRandom } from "../../support/fake-random.ts";
import { identityYaml, makeWorkspace, type Workspace } from "../../support/local-process.ts";

const RENEW = { kind: "renew", namespace: "shop", name: "payments" } as const;
const ROTATE = { kind: "rotate", authority: "Root" } as const;
const DISTRUST = { ...ROTATE, compromised: "0f3a6c1d" } as const;
const RENEW_ALL = {
  kind: "renew-all",
  identities: [
    { namespace: "shop", name: "none" },
    { namespace: "shop", name: "payments" },
    { namespace: "shop", name: "web" },
  ],
} as const;

function isPending(stateDir: string, id: string): boolean {
  return existsSync(join(stateDir, "requests", `${id}.json`));
}

describe("requests in STATE", () => {
  let place: ReturnType<typeof scratch>;
  const clock = new FakeClock();
  const random = fakeRandom();

  beforeEach(() => {
    place = scratch();
    writeFileSync(join(place.dir, "journal.json"), "{}");
  });

  afterEach(() => place[Symbol.dispose]());

  const leave = (request: Request): string => leaveRequest(place.dir, request, { clock, random });
  const found = (): readonly (Request | undefined)[] => readRequests(place.dir).map(({ request }) => request);

  it("are found as they were left, the oldest first", async () => {
    const first = leave(ROTATE);
    await clock.advance(1);
    const second = leave(RENEW);
    expect(readRequests(place.dir).map(({ id }) => id)).toEqual([first, second]);
    expect(found()).toEqual([ROTATE, RENEW]);
  });

  it.each<Request>([RENEW, RENEW_ALL, ROTATE, DISTRUST])("come back as they were left: %j", (request) => {
    leave(request);
    expect(found()).toEqual([request]);
  });

  it("wait until they are removed, and no longer", () => {
    const id = leave(RENEW);
    expect(isPending(place.dir, id)).toBe(true);
    const [request] = readRequests(place.dir);
    request?.remove();
    request?.remove();
    expect(isPending(place.dir, id)).toBe(false);
    expect(found()).toEqual([]);
  });

  it("are kept to their owner", () => {
    const id = leave(RENEW);
    expect(statSync(join(place.dir, "requests")).mode & 0o777).toBe(0o700);
    expect(statSync(join(place.dir, `requests/${id}.json`)).mode & 0o777).toBe(0o600);
  });

  it("are refused by a directory that is no state, which stays as it is", async () => {
    rmSync(join(place.dir, "journal.json"));
    expect(await codeOf((async () => leave(RENEW))())).toBe("INVALID_CONFIGURATION");
    expect(readdirSync(place.dir)).toEqual([]);
  });

  it("are none where nobody has left one", () => {
    expect(found()).toEqual([]);
  });

  it.each([
    "",
    "{",
    "[]",
    '"renew"',
    '{"kind":"renew"}',
    '{"kind":"renew","namespace":"shop","name":7}',
    '{"kind":"renew-all"}',
    '{"kind":"renew-all","identities":{}}',
    '{"kind":"renew-all","identities":[{"namespace":"shop","name":"a"},{"namespace":"shop"}]}',
    '{"kind":"rotate","authority":"root"}',
    '{"kind":"rotate","authority":"Root","compromised":7}',
    '{"kind":"delete","namespace":"shop","name":"payments"}',
    '{"kind":"renew","kind":"rotate","authority":"Root","namespace":"a","name":"b"}',
  ])("are found as nothing to do, and can be removed, where a file holds %s", (text) => {
    const id = leave(RENEW);
    writeFileSync(join(place.dir, `requests/${id}.json`), text);
    expect(found()).toEqual([undefined]);
    for (const { remove } of readRequests(place.dir)) remove();
    expect(isPending(place.dir, id)).toBe(false);
  });

  it("are not seen in files of other names", () => {
    mkdirSync(join(place.dir, "requests"));
    const names = ["a.json", ".000000000001-0123456789abcdef.json.tmp", "000000000001-0123456789ABCDEF.json"];
    for (const name of names) writeFileSync(join(place.dir, "requests", name), JSON.stringify(RENEW));
    expect(found()).toEqual([]);
    expect(readdirSync(join(place.dir, "requests"))).toHaveLength(names.length);
  });

  it("are taken a thousand at once: more wait their turn", () => {
    mkdirSync(join(place.dir, "requests"));
    for (let index = 0; index <= 1000; index++) {
      const name = `${String(index).padStart(12, "0")}-0123456789abcdef.json`;
      writeFileSync(join(place.dir, "requests", name), JSON.stringify(RENEW));
    }
    const first = readRequests(place.dir);
    expect(first).toHaveLength(1000);
    for (const { remove } of first) remove();
    expect(readRequests(place.dir).map(({ id }) => id)).toEqual(["000000001000-0123456789abcdef"]);
  });
});

describe("a directory with requests", () => {
  let work: Workspace;
  let started: StartedDirectory;

  beforeEach(async () => {
    work = await makeWorkspace();
    await work.put("payments.yaml", identityYaml("payments"));
    await begin();
  });

  afterEach(async () => {
    await started[Symbol.asyncDispose]();
    await work[Symbol.asyncDispose]();
  });

  const begin = async (): Promise<void> => {
    started = await startDirectory(work);
    writeFileSync(join(work.state, "journal.json"), "{}");
  };
  const leave = (request: Request): string =>
    leaveRequest(work.state, request, { clock: new FakeClock(), random: fakeRandom(leaves++) });
  let leaves = 1;
  const take = (): Promise<void> => started.directory.takeRequests(started.changes);
  const renewal = (): string | undefined =>
    started.directory.identity("shop/payments")?.metadata.annotations?.[RENEW_ANNOTATION];

  it("carries a renewal out once: the identity is announced and the request is gone", async () => {
    const id = leave(RENEW);
    await take();
    await take();
    expect(started.changes.identities).toEqual(["shop/payments"]);
    expect(renewal()).toBe(id);
    expect(isPending(work.state, id)).toBe(false);
  });

  it("carries the renewal of many out with one value, as far as they are there", async () => {
    await work.put("web.yaml", identityYaml("web"));
    await started[Symbol.asyncDispose]();
    await begin();
    const id = leave(RENEW_ALL);
    await take();
    expect(started.changes.identities).toEqual(["shop/payments", "shop/web"]);
    const value = (key: string): string | undefined =>
      started.directory.identity(key)?.metadata.annotations?.[RENEW_ANNOTATION];
    expect([value("shop/payments"), value("shop/web")]).toEqual([id, id]);
    expect(isPending(work.state, id)).toBe(false);
  });

  it("means the same by a request that is met again after a crash", async () => {
    const id = leave(RENEW);
    await take();
    const text = JSON.stringify(RENEW);
    writeFileSync(join(work.state, `requests/${id}.json`), text);
    await begin();
    await take();
    expect(renewal()).toBe(id);
    expect(isPending(work.state, id)).toBe(false);
  });

  it("has a renewal on record before the request is gone", async () => {
    const id = leave(RENEW);
    await take();
    await begin();
    expect(renewal()).toBe(id);
  });

  it.each([
    ["of an identity that is not there", JSON.stringify({ ...RENEW, name: "none" })],
    ["that cannot be read", "{"],
  ])("removes a request %s, and announces nothing", async (_, text) => {
    const id = leave(RENEW);
    writeFileSync(join(work.state, `requests/${id}.json`), text);
    await take();
    expect(isPending(work.state, id)).toBe(false);
    expect(started.changes).toMatchObject({ identities: [], rotations: 0 });
  });

  it("announces a rotation once and keeps its request until the journal has honoured it", async () => {
    const id = leave(ROTATE);
    await take();
    await take();
    expect(started.changes.rotations).toBe(1);
    expect(started.directory.pending()).toEqual({ Root: id });
    expect(isPending(work.state, id)).toBe(true);
    started.directory.honoured({ honoured: { Root: id }, slots: [] });
    expect(isPending(work.state, id)).toBe(false);
    await take();
    expect(started.changes.rotations).toBe(1);
  });

  it("finds a rotation that was not honoured again after a restart", async () => {
    const id = leave(ROTATE);
    await take();
    await begin();
    await take();
    expect(started.changes.rotations).toBe(1);
    expect(started.directory.pending()).toEqual({ Root: id });
  });

  it("takes what commands leave while it runs", async () => {
    started.follow();
    const id = leave(RENEW);
    const path = join(work.state, `requests/${id}.json`);
    for (let round = 0; existsSync(path) && round < 100; round++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(renewal()).toBe(id);
  });
});

describe("held rotations", () => {
  it("end together when the newest of their kind is honoured, and those of other kinds stay", () => {
    const held = new HeldRotations();
    const removed: string[] = [];
    const hold = (kind: "Root" | "JWT", value: string): boolean =>
      held.hold({ kind, value, remove: () => void removed.push(value) });
    expect([hold("Root", "1"), hold("Root", "2"), hold("JWT", "3"), hold("Root", "2")]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(held.newest).toEqual({ Root: "2", JWT: "3" });
    held.honoured({ honoured: {}, slots: [] });
    expect(removed).toEqual([]);
    held.honoured({ honoured: { Root: "2" }, slots: [] });
    expect(removed.toSorted()).toEqual(["1", "2"]);
    held.honoured({ honoured: { Root: "2", JWT: "3" }, slots: [] });
    expect(removed.toSorted()).toEqual(["1", "2", "3"]);
  });

  it("stay while the journal has honoured only an earlier request", () => {
    const held = new HeldRotations();
    const removed: string[] = [];
    for (const value of ["1", "2"])
      held.hold({ kind: "Root", value, remove: () => void removed.push(value) });
    held.honoured({ honoured: { Root: "1" }, slots: [] });
    expect(removed).toEqual(["1"]);
    expect(held.newest).toEqual({ Root: "2" });
  });
});
