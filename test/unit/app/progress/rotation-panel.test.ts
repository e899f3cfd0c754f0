import { describe, expect, it } from "@jest/globals";
import { rotationPanel } from "../../../../src/app/progress/rotation-panel.ts";
import type { TrustDomainStatus } from "../../../../src/registration/service-identity.ts";
import { NOW } from "../../../support/cli.ts";
import { at, condition, HOUR, slot, trustDomain } from "../../../support/doctor-facts.ts";

const root = { word: "root", kind: "Root" } as const;

const panelOf = (
  change: Partial<TrustDomainStatus>,
  rotation: Parameters<typeof rotationPanel>[0]["rotation"] = root,
) =>
  rotationPanel({
    domain: { name: "mesh.example", spec: {}, status: trustDomain(change).status ?? {} },
    rotation,
    now: NOW,
  });
const rowsOf = (...from: Parameters<typeof panelOf>) =>
  panelOf(...from).table?.rows.map((row) => row.map(({ text }) => text));

describe("rotationPanel", () => {
  const authorities = [
    slot("JWT"),
    slot("Issuing", { since: at(-90) }),
    slot("Root", { keyID: "0123456789abcdef", state: "Retired" }),
    slot("Root", {
      state: "Prepared",
      since: at(-5),
      waitingFor: "shop lacks it",
      waitingUntil: at(2 * HOUR),
    }),
  ];

  it("shows a root with the issuing certificate that follows it, and how long each waits", () => {
    expect(rowsOf({ authorities })).toEqual([
      ["Root", "0123456789ab", "Retired", "1h", ""],
      ["Root", "root-1", "Prepared", "5s", `shop lacks it; at the latest in 2h (${at(2 * HOUR)})`],
      ["Issuing", "issuing-1", "Active", "1m30s", ""],
    ]);
  });

  it("shows another kind alone", () => {
    expect(rowsOf({ authorities }, { word: "jwt", kind: "JWT" })).toEqual([
      ["JWT", "jwt-1", "Active", "1h", ""],
    ]);
  });

  it("says what goes on, how many have the bundle, and what keeps all from going on", () => {
    const { title, facts } = panelOf({
      bundle: { sequence: 7, hash: "h", namespaces: 40, namespacesCurrent: 10 },
      conditions: [
        condition("AuthorityReady", "False", "ClockSkew", "set the clock"),
        condition("RotationInProgress", "True", "WaitingForConsumers", "30 lack it"),
        condition("BundlePublished", "False", "Publishing"),
      ],
    });
    expect(title).toBe("Rotation of the root key of mesh.example");
    expect(facts).toEqual([
      { text: "WaitingForConsumers: 30 lack it" },
      { text: "AuthorityReady is False: ClockSkew: set the clock", style: "bad" },
      { text: "Bundle [######------------------] 10 of 40 namespaces" },
    ]);
  });
});
