import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { isOperatorError } from "../../../src/core/errors.ts";
import { certificatePem, encodePem, parsePem, splitPem } from "../../../src/x509/pem.ts";
import { refusalOf } from "../../support/errors.ts";

const BLOCK = certificatePem(Buffer.alloc(100, 7));

describe("splitPem", () => {
  it("gives back what encodePem was given, for any bytes and number of blocks", () => {
    const blocks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(blocks, (ders) => {
        const text = ders.map((der) => encodePem(der, "CERTIFICATE")).join("");
        expect(splitPem(text).map((der) => [...der])).toEqual(ders.map((der) => [...der]));
      }),
    );
  });

  it("wraps lines at 64 characters and ends in a line feed", () => {
    const lines = BLOCK.split("\n");
    expect(lines.map((line) => line.length).slice(1, 4)).toEqual([64, 64, 8]);
    expect(lines.at(-1)).toBe("");
  });

  it("takes CRLF, blank lines and trailing white space", () => {
    expect(splitPem(`\r\n${BLOCK.replaceAll("\n", " \r\n")}\n\n${BLOCK}`)).toHaveLength(2);
  });

  it.each([
    ["nothing", ""],
    ["text before a block", `subject: x\n${BLOCK}`],
    ["text after a block", `${BLOCK}garbage`],
    ["a private key", encodePem(Buffer.alloc(3), "PRIVATE KEY")],
    ["a block without an end", BLOCK.replace("-----END CERTIFICATE-----", "")],
    ["a block with another's end", BLOCK.replace("END CERTIFICATE", "END PUBLIC KEY")],
    ["headers", BLOCK.replace("\n", "\nProc-Type: 4,ENCRYPTED\n\n")],
    ["base64url", BLOCK.replace("BwcH", "Bw_H")],
    ["base64 without padding", BLOCK.replace("==", "")],
    ["base64 with bits left over", BLOCK.replace("Bw==", "Bx==")],
    ["an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ["more blocks than anyone needs", BLOCK.repeat(513)],
  ])("refuses %s", (_what, text) => {
    expect(refusalOf(() => splitPem(text))).toBe("INVALID_INPUT certificates");
  });

  it("throws INVALID_INPUT and nothing else on any text made of PEM's parts", () => {
    const part = fc.oneof(
      fc.constantFrom(
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "\n",
        "\r\n",
        "BwcH",
        "Bw==",
      ),
      fc.string({ unit: "binary", maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        try {
          parsePem(parts.join(""), "input");
        } catch (error) {
          if (!isOperatorError(error, "INVALID_INPUT")) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
