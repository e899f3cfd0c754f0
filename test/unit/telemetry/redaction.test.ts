import { describe, expect, it } from "@jest/globals";
import { scrub } from "../../../src/telemetry/redaction.ts";

const BODY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
const KEY = `-----BEGIN PRIVATE KEY-----\n${BODY}\n${BODY}==\n-----END PRIVATE KEY-----\n`;
const TOKEN = `eyJhbGciOiJFUzI1NiJ9.${Buffer.from('{"sub":"a"}').toString("base64url")}.c2lnbmF0dXJl`;

describe("scrub", () => {
  it.each([
    ["plain", KEY],
    ["within JSON", JSON.stringify(KEY)],
    ["within JSON within JSON", JSON.stringify(JSON.stringify(KEY))],
    ["with escapes for a terminal", KEY.replaceAll("\n", "\\u{a}")],
    ["with escapes of a quotation", KEY.replaceAll("\n", "\\u000a")],
    ["with the line ends of Windows", JSON.stringify(KEY.replaceAll("\n", "\r\n"))],
    ["cut off", KEY.slice(0, -40)],
  ])("takes out a private key that is %s", (_, text) => {
    expect(scrub(`before ${text} after`)).not.toContain(BODY);
  });

  it("takes out tokens and leaves the rest", () => {
    expect(scrub(`token ${TOKEN}, spiffe://a/b`)).toBe("token [redacted token], spiffe://a/b");
  });
});
