import { spawn } from "node:child_process";
import { appendFileSync, closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { readCredentials } from "../../../examples/peers/credentials.ts";
import {
  type Finished,
  finished,
  identityYaml,
  MAIN,
  makeWorkspace,
  meshid,
  start,
  until,
  type Workspace,
} from "../../support/local-process.ts";
import { mayMount, mountSmallDisk } from "../../support/small-disk.ts";

const NAMES = ["one", "two", "three"];
// Where nobody may mount, the limit on the size of files below stands in for it.
const itWithDisk = mayMount() ? it : it.skip;

interface Places {
  readonly out: string;
  readonly state: string;
}

const flagsOf = (work: Workspace, { out, state }: Places): readonly string[] => [
  "local",
  "--identities",
  work.identities,
  "--out",
  out,
  "--state",
  state,
];

async function putAll(work: Workspace, renewal: string): Promise<void> {
  for (const name of NAMES) {
    const metadata = `namespace: shop, annotations: {meshid.dev/renew: "${renewal}"}}`;
    await work.put(`${name}.yaml`, identityYaml(name).replace("namespace: shop}", metadata));
  }
}

/** All that a peer holds, each pair checked to belong together, and the root. */
async function heldIn(out: string): Promise<Readonly<Record<string, string>>> {
  const held: Record<string, string> = {
    root: await readFile(join(out, "shop/meshid-bundle/ca.crt"), "utf8"),
  };
  for (const name of NAMES) held[name] = (await readCredentials(join(out, `shop/${name}-tls`))).cert;
  return held;
}

/** Files that a write which was not finished would leave. */
function leftovers(...directories: readonly string[]): readonly string[] {
  const names = directories
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory, { recursive: true, encoding: "utf8" }));
  return names.filter((name) => /\.tmp$|\.\.data_tmp|probe/.test(name));
}

