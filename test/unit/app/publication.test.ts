import { describe, expect, it } from "@jest/globals";
import { Publication } from "../../../src/app/publication.ts";
import { SERVER_SECRET } from "../../../src/kubernetes/server-secret.ts";
import { selfSigned } from "../../support/http/self-signed.ts";

const first = selfSigned("first");
const second = selfSigned("second");
const contentOf = (chain: string, key: string): Readonly<Record<string, Uint8Array>> => ({
  "tls.crt": Buffer.from(chain),
  "tls.key": Buffer.from(key),
});

describe("Publication", () => {
  it.each([
    ["nothing in it", {}],
    ["a certificate without its key", contentOf(first.chain, "")],
    ["a key of another certificate", contentOf(first.chain, second.key.reveal())],
  ])(
    "takes a server's Secret that was broken for a sign of an authority, and serves what it had: %s",
    (_, content) => {
      const errors: string[] = [];
      let changes = 0;
      const publication = new Publication({
        onChanged: () => changes++,
        onError: (message) => errors.push(message),
      });
      publication.take(SERVER_SECRET, content);
      expect([publication.tls, publication.hasSeenTls, changes]).toEqual([undefined, true, 0]);
      publication.take(SERVER_SECRET, contentOf(second.chain, second.key.reveal()));
      publication.take(SERVER_SECRET, content);
      expect([publication.tls?.chain, changes]).toEqual([second.chain, 1]);
      expect(publication.stored).toBeUndefined();
      expect(errors).toHaveLength(2);
      expect(errors[0]).toContain(`Secret ${SERVER_SECRET}: `);
      expect(errors.join()).not.toContain("PRIVATE KEY-----");
    },
  );

  it("goes on serving what was in a Secret that is gone, and says that it has to be written anew", () => {
    const publication = new Publication({ onChanged: () => {}, onError: () => {} });
    publication.take(SERVER_SECRET, contentOf(first.chain, first.key.reveal()));
    expect(publication.stored?.chain).toBe(first.chain);
    publication.take(SERVER_SECRET, undefined);
    expect([publication.tls?.chain, publication.stored]).toEqual([first.chain, undefined]);
  });
});
