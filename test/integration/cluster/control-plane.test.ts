/**
 * The control plane that the cluster suites run on: what it promises to them, and what happens where it cannot be had.
 */

import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { access, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { fetchInto } from "../../support/control-plane/programs.ts";
import { controlPlane, describeCluster } from "../../support/control-plane/shared.ts";
import { startControlPlane } from "../../support/control-plane/start.ts";
import type { ApiResponse, Completed, ControlPlane } from "../../support/control-plane/types.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN = join(ROOT, "test/support/control-plane/main.ts");
const START_LIMIT = 120_000;

let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "control-plane-test-"));
});

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Completed> {
  const child = promisify(execFile)(command, args, { cwd: ROOT, env: { ...process.env, ...env } });
  return child.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { readonly code?: unknown; readonly stdout: string; readonly stderr: string }) => ({
      code: Number(error.code),
      stdout: error.stdout,
      stderr: error.stderr,
    }),
  );
}

/** Jest on one suite, as `npm test` runs it; what it counted. */
async function runJest(suite: string, env: NodeJS.ProcessEnv): Promise<Readonly<Record<string, unknown>>> {
  const inherited = { MESHID_TEST_CONTROL_PLANE: undefined, MESHID_SKIP_CLUSTER_TESTS: undefined };
  const jest = join(ROOT, "node_modules/jest/bin/jest.js");
  const args = ["--experimental-vm-modules", jest, "--json", "--runInBand", suite];
  const { stdout } = await run(process.execPath, args, { ...inherited, ...env });
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}

async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 90_000; !(await isSo()); ) {
    if (Date.now() > end) throw new Error(`${what}: not seen`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describeCluster("the shared control plane", () => {
  let kube: ControlPlane;

  beforeAll(async () => {
    kube = await controlPlane();
  });

  it("gives every caller a namespace of its own, with its default ServiceAccount", async () => {
    const names = await Promise.all(Array.from({ length: 10 }, () => kube.makeNamespace({ a: "b" })));
    expect(new Set(names).size).toBe(10);
    const { stdout } = await kube.kubectl(["get", "sa", "default", "-n", names[9] ?? "", "-o", "name"]);
    expect(stdout).toBe("serviceaccount/default\n");
  });

  it("removes a namespace with what is in it, and what belongs to a deleted owner", async () => {
    const namespace = await kube.makeNamespace();
    const inside = (name: string): string => `/api/v1/namespaces/${namespace}/configmaps/${name}`;
    const make = (metadata: object): Promise<ApiResponse> =>
      kube.request({ method: "POST", path: inside(""), body: { metadata: { namespace, ...metadata } } });
    const { body } = await make({ name: "owner" });
    const { uid } = (body as { readonly metadata: { readonly uid: string } }).metadata;
    await make({
      name: "owned",
      ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }],
    });
    await kube.request({ method: "DELETE", path: inside("owner") });
    const isGone = async (path: string): Promise<boolean> =>
      (await kube.request({ method: "GET", path })).status === 404;
    await eventually("the owned object is collected", () => isGone(inside("owned")));
    await kube.request({ method: "DELETE", path: `/api/v1/namespaces/${namespace}` });
    await eventually("the namespace is removed", () => isGone(`/api/v1/namespaces/${namespace}`));
  });

  it("takes users at their word and gives them no rights", async () => {
    const kubeconfig = await kube.userKubeconfig("ann", ["shop"]);
    const whoami = await kube.kubectl(["auth", "whoami", "-o", "json"], { kubeconfig });
    expect(JSON.parse(whoami.stdout)).toMatchObject({
      status: { userInfo: { username: "ann", groups: ["shop", "system:authenticated"] } },
    });
    const { code, stderr } = await kube.kubectl(["get", "namespaces"], { user: "ann" });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('User "ann" cannot list') });
  });

  it("writes down who asked for what", async () => {
    const namespace = await kube.makeNamespace();
    await kube.kubectl(["get", "secrets", "-n", namespace], { user: "auditor" });
    await eventually("the request is in the audit log", async () => {
      const events = (await readFile(kube.auditLog, "utf8"))
        .split("\n")
        .filter((line) => line.includes(namespace) && line.includes('"auditor"'))
        .map((line) => JSON.parse(line) as object);
      if (events.length === 0) return false;
      expect(events).toEqual([
        expect.objectContaining({ verb: "list", responseStatus: expect.objectContaining({ code: 403 }) }),
      ]);
      return true;
    });
  });

  it("is the version that was asked for, to kubectl and helm too", async () => {
    const version = await kube.request({ method: "GET", path: "/version" });
    const { gitVersion } = version.body as { readonly gitVersion: string };
    expect(gitVersion).toMatch(/^v1\.\d+\.\d+$/);
    const minorOf = (version: string): string => version.replace(/\.\d+$/, "");
    // Not every patch is published; and a folder of one's own may have any version.
    if (!process.env["KUBEBUILDER_ASSETS"]) expect(minorOf(gitVersion)).toBe(minorOf(kube.version));
    expect((await kube.kubectl(["version"])).stderr).not.toContain("WARNING");
    expect((await kube.helm(["list", "--all-namespaces"])).code).toBe(0);
  });
});

