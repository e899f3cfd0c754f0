import { format, inspect } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { Secret } from "../../../src/core/secret.ts";

describe("Secret", () => {
  it.each<[string, (secret: Secret) => string]>([
    ["a template", (secret) => `${String(secret)} ${secret.toString()}`],
    ["JSON", (secret) => JSON.stringify({ key: secret })],
    ["inspection", (secret) => inspect({ key: secret }, { depth: 9, showHidden: true })],
    ["a formatted line", (secret) => format("%s %o %j", secret, secret, secret)],
    ["concatenation", (secret) => String(secret).concat("")],
    ["its own members", (secret) => JSON.stringify(Object.entries(secret))],
  ])("shows nothing in %s", (_what, show) => {
    expect(show(new Secret("canary"))).not.toContain("canary");
  });

  it("reveals its value to who asks for it", () => {
    expect(new Secret("canary").reveal()).toBe("canary");
  });
});
