import { describe, expect, it } from "@jest/globals";
import { countReissued, isComplete } from "../../../src/controller/reissuance.ts";
import { seconds } from "../../../src/core/brand.ts";
import { toRfc3339 } from "../../../src/core/clock.ts";
import type { ServiceIdentity, X509Status } from "../../../src/registration/service-identity.ts";
import { ISSUING, JWT, journalOf, keyID, START, withSlot } from "../../support/authority-fakes.ts";

const OLD = keyID("old");
const at = (offset: number): string => toRfc3339(seconds(START + offset));
const VIEW = {
  slots: withSlot(journalOf(), "old", { kind: "Issuing", state: "Retired" }).slots,
  issuing: { keyID: ISSUING },
  jwt: { keyID: JWT },
} as unknown as Parameters<typeof countReissued>[1];

function identity(name: string, x509?: Partial<X509Status>, tokens: readonly string[] = []): ServiceIdentity {
  const full = { authorityKeyID: OLD, notAfter: at(1000), renewalTime: at(500), ...x509 } as X509Status;
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name, namespace: "shop", uid: name, creationTimestamp: at(0), generation: 1 },
    spec: {},
    status: {
      ...(x509 === undefined ? {} : { x509: full }),
      jwt: {
        secretName: `${name}-jwt`,
        tokens: tokens.map((key) => ({ audience: "x", key: "x.jwt", keyID: key, notAfter: at(1000) })),
      },
    },
  };
}

describe("countReissued", () => {
  it("counts what each key has signed, and knows when the last of the others follows", async () => {
    const identities = [
      identity("a", { authorityKeyID: ISSUING, renewalTime: at(9000) }),
      identity("b", {}, [JWT, OLD]),
      identity("c", { renewalTime: at(700) }),
      identity("d"),
    ];
    const { certificates, tokens } = await countReissued(identities, VIEW, START);
    expect(certificates).toMatchObject({ total: 3, fromActive: 1, refused: 0, left: ["shop/b", "shop/c"] });
    expect(certificates.lastRenewal).toBe(START + 700);
    expect(isComplete(certificates)).toBe(false);
    // The key of certificates is no key of tokens.
    expect(tokens).toMatchObject({ total: 2, fromActive: 1, refused: 1, left: ["shop/b"] });
  });

  it("leaves out what has ended, and what no status should say", async () => {
    const ended = [identity("a", { notAfter: at(0) }), identity("b", { notAfter: "soon" })];
    expect((await countReissued(ended, VIEW, START)).certificates.total).toBe(0);
  });

  it("names first those whose key is not published any more", async () => {
    const many = ["a", "b", "c", "d", "e", "f"].map((name) => identity(name, {}));
    const gone = identity("gone", { authorityKeyID: keyID("gone") });
    const { certificates } = await countReissued([...many, gone], VIEW, START);
    expect(certificates).toMatchObject({ total: 7, refused: 1 });
    expect(certificates.left).toEqual(["shop/gone", "shop/a", "shop/b", "shop/c", "shop/d"]);
  });

  it("lets others have their turn between some hundreds", async () => {
    let turns = 0;
    let isDone = false;
    const others = (): void => {
      turns += 1;
      if (!isDone) setImmediate(others);
    };
    setImmediate(others);
    const many = Array.from({ length: 10_000 }, (_, index) => identity(`i-${index}`, {}));
    await countReissued(many, VIEW, START);
    isDone = true;
    expect(turns).toBeGreaterThan(10);
  });
});
