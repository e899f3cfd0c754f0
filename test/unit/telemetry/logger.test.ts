import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { OperatorError } from "../../../src/core/errors.ts";
import { Secret } from "../../../src/core/secret.ts";
import type { LogFields } from "../../../src/telemetry/fields.ts";
import { createLogger, serializeError } from "../../../src/telemetry/logger.ts";
import { scratch } from "../../support/directory.ts";
import { mayMount, mountSmallDisk } from "../../support/small-disk.ts";
import { recordingLogger } from "../../support/telemetry/records.ts";

const itWithDisk = mayMount() ? it : it.skip;

describe("createLogger", () => {
  it("writes one JSON object a line: level, time, the fields of its parents, its own, the message", () => {
    const { logger, lines } = recordingLogger();
    logger.child({ component: "controller" }).info({ serviceIdentity: "shop/payments" }, "reconciled");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\{"level":"info","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","component":"controller","serviceIdentity":"shop\/payments","msg":"reconciled"\}\n$/,
    );
  });

  it.each([
    ["error", ["error"]],
    ["warn", ["error", "warn"]],
    ["info", ["error", "warn", "info"]],
    ["debug", ["error", "warn", "info", "debug"]],
  ] as const)("at level %s writes %j", (level, expected) => {
    const { logger, records } = recordingLogger({ level });
    for (const one of ["error", "warn", "info", "debug"] as const) logger[one]({}, "x");
    expect(records().map((record) => record["level"])).toEqual(expected);
  });

  it("lets a child have a level of its own", () => {
    const { logger, records } = recordingLogger({ level: "error" });
    logger.child({ component: "audit" }, { level: "info" }).info({}, "kept");
    logger.info({}, "dropped");
    expect(records().map((record) => record["msg"])).toEqual(["kept"]);
  });

  it("writes to standard error before it returns, and nothing to standard output", () => {
    const script =
      'const { createLogger } = await import("./src/telemetry/logger.ts");' +
      'createLogger({ level: "info", format: "json" }).info({}, "last words"); process.kill(process.pid, "SIGKILL");';
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(child.signal).toBe("SIGKILL");
    expect(child.stderr).toContain('"msg":"last words"');
    expect(child.stdout).toBe("");
  });

  /** Runs `script` with a `logger` whose standard error is `stderr`; what it prints. */
  const logTo = (stderr: number, script: string): string => {
    const setup =
      'const { createLogger } = await import("./src/telemetry/logger.ts");' +
      'const logger = createLogger({ level: "info", format: "json" });';
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", setup + script], {
      stdio: ["ignore", "pipe", stderr],
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    return `${child.stdout}${child.signal ?? child.status}`;
  };

  it("does not fail where nothing can be written", () => {
    const full = openSync("/dev/full", "w");
    const script =
      'for (let line = 0; line < 10_000; line++) logger.info({}, "x"); process.stdout.write("on:");';
    expect(logTo(full, script)).toBe("on:0");
    closeSync(full);
  });

  itWithDisk("keeps some of the lines for which there is no space, and logs again once there is", () => {
    using place = scratch();
    using disk = mountSmallDisk(join(place.dir, "disk"));
    const log = openSync(join(disk.path, "log"), "a");
    disk.fill();
    const script = `
      for (let line = 0; line < 10_000; line++) logger.info({ line }, "lost or kept");
      (await import("node:fs")).rmSync(${JSON.stringify(join(disk.path, "ballast"))});
      for (const last of ["first", "next"]) logger.info({ reason: "there is space again" }, last);`;
    expect(logTo(log, script)).toBe("0");
    closeSync(log);
    const lines = readFileSync(join(disk.path, "log"), "utf8").trim().split("\n");
    expect(lines.length).toBeGreaterThan(1000);
    expect(lines.length).toBeLessThan(5000);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ line: 0 });
    const records = lines.map(
      (line) => JSON.parse(line) as { readonly msg: string; readonly count?: number },
    );
    expect(records.map(({ msg }) => msg)).toContain("next");
    const told = records.filter(({ count }) => count !== undefined);
    expect(told).toMatchObject([{ level: "warn", count: 10_002 - (lines.length - 1) }]);
  });

  it("formats for a person when asked to", () => {
    const { logger, lines } = recordingLogger({ format: "pretty" });
    logger.info({ reason: "RenewalDue" }, "issued");
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d INFO {2}issued {2}reason=RenewalDue\n$/);
  });
});

const KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAcanary\n-----END PRIVATE KEY-----\n";
const TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5";
/** What the types forbid but a mistake could still do. */
const mistake = (fields: Record<string, unknown>): LogFields => fields;

describe("the log", () => {
  it.each<[string, LogFields, string]>([
    ["a field named as a secret", mistake({ token: "canary" }), "x"],
    ["one within an object", mistake({ spec: { password: "canary", privateKey: "canary" } }), "x"],
    ["a Secret", mistake({ reason: new Secret("canary") }), "x"],
    ["a private key in the message", {}, `reading ${KEY}`],
    ["a private key that is cut off", {}, KEY.slice(0, 40)],
    ["an EC private key in a field", { explanation: KEY.replaceAll("PRIVATE", "EC PRIVATE") }, "x"],
    ["a private key in an error", { err: new Error(`bad ${KEY}`) }, "x"],
    [
      "a private key in the cause of a cause",
      { err: new Error("a", { cause: new Error("b", { cause: new Error(KEY) }) }) },
      "x",
    ],
    [
      "a token in an error's details",
      { err: new OperatorError("NOT_FOUND", "x", { details: { token: TOKEN } }) },
      "x",
    ],
    ["a token in a message", {}, `Bearer ${TOKEN}`],
  ])("never holds %s", (_what, fields, message) => {
    for (const format of ["json", "pretty"] as const) {
      for (const level of ["info", "debug"] as const) {
        const { logger, lines } = recordingLogger({ format, level });
        logger.info(fields, message);
        if (format === "json") expect(lines.join("")).toMatch(/redacted/);
        expect(lines.join("")).not.toMatch(/canary|MIGH|eyJ/);
      }
    }
  });

  it("stays valid JSON when a key was taken out", () => {
    const { logger, records } = recordingLogger();
    logger.info({ explanation: `before "${KEY}" after` }, `said "${KEY.slice(0, 40)}"`);
    expect(records()[0]).toMatchObject({ explanation: 'before "[redacted private key]\n" after' });
  });
});

describe("serializeError", () => {
  const error = new OperatorError("STORAGE_FAILED", "writing shop/payments-tls", {
    cause: new Error("renaming", { cause: new Error("no space left") }),
    details: { path: "out" },
  });

  it("tells code, message, details and causes of an OperatorError, without a stack", () => {
    expect(serializeError(error, false)).toEqual({
      code: "STORAGE_FAILED",
      message: "writing shop/payments-tls",
      details: { path: "out" },
      cause: "renaming: no space left",
    });
  });

  it("adds the stack where it is asked for", () => {
    expect(serializeError(error, true)["stack"]).toContain("logger.test");
  });

  it.each([
    ["text", { message: "text" }],
    [undefined, { message: "undefined" }],
    [Object.create(null), { message: "[object]" }],
  ])("takes %p, which is no error", (thrown, expected) => {
    expect(serializeError(thrown, true)).toEqual(expected);
  });

  it("ends when errors cause each other in a ring", () => {
    const ring = new Error("a");
    ring.cause = ring;
    expect(String(serializeError(ring, false)["cause"]).length).toBeLessThan(50);
  });
});

it("writes the stack at level debug only", () => {
  const [quiet, loud] = [recordingLogger(), recordingLogger({ level: "debug" })];
  for (const { logger } of [quiet, loud]) logger.error({ err: new Error("broken") }, "failed");
  expect([quiet, loud].map(({ lines }) => lines.join("").includes("logger.test"))).toEqual([false, true]);
});

it("is made without writing anything", () => {
  const lines: string[] = [];
  createLogger({ level: "debug", format: "pretty", write: (line) => void lines.push(line) });
  expect(lines).toEqual([]);
});
