import { describe, expect, it } from "@jest/globals";
import { parseArguments } from "../../../src/app/arguments.ts";
import { type ControllerConfig, parseControllerConfig } from "../../../src/app/controller-config.ts";

function config(...args: readonly string[]): ControllerConfig {
  return parseControllerConfig(parseArguments(["controller", ...args], {}).options, { isErrorTTY: false });
}

describe("parseControllerConfig", () => {
  it.each(["example.org", "cluster.local", "a", "10.0.0.1"])("serves the trust domain %s", (name) => {
    expect(config("--trust-domain", name).trustDomain).toBe(name);
  });

  it.each(["a_b", "example.org.", "-a.example", "a..b", "a".repeat(64), "Example.org"])(
    "refuses a trust domain that no object can be named: %s",
    (name) => {
      expect(() => config(`--trust-domain=${name}`)).toThrow(
        expect.objectContaining({
          code: "INVALID_CONFIGURATION",
          message: expect.stringMatching(/^--trust-domain: .*; expected /),
        }),
      );
    },
  );
});