function expectExplained({ code, stdout, stderr }: Finished, path: string, reason: string): void {
  expect([1, 2]).toContain(code);
  expect(stderr).toContain(path);
  expect(stderr).toContain(reason);
  expect(stdout + stderr).not.toMatch(/^\s+at .*[:(]/m);
}

describe("meshid local on a full disk", () => {
  itWithDisk.each(["out", "state"] as const)(
    "says so, leaves nothing half-written and works again with space: --%s",
    async (place) => {
      await using work = await makeWorkspace();
      using disk = mountSmallDisk(join(work.dir, "disk"));
      const places = {
        out: join(work.dir, "out"),
        state: join(work.dir, "state"),
        [place]: join(disk.path, place),
      };
      const once = (): Promise<Finished> => meshid([...flagsOf(work, places), "--once"]);
      const full = [places[place], "no space left on the device"] as const;
      await putAll(work, "1");

      disk.fill();
      expectExplained(await once(), ...full);
      expect(leftovers(places.out, places.state)).toEqual([]);
      expect(existsSync(join(places.out, "shop/one-tls/tls.crt"))).toBe(false);

      disk.free();
      expect(await once()).toMatchObject({ code: 0 });
      const before = await heldIn(places.out);

      disk.fill();
      await putAll(work, "2");
      await work.put("four.yaml", identityYaml("four"));
      expectExplained(await once(), ...full);
      expect(await heldIn(places.out)).toEqual(before);
      expect(existsSync(join(places.out, "shop/four-tls/tls.crt"))).toBe(false);
      expect(leftovers(places.out, places.state)).toEqual([]);

      disk.free();
      expect(await once()).toMatchObject({ code: 0, stdout: "4 of 4 identities are ready\n" });
      const after = await heldIn(places.out);
      expect(after["root"]).toBe(before["root"]);
      expect(NAMES.filter((name) => after[name] === before[name])).toEqual([]);
    },
  );

  itWithDisk("goes on by itself once there is space", async () => {
    await using work = await makeWorkspace();
    using disk = mountSmallDisk(join(work.dir, "disk"));
    const places = { out: join(disk.path, "out"), state: join(work.dir, "state") };
    await putAll(work, "1");
    const operator = start([...flagsOf(work, places), "--listen", "none"]);
    const ended = finished(operator);
    let log = "";
    operator.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    const before = await until("all issued", async () =>
      NAMES.every((name) => existsSync(join(places.out, `shop/${name}.serviceidentity.yaml`)))
        ? heldIn(places.out)
        : undefined,
    );
    disk.fill();
    await putAll(work, "2");
    await until("an explanation", async () => (log.includes("no space left") ? true : undefined));
    expect(await heldIn(places.out)).toEqual(before);
    disk.free();
    await until("all renewed", async () => {
      const after = await heldIn(places.out);
      return NAMES.every((name) => after[name] !== before[name]) ? true : undefined;
    });
    operator.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    expect((await heldIn(places.out))["root"]).toBe(before["root"]);
    expect(leftovers(places.out, places.state)).toEqual([]);
  });

  itWithDisk("goes on while nothing can be logged, and logs again once there is space", async () => {
    await using work = await makeWorkspace();
    using disk = mountSmallDisk(join(work.dir, "disk"));
    await putAll(work, "1");
    const log = join(disk.path, "log");
    const stderr = openSync(log, "a");
    const flags = [...flagsOf(work, work), "--listen", "none"];
    const operator = spawn(process.execPath, [MAIN, ...flags], {
      stdio: ["ignore", "ignore", stderr],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    closeSync(stderr);
    const ended = finished(operator);
    const untilRenewed = (before: Readonly<Record<string, string>>): Promise<typeof before> =>
      until("all renewed", async () => {
        const after = await heldIn(work.out);
        return NAMES.every((name) => after[name] !== before[name]) ? after : undefined;
      });
    const first = await untilRenewed({});
    disk.fill();
    // The last block of the file has room left.
    expect(() => {
      for (;;) appendFileSync(log, "\n");
    }).toThrow("ENOSPC");
    await putAll(work, "2");
    const second = await untilRenewed(first);
    disk.free();
    await putAll(work, "3");
    await untilRenewed(second);
    operator.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    const lines = readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line !== "");
    expect(lines.map((line) => JSON.parse(line)).at(-1)).toMatchObject({ msg: "stopped" });
  });

  it.each([
    ["of an issuance", 0, (work: Workspace) => [...flagsOf(work, work), "--once", "--log-level", "debug"]],
    ["of a wrong usage", 2, () => ["no-such-command"]],
  ])("ends with the code %s where nothing can be said on standard error", async (_, code, argsFor) => {
    await using work = await makeWorkspace();
    await putAll(work, "1");
    const full = openSync("/dev/full", "w");
    const run = spawn(process.execPath, [MAIN, ...argsFor(work)], {
      stdio: ["ignore", "ignore", full],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    closeSync(full);
    expect((await finished(run)).code).toBe(code);
  });

  it("says so where no file may grow, and leaves what was there", async () => {
    await using work = await makeWorkspace();
    const places = { out: work.out, state: work.state };
    await putAll(work, "1");
    expect((await meshid([...flagsOf(work, places), "--once"])).code).toBe(0);
    const before = await heldIn(work.out);
    await putAll(work, "2");
    const command = ["-c", 'ulimit -f 0; exec "$0" "$@"', process.execPath, MAIN];
    const limited = finished(
      spawn("sh", [...command, ...flagsOf(work, places), "--once"], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, NODE_OPTIONS: "" },
      }),
    );
    expectExplained(await limited, work.state, "EFBIG");
    expect(await heldIn(work.out)).toEqual(before);
    expect(leftovers(work.out)).toEqual([]);
    expect((await meshid([...flagsOf(work, places), "--once"])).code).toBe(0);
    expect((await heldIn(work.out))["root"]).toBe(before["root"]);
  });
});
