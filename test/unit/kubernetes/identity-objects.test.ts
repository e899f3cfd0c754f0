import { expect, it } from "@jest/globals";
import { seconds } from "../../../src/core/brand.ts";
import { identityOf } from "../../../src/kubernetes/identity-objects.ts";
import { condition, mergeConditions } from "../../../src/registration/conditions.ts";
import { objectOf } from "../../support/kubernetes/scripted.ts";

it("reads back every condition of ours, however long the words of an API server in it were, and no longer ones", () => {
  const words = condition("X509Issued", "False", "WriteRefused", "denied ".repeat(10_000));
  const [own] = mergeConditions(undefined, [words], { now: seconds(1_800_000_000), generation: 1 });
  const read = (message: string): unknown =>
    identityOf({ ...objectOf("a", 5), status: { conditions: [{ ...own, message }] } }).status?.conditions;
  expect(read(words.message)).toEqual([own]);
  expect(read(`${words.message}!`)).toEqual([]);
});
