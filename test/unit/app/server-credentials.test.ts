import { describe, expect, it } from "@jest/globals";
import { renewServerCredentials, type ServerCredentials } from "../../../src/app/server-credentials.ts";
import { seconds } from "../../../src/core/brand.ts";
import { Secret } from "../../../src/core/secret.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const LIFE = 86_400;

describe("renewServerCredentials", () => {
  const start = (): { readonly clock: FakeClock; readonly loaded: string[]; stop: () => Promise<void> } => {
    const clock = new FakeClock();
    const loaded: string[] = [];
    const stop = new AbortController();
    const make = (chain: string): ServerCredentials => ({
      chain,
      key: new Secret("key"),
      renewAt: seconds(clock.now() + LIFE / 2),
    });
    const running = renewServerCredentials(
      {
        first: make("first"),
        issue: async () => make("next"),
        reload: ({ chain }) => loaded.push(chain),
        clock,
        onError: (error) => {
          throw error;
        },
      },
      stop.signal,
    );
    return {
      clock,
      loaded,
      stop: () => {
        stop.abort();
        return running;
      },
    };
  };

  it("renews at half of the life and not before", async () => {
    const { clock, loaded, stop } = start();
    await clock.advance(LIFE / 2 - 1);
    expect(loaded).toEqual([]);
    await clock.advance(1);
    expect(loaded).toEqual(["next"]);
    await stop();
  });

  it("renews within a minute after the machine was asleep beyond that", async () => {
    const { clock, loaded, stop } = start();
    await clock.advance(1);
    clock.shift(LIFE);
    await clock.advance(60);
    expect(loaded).toEqual(["next"]);
    await stop();
  });
});
