import { describe, expect, it } from "@jest/globals";
import { array, assert, constantFrom, nat, oneof, property, string } from "fast-check";
import { fieldOf, parseField } from "../../../src/registration/field-path.ts";

describe("fieldOf", () => {
  it.each([
    ["spec.x509.dnsNames[1]", ["spec", "x509", "dnsNames", 1]],
    ['metadata.annotations["meshid.dev/renew"]', ["metadata", "annotations", "meshid.dev/renew"]],
    ["", []],
  ] as const)("writes %s", (field, path) => {
    expect(fieldOf(path)).toBe(field);
  });

  it("is read back by parseField, whatever the names", () => {
    assert(
      property(array(oneof(string(), nat(), constantFrom("1", "a.b", "[", '"', "\\"))), (path) => {
        expect(parseField(fieldOf(path))).toEqual(path);
      }),
    );
  });

  it("refuses what is no field", () => {
    expect(() => parseField("spec..x509")).toThrow(TypeError);
  });
});