describeCluster("a control plane of one's own", () => {
  it(
    "stands still, dies and comes back with its data, and leaves nothing when it is stopped",
    async () => {
      const own = await startControlPlane({ flags: ["--goaway-chance=0.01"] });
      try {
        const namespace = await own.makeNamespace();
        const path = `/api/v1/namespaces/${namespace}`;
        const status = async (): Promise<number> => (await own.request({ method: "GET", path })).status;
        own.pause();
        const answer = status();
        const first = await Promise.race([
          answer,
          new Promise((resolve) => setTimeout(resolve, 1000, "none")),
        ]);
        expect(first).toBe("none");
        own.resume();
        expect(await answer).toBe(200);

        await own.kill();
        await expect(status()).rejects.toThrow(/ECONNREFUSED|socket hang up|ECONNRESET/);
        await own.restart();
        expect(await status()).toBe(200);
        const commandLine = await readFile(`/proc/${own.pid("kube-apiserver")}/cmdline`, "utf8").catch(
          () => "",
        );
        if (commandLine !== "") expect(commandLine).toContain("--goaway-chance=0.01");
      } finally {
        const etcd = own.pid("etcd");
        await own.stop();
        expect(existsSync(own.dir)).toBe(false);
        await eventually("etcd has ended", () => !isAlive(etcd));
      }
    },
    START_LIMIT,
  );

  it(
    "ends with the process that started it, however that ends",
    async () => {
      const script = `import { startControlPlane } from ${JSON.stringify(join(ROOT, "test/support/control-plane/start.ts"))};
        const own = await startControlPlane();
        console.log(JSON.stringify({ dir: own.dir, pids: ["etcd", "kube-apiserver", "kube-controller-manager"].map(own.pid) }));
        setInterval(() => {}, 1000);`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout.once("data", (chunk) => resolve(String(chunk)));
        child.once("exit", (code) => reject(new Error(`ended with ${code}`)));
      });
      const { dir, pids } = JSON.parse(line) as { readonly dir: string; readonly pids: readonly number[] };
      expect(pids.map(isAlive)).toEqual([true, true, true]);
      child.kill("SIGKILL");
      await eventually("all have ended", () => !pids.some(isAlive) && !existsSync(dir));
    },
    START_LIMIT,
  );
});

describeCluster("hack/control-plane", () => {
  const hack = (...args: readonly string[]): Promise<Completed> =>
    run("sh", [join(ROOT, "hack/control-plane"), ...args, "--dir", join(scratch, "hack")]);

  it(
    "starts one that kubectl reaches by what env prints, once, and stops it",
    async () => {
      const started = await hack("start");
      try {
        expect(started).toMatchObject({ code: 0 });
        expect(await hack("env")).toEqual(started);
        const asked = await run("sh", ["-c", `${started.stdout}kubectl get namespace default -o name`]);
        expect(asked).toMatchObject({ code: 0, stdout: "namespace/default\n" });
        const second = await hack("start");
        expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining("hack/control-plane stop") });
      } finally {
        expect(await hack("stop")).toEqual({ code: 0, stdout: "", stderr: "" });
      }
      expect(existsSync(join(scratch, "hack"))).toBe(false);
      expect(await hack("env")).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("hack/control-plane start starts one"),
      });
    },
    START_LIMIT,
  );
});

