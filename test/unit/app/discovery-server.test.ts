import { beforeAll, describe, expect, it } from "@jest/globals";
import { DiscoveryServer } from "../../../src/app/discovery-server.ts";
import { Publication } from "../../../src/app/publication.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { HttpServer } from "../../../src/http/server.ts";
import { JOURNAL_SECRET } from "../../../src/kubernetes/authority-stores.ts";
import { SERVER_SECRET } from "../../../src/kubernetes/server-secret.ts";
import { settle } from "../../support/fake-clock.ts";
import { selfSigned } from "../../support/http/self-signed.ts";
import { openAuthority } from "../../support/open-authority.ts";
import { recordingLogger } from "../../support/telemetry/records.ts";

const NEVER = new AbortController().signal;

describe("DiscoveryServer", () => {
  let journal: string;

  beforeAll(async () => {
    const { stores } = await openAuthority(4);
    journal = stores.journalText ?? "";
  });

  /** Opened with `signal` before there is a certificate; `arrive` brings it. */
  const opened = (signal: AbortSignal): { readonly server: DiscoveryServer; readonly arrive: () => void } => {
    const server = new DiscoveryServer({
      address: { host: "127.0.0.1", port: 0 },
      make: (options) => new HttpServer({ ...options, clock: systemClock }),
      logger: recordingLogger().logger,
    });
    const publication = new Publication({ onChanged: () => server.publish(publication), onError: () => {} });
    publication.take(JOURNAL_SECRET, { "journal.json": Buffer.from(journal) });
    server.open(signal, publication);
    const { chain, key } = selfSigned("meshid");
    const arrive = (): void =>
      publication.take(SERVER_SECRET, {
        "tls.crt": Buffer.from(chain),
        "tls.key": Buffer.from(key.reveal()),
      });
    return { server, arrive };
  };

  it("listens when its first certificate arrives", async () => {
    const { server, arrive } = opened(NEVER);
    await using _ = server;
    expect(server.isListening).toBe(false);
    arrive();
    await Promise.race([server.failed, until(() => server.isListening)]);
    expect(server.isListening).toBe(true);
  });

  it("takes no harm from a first certificate that arrives when it is told to stop", async () => {
    const { server, arrive } = opened(AbortSignal.abort());
    await using _ = server;
    arrive();
    await settle();
    const failed = server.failed.catch((error: unknown) => error);
    expect(await Promise.race([failed, settle().then(() => "none")])).toBe("none");
    expect(server.isListening).toBe(false);
  });
});

async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo() && turns < 6000; turns++)
    await new Promise((resolve) => setTimeout(resolve, 10));
}
