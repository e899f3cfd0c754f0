import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { COMMANDS } from "../../../src/app/command-table.ts";
import { bashScript, zshScript } from "../../../src/app/commands/completion.ts";
import { LOADERS } from "../../../src/app/loaders.ts";
import { COMMON_OPTIONS } from "../../../src/app/options.ts";
import { cli } from "../../support/cli.ts";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const NAMES = COMMANDS.map(({ name }) => name);

describe("the commands", () => {
  it("are these", () => {
    expect([...NAMES].sort()).toEqual([
      "backup",
      "bootstrap",
      "completion",
      "controller",
      "doctor",
      "inspect",
      "local",
      "renew",
      "restore",
      "rotate",
      "status",
      "verify",
      "version",
    ]);
    expect(Object.keys(LOADERS).sort()).toEqual([...NAMES].sort());
  });

  it.each(COMMANDS.map((command) => [command.name, command] as const))(
    "%s has help with two examples and every flag",
    async (name, command) => {
      const { code, stdout } = await cli([name, "--help"]);
      expect(code).toBe(0);
      expect(command.examples.length).toBeGreaterThanOrEqual(2);
      for (const [example] of command.examples) expect(stdout).toContain(example);
      for (const option of [...command.options, ...COMMON_OPTIONS]) {
        expect(stdout).toContain(`--${option.name}`);
        // Known to every program that asks a cluster.
        if (option.env !== undefined && option.env !== "KUBECONFIG")
          expect(option.env).toBe(`MESHID_${option.name.toUpperCase().replaceAll("-", "_")}`);
        expect(option.effect).toMatch(/\.$/);
      }
    },
  );

  it("gives the same help by `help NAME`", async () => {
    expect(await cli(["help", "verify"])).toEqual(await cli(["verify", "-h"]));
  });
});

