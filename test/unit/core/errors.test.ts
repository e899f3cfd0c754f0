import { describe, expect, it } from "@jest/globals";
import { quoted } from "../../../src/core/errors.ts";

describe("quoted", () => {
  it("escapes and cuts what comes from outside", () => {
    expect(quoted('a"\\\u001B[2Jé')).toBe(String.raw`"a\"\\\u001b[2J\u00e9"`);
    expect(quoted("x".repeat(101))).toBe(`"${"x".repeat(100)}…"`);
  });

  it.each([
    ["a private key", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----"],
    ["an old private key", "-----BEGIN EC PRIVATE KEY-----\nMIGHAgEAMBMG"],
    ["a token", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"],
  ])("shows nothing of %s that stands in a wrong place", (_, text) => {
    expect(quoted(text)).toBe('"[redacted]"');
  });
});