describe("where there is no control plane", () => {
  it("says what was tried and what to do", async () => {
    // No release of this number is published, and there is no Go: the roads are closed with or without a network.
    const nowhere = { PATH: scratch, KUBEBUILDER_ASSETS: "", XDG_CACHE_HOME: join(scratch, "cache") };
    const args = [MAIN, "start", "--version", "v1.0.99", "--dir", join(scratch, "none")];
    const { code, stderr } = await run(process.execPath, args, nowhere);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /no etcd, kube-apiserver, kube-controller-manager, kubectl, helm in \S+kubernetes-v1\.0\.99/,
    );
    expect(stderr).toMatch(
      /official archives: https:\/\/\S+: [^\n]*\n *build from Go modules: go is not installed/,
    );
    expect(stderr).toMatch(/KUBEBUILDER_ASSETS;.*github\.com.*\n.*Go 1\.26.*MESHID_SKIP_CLUSTER_TESTS=1/);
  });

  it("fails every suite that needs one, with the reason", async () => {
    const assets = join(scratch, "broken");
    await mkdir(assets);
    const programs = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"];
    await Promise.all(programs.map((name) => symlink("/bin/false", join(assets, name))));
    const counted = await runJest("test/integration/cluster/crds.test.ts", { KUBEBUILDER_ASSETS: assets });
    expect(counted).toMatchObject({ success: false, numPassedTests: 0, numPendingTests: 0 });
    expect(counted["numFailedTests"]).toBeGreaterThan(100);
    expect(JSON.stringify(counted["testResults"])).toContain("etcd: ended");
  });

  it("skips them only when told to, and counts them", async () => {
    const counted = await runJest("test/integration/cluster/crds.test.ts", {
      KUBEBUILDER_ASSETS: scratch,
      MESHID_SKIP_CLUSTER_TESTS: "1",
    });
    expect(counted).toMatchObject({ success: true, numFailedTests: 0, numPassedTests: 0 });
    expect(counted["numPendingTests"]).toBeGreaterThan(100);
  });
});

describe("an official archive", () => {
  const sha512 = (bytes: Buffer): string => `sha512:${createHash("sha512").update(bytes).digest("hex")}`;

  /** A server of one archive with a program in it. */
  const serveArchive = async (): Promise<{
    readonly url: string;
    readonly bytes: Buffer;
    readonly close: () => void;
  }> => {
    const dir = await mkdtemp(join(scratch, "archive-"));
    await mkdir(join(dir, "envtest"));
    await writeFile(join(dir, "envtest/etcd"), "#!/bin/sh\n");
    await promisify(execFile)("tar", ["-czf", join(dir, "a.tar.gz"), "-C", dir, "envtest"]);
    const bytes = await readFile(join(dir, "a.tar.gz"));
    const server = createServer((request, response) => {
      if (request.url === "/a.tar.gz") response.end(bytes);
      else if (request.url === "/a.tar.gz.sha512") response.end(`${sha512(bytes).slice(7)}  a.tar.gz\n`);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.tar.gz`;
    return { url, bytes, close: () => void server.close() };
  };

  it.each([
    ["the pinned checksum", (bytes: Buffer) => sha512(bytes)],
    ["the checksum published beside it", () => undefined],
  ])("is taken with %s, and its programs can be run", async (_name, checksumOf) => {
    const { url, bytes, close } = await serveArchive();
    const cache = await mkdtemp(join(scratch, "cache-"));
    const checksum = checksumOf(bytes);
    await fetchInto(cache, { url, programs: ["etcd"], pathOf: (name) => `envtest/${name}`, checksum }, [
      "etcd",
    ]);
    close();
    expect(await readdir(cache)).toEqual(["etcd"]);
    await access(join(cache, "etcd"), 1);
  });

  it("with another checksum is refused, and nothing of it stays", async () => {
    const { url, close } = await serveArchive();
    const cache = await mkdtemp(join(scratch, "cache-"));
    const checksum = sha512(Buffer.from("another"));
    const fetched = fetchInto(
      cache,
      { url, programs: ["etcd"], pathOf: (name) => `envtest/${name}`, checksum },
      ["etcd"],
    );
    await expect(fetched).rejects.toThrow(/^checksum sha512:[0-9a-f]{128}, expected sha512:[0-9a-f]{128}$/);
    close();
    expect(await readdir(cache)).toEqual([]);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
