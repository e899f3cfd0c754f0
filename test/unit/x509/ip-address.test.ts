import { isIPv6 } from "node:net";
import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { ipBytes, ipText } from "../../../src/x509/ip-address.ts";

describe("ipBytes", () => {
  it.each([
    ["127.0.0.1", "7f000001"],
    ["255.255.255.255", "ffffffff"],
    ["::1", `${"00".repeat(15)}01`],
    ["::", "00".repeat(16)],
    ["2001:db8::a:0:1", "20010db80000000000000000000a00000001".slice(0, 16) + "0000000a00000001"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["::ffff:10.0.0.1", "00000000000000000000ffff0a000001"],
  ])("reads %s", (text, hex) => {
    expect(Buffer.from(ipBytes(text)).toString("hex")).toBe(hex);
  });

  it.each([
    "",
    "256.0.0.1",
    "1.2.3",
    "1.2.3.4.5",
    "localhost",
    "::1%eth0",
    "[::1]",
    "1::2::3",
    "12345::",
    "::1/64",
  ])("refuses %j", (text) => {
    expect(() => ipBytes(text)).toThrow(TypeError);
  });

  it("reads back every address that ipText wrote", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = ipText(bytes) ?? "";
        expect(isIPv6(text)).toBe(true);
        expect([...ipBytes(text)]).toEqual([...bytes]);
      }),
    );
  });
});

describe("ipText", () => {
  it("writes no address of another length than 4 or 16", () => {
    expect([ipText(Uint8Array.of(10, 0, 0, 1)), ipText(new Uint8Array(8))]).toEqual(["10.0.0.1", undefined]);
  });
});
