import { describe, expect, it } from "@jest/globals";
import type { StoredTls } from "../../../src/app/publication.ts";
import { keepServerTls } from "../../../src/app/server-tls.ts";
import type { Observation } from "../../../src/authority/rotation-plan.ts";
import { parseCertificates } from "../../../src/x509/certificate.ts";
import type { KeyId } from "../../../src/x509/keys.ts";
import { POLICY } from "../../support/authority-fakes.ts";
import { openAuthority } from "../../support/open-authority.ts";

describe("keepServerTls", () => {
  it("issues anew at once what a distrusted root vouches for, though no bundle has that root any more", async () => {
    const { authority, clock } = await openAuthority(3, { ...POLICY, crossSignRoots: true });
    const former = authority.view().slots.find(({ kind }) => kind === "Root")?.keyID ?? "";
    const held = (): Observation => ({
      consumers: 1,
      lacking: new Map(authority.view().slots.map(({ keyID }): [KeyId, readonly string[]] => [keyID, []])),
    });
    await authority.step(undefined, { Root: "a" });
    for (let rounds = 0; rounds < 4; rounds++) {
      await authority.step(held(), {});
      clock.jump(POLICY.propagation);
    }
    expect(authority.view().slots.map(({ keyID }) => keyID)).not.toContain(former);
    const written: StoredTls[] = [];
    const stop = new AbortController();
    const kept = keepServerTls(
      {
        authority,
        clock,
        namespace: "meshid-system",
        names: () => ["meshid.meshid-system.svc"],
        stored: () => written.at(-1),
        write: async ({ chain, ca }) => void written.push({ chain, ca }),
        onError: (error) => {
          throw error;
        },
      },
      stop.signal,
    );
    const turn = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await clock.advance(1);
    };
    const looked = async (count: number): Promise<readonly number[]> => {
      // A key is made by another thread, which a clock that stands still does not wait for.
      for (let turns = 0; turns < 2000 && written.length < count; turns++) await turn();
      for (let turns = 0; turns < 40; turns++) await turn();
      return written.map(({ chain }) => parseCertificates(chain).length);
    };
    expect(await looked(1)).toEqual([3]);
    await authority.step(held(), {}, new Set([former]));
    expect(await looked(2)).toEqual([3, 2]);
    stop.abort();
    await kept;
  });
});
