import { describe, expect, it } from "@jest/globals";
import { checkMetadata, type DocumentMetadata, requestedBy } from "../../../src/registration/metadata.ts";

function faultsOf(
  metadata: DocumentMetadata,
  scope: "Namespaced" | "Cluster" = "Namespaced",
): readonly string[] {
  return checkMetadata(metadata, { scope }).map(({ field }) => field);
}

describe("checkMetadata", () => {
  it.each<[string, DocumentMetadata, readonly string[]]>([
    ["accepts a name without a namespace", { name: "payments.v1" }, []],
    [
      "accepts labels and annotations",
      { name: "a", labels: { "a.b/C_d": "E.f" }, annotations: { "X.y/Z": "anything\n" } },
      [],
    ],
    ["refuses no name", {}, ["metadata.name"]],
    ["refuses an empty name", { name: "" }, ["metadata.name"]],
    ["refuses a name that climbs", { name: "../a" }, ["metadata.name"]],
    ["refuses a name with a NUL", { name: "a\u0000b" }, ["metadata.name"]],
    ["refuses an absolute name", { name: "/etc" }, ["metadata.name"]],
    ["refuses a name in capitals", { name: "A" }, ["metadata.name"]],
    ["refuses a name of 254 characters", { name: "a".repeat(254) }, ["metadata.name"]],
    ["refuses a namespace that climbs", { name: "a", namespace: ".." }, ["metadata.namespace"]],
    ["refuses a namespace with a dot", { name: "a", namespace: "a.b" }, ["metadata.namespace"]],
    [
      "refuses a namespace of 64 characters",
      { name: "a", namespace: "a".repeat(64) },
      ["metadata.namespace"],
    ],
    ["refuses a label that is none", { name: "a", labels: { "b c": "d" } }, ["metadata.labels"]],
    ["refuses a label's value that is none", { name: "a", labels: { b: "-" } }, ['metadata.labels["b"]']],
    [
      "refuses an annotation that is none",
      { name: "a", annotations: { "/b": "" } },
      ["metadata.annotations"],
    ],
    [
      "refuses annotations above 256 KiB",
      { name: "a", annotations: { b: "é".repeat(131_072) } },
      ["metadata.annotations"],
    ],
    ["reports all that is wrong", { name: "A", namespace: "B" }, ["metadata.name", "metadata.namespace"]],
  ])("%s", (_name, metadata, fields) => {
    expect(faultsOf(metadata)).toEqual(fields);
  });

  it("refuses a namespace where the kind has none", () => {
    expect(faultsOf({ name: "cluster.local", namespace: "shop" }, "Cluster")).toEqual(["metadata.namespace"]);
  });
});

describe("requestedBy", () => {
  it("cuts through no character, so that what comes back from the status is the same", () => {
    const asked =
      requestedBy({ "meshid.dev/renew": `${"x".repeat(252)}\u{1f600}` }, "meshid.dev/renew") ?? "";
    expect(asked.isWellFormed()).toBe(true);
    expect(asked).toHaveLength(253);
  });

  it("cuts a value to what a status can name", () => {
    expect(requestedBy({ "meshid.dev/renew": "x".repeat(300) }, "meshid.dev/renew")).toHaveLength(253);
    expect(requestedBy(undefined, "meshid.dev/renew")).toBeUndefined();
  });
});
