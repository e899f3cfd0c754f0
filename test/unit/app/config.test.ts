import { resolve } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { parseAddress } from "../../../src/app/address.ts";
import { parseArguments } from "../../../src/app/arguments.ts";
import { type LocalConfig, parseLocalConfig } from "../../../src/app/config.ts";
import { OperatorError } from "../../../src/core/errors.ts";

const REQUIRED = ["--identities", "in", "--out", "out"];

function config(args: readonly string[], env: Readonly<Record<string, string>> = {}): LocalConfig {
  return parseLocalConfig(parseArguments(["local", ...args], env).options, { isErrorTTY: false });
}

function problems(args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  try {
    config(args, env);
    return "";
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    expect(error.code).toBe("INVALID_CONFIGURATION");
    return error.message;
  }
}

describe("parseLocalConfig", () => {
  it("fills in every default", () => {
    expect(config(REQUIRED)).toEqual({
      identities: resolve("in"),
      out: resolve("out"),
      state: resolve("out/.meshid"),
      trustDomain: undefined,
      clusterDomain: "cluster.local",
      listen: { host: "127.0.0.1", port: 8443 },
      probes: undefined,
      group: undefined,
      onRenew: undefined,
      once: false,
      workers: 4,
      logLevel: "info",
      logFormat: "json",
    });
  });

  it("is frozen", () => {
    expect(Object.isFrozen(config(REQUIRED))).toBe(true);
  });

  it("reads every option", () => {
    const args = [
      "--state",
      "s",
      "--trust-domain",
      "example.org",
      "--cluster-domain",
      "k8s.example",
      "--listen",
      "[::1]:9443",
    ];
    const more = [
      "--probes",
      ":8081",
      "--group",
      "web",
      "--on-renew",
      "systemctl reload x",
      "--workers",
      "3",
    ];
    expect(
      config([...REQUIRED, ...args, ...more, "--log-level", "debug", "--log-format", "pretty"]),
    ).toMatchObject({
      state: resolve("s"),
      trustDomain: "example.org",
      clusterDomain: "k8s.example",
      listen: { host: "::1", port: 9443 },
      probes: { host: "::", port: 8081 },
      group: "web",
      onRenew: "systemctl reload x",
      workers: 3,
      logLevel: "debug",
      logFormat: "pretty",
    });
  });

  it.each([["--listen none"], ["--no-listen"], ["--listen=none"], ["--once"]])(
    "listens nowhere with %s",
    (flags) => {
      expect(config([...REQUIRED, ...flags.split(" ")]).listen).toBeUndefined();
    },
  );

  it("takes a variable where the flag is absent, and the flag where both are there", () => {
    const env = {
      MESHID_IDENTITIES: "env-in",
      MESHID_OUT: "env-out",
      MESHID_ONCE: "true",
      MESHID_WORKERS: "",
    };
    expect(config(["--out", "flag-out"], env)).toMatchObject({
      identities: resolve("env-in"),
      out: resolve("flag-out"),
      once: true,
      workers: 4,
    });
  });

  it("lists every problem at once", () => {
    const lines = problems([
      "--out",
      "out",
      "--listen",
      "nowhere",
      "--workers",
      "0",
      "--log-level",
      "loud",
    ]).split("\n");
    expect(lines).toEqual([
      "4 problems:",
      "  --identities: is missing; expected a directory of ServiceIdentity files (--identities DIR or MESHID_IDENTITIES)",
      '  --listen: "nowhere" is not usable; expected HOST:PORT such as 127.0.0.1:8443, [::1]:8443 or :8443, or none',
      '  --workers: "0" is not usable; expected a whole number from 1 to 64',
      '  --log-level: "loud" is not usable; expected one of error, warn, info, debug',
    ]);
  });

  it.each<[string, string[], RegExp]>([
    [
      "a trust domain in upper case",
      ["--trust-domain", "Example.org"],
      /^--trust-domain: "Example\.org" is not a trust domain; expected a name/,
    ],
    [
      "a cluster domain that is no DNS name",
      ["--cluster-domain", "a_b"],
      /^--cluster-domain: "a_b".*DNS name/,
    ],
    ["a group that is no name", ["--group", "a b"], /^--group: "a b"/],
    ["an empty command", ["--on-renew", " "], /^--on-renew/],
    [
      "a listener that nobody could use",
      ["--once", "--listen", ":1"],
      /^--listen: cannot be used with --once/,
    ],
    ["two servers on one address", ["--probes", "127.0.0.1:8443"], /^--probes: is the address of --listen/],
    [
      "two servers on one port of all addresses",
      ["--probes", ":8443"],
      /^--probes: is the address of --listen/,
    ],
    ["outputs among the input", ["--out", "in/out"], /^--out: .* lies in --identities/],
    ["the input among the outputs", ["--out", "."], /^--out: .* holds --identities/],
    ["keys among the input", ["--state", "in/s"], /^--state: .* lies in --identities/],
    ["keys where the outputs are", ["--state", "out"], /^--state: is the same directory as --out/],
  ])("refuses %s", (_, args, message) => {
    expect(problems([...REQUIRED, ...args])).toMatch(message);
  });

  it("names the variable when that is where the value came from", () => {
    expect(problems(REQUIRED, { MESHID_LISTEN: "nowhere" })).toMatch(/^MESHID_LISTEN: "nowhere"/);
    expect(problems(REQUIRED, { MESHID_ONCE: "maybe" })).toMatch(
      /^MESHID_ONCE: "maybe" is not usable; expected true or false/,
    );
  });
});

describe("parseAddress", () => {
  it.each([
    ["127.0.0.1:8443", { host: "127.0.0.1", port: 8443 }],
    ["[::1]:8443", { host: "::1", port: 8443 }],
    [":8443", { host: "::", port: 8443 }],
    ["localhost:0", { host: "localhost", port: 0 }],
  ])("reads %s", (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  it.each([
    "",
    "8443",
    "::1:8443",
    "[::1]",
    "[]:1",
    "[localhost]:1",
    "a:65536",
    "a:-1",
    "a:1 ",
    "300.1.1.1:1",
    "127.0.0:1",
    "a b:1",
    "-a:1",
    "a:b:1",
  ])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});
