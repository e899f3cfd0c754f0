import { describe, expect, it } from "@jest/globals";
import * as fc from "fast-check";
import { isOperatorError } from "../../../src/core/errors.ts";
import {
  parseSpiffeId,
  pathOf,
  trustDomainOf,
  trustDomainSpiffeId,
  workloadSpiffeId,
} from "../../../src/spiffe/spiffe-id.ts";
import { parseTrustDomain } from "../../../src/spiffe/trust-domain.ts";
import { refusalOf } from "../../support/errors.ts";

const name = (chars: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...chars.split("")), minLength: 1, maxLength });
const LOWER = "abcxyz019.-_";
const trustDomains = name(LOWER, 255);
const segments = name(`${LOWER}ABZ`, 40).filter((segment) => segment !== "." && segment !== "..");

describe("parseSpiffeId", () => {
  it("gives back every well-formed ID with its parts", () => {
    fc.assert(
      fc.property(trustDomains, fc.array(segments, { maxLength: 12 }), (host, path) => {
        const joined = path.map((segment) => `/${segment}`).join("");
        const id = parseSpiffeId(`spiffe://${host}${joined}`);
        expect([id, trustDomainOf(id), pathOf(id)]).toEqual([`spiffe://${host}${joined}`, host, joined]);
      }),
    );
  });

  it("accepts nothing that a URI parser would read as another ID", () => {
    const near = fc.string({ unit: fc.constantFrom(..."spife:/.%@?#\\ aA-_é\n\0".split("")), maxLength: 30 });
    fc.assert(
      fc.property(near, (rest) => {
        const text = `spiffe://${rest}`;
        const accepted = refusalOf(() => parseSpiffeId(text)) === "accepted";
        const url = accepted ? new URL(text) : undefined;
        expect(url === undefined ? text : `spiffe://${url.host}${url.pathname}`).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it("names the field it was told and what it expects", () => {
    expect(() => parseSpiffeId("https://x/y", "sub")).toThrow(
      'sub: "https://x/y" does not begin with spiffe://; expected spiffe://<trust domain>/<path>, at most 2048 bytes',
    );
  });
});

describe("workloadSpiffeId", () => {
  const trustDomain = parseTrustDomain("example.org");

  it("follows Istio's form", () => {
    expect(workloadSpiffeId(trustDomain, "shop", "pay.ments")).toBe(
      "spiffe://example.org/ns/shop/sa/pay.ments",
    );
  });

  it.each([
    ["shop/sa/admin", "x", "metadata.namespace"],
    ["..", "x", "metadata.namespace"],
    ["", "x", "metadata.namespace"],
    ["shop", "x/../y", "spec.serviceAccountName"],
    ["shop", "..", "spec.serviceAccountName"],
    ["shop", "a%2fb", "spec.serviceAccountName"],
  ])("refuses the parts %j and %j, which would name another identity", (namespace, account, field) => {
    expect(refusalOf(() => workloadSpiffeId(trustDomain, namespace, account))).toBe(`INVALID_INPUT ${field}`);
  });
});

describe("parseTrustDomain", () => {
  it("accepts exactly the host parts of SPIFFE IDs", () => {
    fc.assert(
      fc.property(fc.oneof(trustDomains, fc.string()), (text) => {
        let asHost: string | undefined;
        try {
          const id = parseSpiffeId(`spiffe://${text}`);
          asHost = pathOf(id) === "" ? "accepted" : undefined;
        } catch (error) {
          asHost = isOperatorError(error, "INVALID_INPUT") ? "refused" : undefined;
        }
        fc.pre(asHost !== undefined);
        const alone = refusalOf(() => parseTrustDomain(text)) === "accepted" ? "accepted" : "refused";
        expect(alone).toBe(asHost);
      }),
    );
  });

  it("makes an ID without a path", () => {
    const id = trustDomainSpiffeId(parseTrustDomain("example.org"));
    expect([id, pathOf(id), trustDomainOf(id)]).toEqual(["spiffe://example.org", "", "example.org"]);
  });
});
