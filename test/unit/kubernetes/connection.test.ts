import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { type Connection, connect } from "../../../src/kubernetes/connection.ts";
import { scratch } from "../../support/directory.ts";
import { codeOf } from "../../support/errors.ts";

const POD = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };
const monotonic = (): number => 0;

describe("connect in a pod", () => {
  const pod = (dir: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(dir, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  };
  const FILES = { "ca.crt": "ca-1", token: "token-1\n", namespace: "meshid-system" };

  it("takes server, namespace, authority and token from where every pod has them", async () => {
    using box = scratch();
    pod(box.dir, FILES);
    const connection = await connect({ env: POD, monotonic, podDirectory: box.dir });
    expect([connection.server.href, connection.namespace]).toEqual(["https://10.0.0.1/", "meshid-system"]);
    const { ca, cert, isInsecure, bearer } = await connection.credentials(false);
    expect({ ca, cert, isInsecure, token: bearer?.reveal() }).toEqual({
      ca: "ca-1",
      cert: undefined,
      isInsecure: false,
      token: "token-1",
    });
  });

  it("knows an IPv6 address and another port", async () => {
    using box = scratch();
    pod(box.dir, FILES);
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    expect((await connect({ env, monotonic, podDirectory: box.dir })).server.host).toBe("[fd00::1]:6443");
  });

  it("reads the files again every half minute, and at once when the server refuses the token", async () => {
    using box = scratch();
    pod(box.dir, FILES);
    let now = 0;
    const connection = await connect({ env: POD, monotonic: () => now, podDirectory: box.dir });
    const seen = async (isRejected = false): Promise<readonly unknown[]> => {
      const { id, ca, bearer } = await connection.credentials(isRejected);
      return [id, ca, bearer?.reveal()];
    };
    const [first] = await seen();
    pod(box.dir, { token: "token-2" });
    now = 30_000;
    expect(await seen()).toEqual([first, "ca-1", "token-1"]);
    now = 30_001;
    // Another token is no reason for other connections.
    expect(await seen()).toEqual([first, "ca-1", "token-2"]);
    pod(box.dir, { token: "token-3", "ca.crt": "ca-2" });
    const [second, ...rest] = await seen(true);
    expect(rest).toEqual(["ca-2", "token-3"]);
    expect(second).not.toBe(first);
  });

  it("stays with what it has read while the files cannot be read, and looks again later", async () => {
    using box = scratch();
    pod(box.dir, FILES);
    let now = 0;
    const connection = await connect({ env: POD, monotonic: () => now, podDirectory: box.dir });
    await connection.credentials(false);
    rmSync(join(box.dir, "token"));
    now = 40_000;
    expect((await connection.credentials(false)).bearer?.reveal()).toBe("token-1");
    pod(box.dir, { token: "token-2" });
    now = 80_000;
    expect((await connection.credentials(false)).bearer?.reveal()).toBe("token-2");
  });

  it("says what is missing where a pod has no ServiceAccount", async () => {
    using box = scratch();
    const attempt = connect({ env: POD, monotonic, podDirectory: box.dir });
    await expect(attempt).rejects.toMatchObject({
      code: "INVALID_CONFIGURATION",
      message: expect.stringContaining("automountServiceAccountToken"),
    });
  });
});

describe("connect by a kubeconfig", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  interface Parts {
    readonly cluster?: object;
    readonly user?: object;
    readonly context?: object;
    readonly current?: string;
  }
  const kubeconfigOf = ({ cluster, user, context, current = "here" }: Parts): string =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: "https://api.example.org:6443", ...cluster } }],
      users: [{ name: "u", user: user ?? { token: "token-1" } }],
      contexts: [{ name: "here", context: { cluster: "c", user: "u", ...context } }],
      "current-context": current,
    });
  const open = async (dir: string, parts: Parts, context?: string): Promise<Connection> => {
    const kubeconfig = join(dir, "kubeconfig");
    writeFileSync(kubeconfig, kubeconfigOf(parts));
    return connect({ env: POD, kubeconfig, context, monotonic });
  };

  it("prefers it to the pod, and takes what is in it", async () => {
    using box = scratch();
    const cluster = { "certificate-authority-data": base64("ca"), "tls-server-name": "kubernetes" };
    const user = {
      "client-certificate-data": base64("cert"),
      "client-key-data": base64("key"),
      as: "someone",
    };
    const connection = await open(box.dir, { cluster, user, context: { namespace: "shop" } });
    expect([connection.server.href, connection.namespace]).toEqual(["https://api.example.org:6443/", "shop"]);
    const { key, ...rest } = await connection.credentials(false);
    expect(rest).toMatchObject({ ca: "ca", cert: "cert", servername: "kubernetes", impersonate: "someone" });
    expect(key?.reveal()).toBe("key");
    expect(rest.bearer).toBeUndefined();
  });

  it("reads the files that it names again", async () => {
    using box = scratch();
    const ca = join(box.dir, "ca.crt");
    writeFileSync(ca, "ca-1");
    let now = 0;
    const kubeconfig = join(box.dir, "kubeconfig");
    writeFileSync(kubeconfig, kubeconfigOf({ cluster: { "certificate-authority": ca } }));
    const connection = await connect({ env: {}, kubeconfig, monotonic: () => now });
    expect((await connection.credentials(false)).ca).toBe("ca-1");
    writeFileSync(ca, "ca-2");
    now = 31_000;
    expect((await connection.credentials(false)).ca).toBe("ca-2");
  });

  it("takes a token from the file that it names, and anew when the server refuses it", async () => {
    using box = scratch();
    writeFileSync(join(box.dir, "token"), "token-1\n");
    const connection = await open(box.dir, { user: { tokenFile: "token" } });
    expect((await connection.credentials(false)).bearer?.reveal()).toBe("token-1");
    writeFileSync(join(box.dir, "token"), "token-2\n");
    expect((await connection.credentials(true)).bearer?.reveal()).toBe("token-2");
  });

  it("merges the files of KUBECONFIG, the first one counts", async () => {
    using box = scratch();
    const files = ["one", "two"].map((name) => join(box.dir, name));
    writeFileSync(files[0]!, kubeconfigOf({ context: { namespace: "one" } }));
    const second = { cluster: { server: "https://other.example.org" }, context: { namespace: "two" } };
    writeFileSync(files[1]!, kubeconfigOf(second).replaceAll('"here"', '"there"').replaceAll('"c"', '"c2"'));
    const env = { KUBECONFIG: files.join(":") };
    expect((await connect({ env, monotonic })).namespace).toBe("one");
    const there = await connect({ env, context: "there", monotonic });
    expect([there.server.host, there.namespace]).toEqual(["other.example.org", "two"]);
  });

  it.each([
    ["a file that is not there", undefined, undefined, "cannot be read"],
    ["a context that is not there", {}, "elsewhere", "has no context elsewhere"],
    ["no current context", { current: "" }, undefined, "has no current context"],
    [
      "a server without TLS",
      { cluster: { server: "http://api.example.org" } },
      undefined,
      "not an https:// address",
    ],
    ["a proxy", { cluster: { "proxy-url": "http://proxy.example.org" } }, undefined, "names a proxy"],
  ])("refuses %s", async (_, parts, context, message) => {
    using box = scratch();
    const attempt =
      parts === undefined
        ? connect({ env: {}, kubeconfig: join(box.dir, "none"), monotonic })
        : open(box.dir, parts, context);
    await expect(attempt).rejects.toMatchObject({
      code: "INVALID_CONFIGURATION",
      message: expect.stringContaining(message),
    });
  });

  const exec = (script: string): object => ({
    exec: {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "sh",
      args: ["-c", script],
      interactiveMode: "Never",
    },
  });
  const untilThere = async (path: string): Promise<void> => {
    for (let turns = 0; !existsSync(path) && turns < 6000; turns++)
      await new Promise((resolve) => setTimeout(resolve, 10));
  };
  /** A script that says who to be. */
  const giving = (token: string): string =>
    `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"${token}"}}'`;

  it("starts one plugin for all who ask at the same time, and one more for all whose token was refused", async () => {
    using box = scratch();
    const log = join(box.dir, "log");
    const user = exec(`echo started >> ${log}; ${giving("token-1")}`);
    const connection = await open(box.dir, { user });
    const ask = async (isRejected: boolean): Promise<ReadonlySet<string | undefined>> => {
      const asked = Array.from({ length: 10 }, () => connection.credentials(isRejected));
      return new Set((await Promise.all(asked)).map(({ bearer }) => bearer?.reveal()));
    };
    const starts = (): number => readFileSync(log, "utf8").trim().split("\n").length;
    expect([await ask(false), starts()]).toEqual([new Set(["token-1"]), 1]);
    expect([await ask(true), starts()]).toEqual([new Set(["token-1"]), 2]);
  });

  it("takes no answer of a plugin that was started before the token was refused", async () => {
    using box = scratch();
    const [token, begun, go] = ["token", "begun", "go"].map((name) => join(box.dir, name));
    writeFileSync(token!, "token-1");
    const wait = `touch ${begun}; until [ -e ${go} ]; do sleep 0.05; done`;
    const connection = await open(box.dir, {
      user: exec(`token=$(cat ${token}); ${wait}; ${giving("'$token'")}`),
    });
    const first = connection.credentials(false);
    await untilThere(begun!);
    writeFileSync(token!, "token-2");
    const second = connection.credentials(true);
    writeFileSync(go!, "");
    expect((await second).bearer?.reveal()).toBe("token-2");
    await first;
  });

  it("asks anew for who comes a minute after a plugin that hangs, whatever that one says in the end", async () => {
    using box = scratch();
    const [begun, end] = ["begun", "end"].map((name) => join(box.dir, name));
    const hang = `until [ -e ${end} ]; do sleep 0.05; done; ${giving("late")}`;
    const kubeconfig = join(box.dir, "kubeconfig");
    const user = exec(`if mkdir ${begun} 2>/dev/null; then ${hang}; else ${giving("token-1")}; fi`);
    writeFileSync(kubeconfig, kubeconfigOf({ user }));
    let now = 0;
    const connection = await connect({ env: {}, kubeconfig, monotonic: () => now });
    const first = connection.credentials(false);
    await untilThere(begun!);
    now = 60_001;
    const token = async (asked: ReturnType<Connection["credentials"]>): Promise<string | undefined> =>
      (await asked).bearer?.reveal();
    expect(await token(connection.credentials(false))).toBe("token-1");
    writeFileSync(end!, "");
    expect(await token(first)).toBe("token-1");
    expect(await token(connection.credentials(false))).toBe("token-1");
  });

  it("can be tried again where a plugin fails, and shows nothing of what it printed", async () => {
    using box = scratch();
    const garbled = await open(box.dir, { user: exec("echo eyJhbGciOiJFUzI1NiJ9.secret") });
    const failed = await open(box.dir, { user: exec("echo no login >&2; exit 1") });
    expect(await codeOf(garbled.credentials(false))).toBe("STORAGE_FAILED");
    const errors = await Promise.all(
      [garbled, failed].map((one) => one.credentials(false).catch((error: unknown) => error)),
    );
    expect(inspect(errors, { depth: 9, showHidden: true })).not.toContain("eyJhbGci");
    expect(errors[1]).toMatchObject({ retryable: true, message: expect.stringContaining("no login") });
  });
});