describe("wrong usage", () => {
  it.each<[string, string[], string]>([
    ["no command", [], "Usage: meshid COMMAND"],
    ["an unknown command", ["verfy"], '"verfy" is not a command; expected one of'],
    ["a slip in a command", ["verfy"], "did you mean verify?"],
    ["help on an unknown command", ["verfy", "--help"], "is not a command"],
    [
      "an unknown flag",
      ["version", "--foo"],
      "--foo: is not a flag of this command; expected one of --output",
    ],
    [
      "a slip in a flag",
      ["version", "--ouput", "json"],
      "--ouput: is not a flag of this command; did you mean --output?",
    ],
    ["an unknown short flag", ["version", "-z"], "-z: is not a flag"],
    ["a flag in camel case", ["local", "--trustDomain", "a"], "--trustDomain: is not a flag"],
    ["a negation of what cannot be negated", ["version", "--no-output"], "--no-output: is not a flag"],
    [
      "a flag without its value",
      ["version", "--output"],
      "--output: needs a value; expected --output FORMAT",
    ],
    [
      "a value outside the list",
      ["version", "-o", "xml"],
      '--output: "xml" is not usable; expected one of table, json, yaml',
    ],
    ["a log level outside the list", ["version", "--log-level", "loud"], '--log-level: "loud" is not usable'],
    ["a missing argument", ["rotate"], "KIND: is missing; expected one of root, issuing, jwt"],
    [
      "an argument outside the list",
      ["rotate", "rot"],
      'KIND: "rot" is not usable; expected one of root, issuing, jwt',
    ],
    ["an argument too many", ["version", "x"], '"x": one argument too many; expected none'],
    ["a flag that would steer the terminal", ["version", "--\u001B[2J"], "\\u001b[2J"],
  ])("with %s ends with 2 and says so", async (_, args, message) => {
    const { code, stdout, stderr } = await cli(args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(stdout).toBe("");
  });

  it("names the variable that holds a bad value", async () => {
    const { code, stderr } = await cli(["version"], { env: { MESHID_OUTPUT: "xml" } });
    expect(stderr).toContain('MESHID_OUTPUT: "xml" is not usable');
    expect(code).toBe(2);
  });

  it("lists all that is wrong at once", async () => {
    const { stderr } = await cli(["rotate", "rot", "x", "--foo", "--state"]);
    expect(stderr).toContain("4 problems:");
  });

  it("shows a stack only at level debug", async () => {
    const quiet = await cli(["inspect", "/nowhere/at/all"]);
    const debug = await cli(["inspect", "/nowhere/at/all", "--log-level", "debug"]);
    expect(quiet.stderr).toBe("meshid inspect: /nowhere/at/all: there is no such file or directory\n");
    expect(debug.stderr).toMatch(/^\s+at /m);
  });
});

describe("the process", () => {
  const run = (...args: readonly string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });

  it("answers on standard output and ends with 0", () => {
    const { status, stdout, stderr } = run("version");
    expect(stdout).toMatch(/^meshid \d+\.\d+\.\d+ \(Node 24\.\d+\.\d+, /);
    expect([status, stderr]).toEqual([0, ""]);
  });

  it("complains on standard error and ends with 2", () => {
    const { status, stdout, stderr } = run("inspect");
    expect(stderr).toContain("FILE: is missing");
    expect([status, stdout]).toEqual([2, ""]);
  });

  it("reads standard input", () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "inspect", "-"], {
      encoding: "utf8",
      input: "hello",
    });
    expect(stderr).toContain("it is text of no form that meshid knows");
    expect(status).toBe(2);
  });

  it("loads no library of another command", () => {
    const script = `process.on("exit", () => console.log(JSON.stringify(process.moduleLoadList.filter((name) => /sqlite|tls|https/.test(name)))));`;
    const { stdout } = spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(script)}`, MAIN, "version"],
      { encoding: "utf8" },
    );
    expect(stdout.trim().split("\n").at(-1)).toBe("[]");
  });
});

describe("completion", () => {
  /** What bash offers for the last word. */
  function complete(...words: readonly string[]): readonly string[] {
    const script = `${bashScript()}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _meshid; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
    expect(stderr).toBe("");
    return stdout.trim().split("\n");
  }

  it("offers commands, flags and values in bash", () => {
    expect(complete("meshid", "")).toEqual(expect.arrayContaining([...NAMES]));
    expect(complete("meshid", "ro")).toEqual(["rotate"]);
    expect(complete("meshid", "verify", "--sp")).toEqual(["--spiffe-id"]);
    expect(complete("meshid", "status", "--output", "")).toEqual(["table", "wide", "json", "yaml"]);
    expect(complete("meshid", "status", "-o", "j")).toEqual(["json"]);
    expect(complete("meshid", "rotate", "")).toEqual(["root", "issuing", "jwt"]);
    expect(complete("meshid", "local", "--log-level", "d")).toEqual(["debug"]);
    // The shell itself cuts at "=".
    expect(complete("meshid", "status", "--output", "=")).toEqual(["table", "wide", "json", "yaml"]);
    expect(complete("meshid", "status", "--output", "=", "j")).toEqual(["json"]);
    expect(complete("meshid", "local", "--out", "=", "sr")).toEqual(["src"]);
  });

  it("keeps a file name with a space in one piece in bash", () => {
    const dir = mkdtempSync(join(tmpdir(), "meshid-completion-"));
    try {
      writeFileSync(join(dir, "my chain.pem"), "");
      const cut = join(dir, "my c");
      for (const words of [["inspect"], ["verify", "--bundle"], ["verify", "--bundle", "="]])
        expect(complete("meshid", ...words, cut)).toEqual([join(dir, "my chain.pem")]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("names every command and flag in zsh", () => {
    const script = zshScript();
    for (const { name, options } of COMMANDS) {
      expect(script).toContain(`        ${name})\n`);
      for (const option of options) expect(script).toContain(`--${option.name}`);
    }
  });
});
