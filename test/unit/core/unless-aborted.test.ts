import { describe, expect, it } from "@jest/globals";
import { unlessAborted } from "../../../src/core/unless-aborted.ts";

const NEVER = new AbortController().signal;

describe("unlessAborted", () => {
  it("brings what the work comes to, a failure too", async () => {
    expect(await unlessAborted(Promise.resolve("done"), NEVER, NEVER)).toBe("done");
    await expect(unlessAborted(Promise.reject(new Error("no")), NEVER)).rejects.toThrow("no");
  });

  it.each([0, 1])("gives up as soon as signal %i aborts, whatever becomes of the work", async (index) => {
    const work = Promise.withResolvers<string>();
    const stop = new AbortController();
    const waiting = unlessAborted(work.promise, ...[NEVER, NEVER].with(index, stop.signal));
    stop.abort();
    expect(await waiting).toBeUndefined();
    expect(await unlessAborted(work.promise, stop.signal)).toBeUndefined();
    work.reject(new Error("nobody's"));
  });
});
