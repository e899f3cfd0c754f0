/**
 * SPIFFE_Federation.md and §4.1.1 of SPIFFE_Trust_Domain_and_Bundle.md: what the publisher of a bundle owes its consumers over
 * time, by ID. The authority and the HTTPS endpoint are the real ones.
 */

import { connect } from "node:tls";
import { describe, expect, it } from "@jest/globals";
import { issueServerCredentials } from "../../src/app/server-credentials.ts";
import type { Authority } from "../../src/authority/authority.ts";
import type { Observation } from "../../src/authority/rotation-plan.ts";
import { seconds } from "../../src/core/brand.ts";
import { DISCOVERY_PATHS } from "../../src/http/discovery-routes.ts";
import { readJwt } from "../../src/jwt/jwt-svid.ts";
import { trustDomainPolicy } from "../../src/registration/trust-domain-policy.ts";
import { parseBundle } from "../../src/spiffe/bundle.ts";
import { parseSpiffeId } from "../../src/spiffe/spiffe-id.ts";
import { parseCertificate, parseCertificates } from "../../src/x509/certificate.ts";
import { generateKey, publicKeyOf } from "../../src/x509/keys.ts";
import { verifyX509Svid } from "../../src/x509/verify.ts";
import { POLICY, START } from "../support/authority-fakes.ts";
import { openTls } from "../support/http/raw-client.ts";
import { startServer } from "../support/http/servers.ts";
import { type OpenAuthority, openAuthority } from "../support/open-authority.ts";

const ID = parseSpiffeId("spiffe://example.org/ns/shop/sa/payments");

/** Every consumer carries everything. */
function held(authority: Authority): Observation {
  return { consumers: 1, lacking: new Map(authority.view().slots.map(({ keyID }) => [keyID, []])) };
}

interface Published {
  readonly sequence: bigint;
  readonly text: string;
  /** Of roots and of JWT keys. */
  readonly keyIDs: ReadonlySet<string>;
}

function published({ authority }: OpenAuthority): Published {
  const text = authority.view().bundleJson;
  const bundle = parseBundle(text, POLICY.trustDomain);
  const roots = bundle.x509Authorities.map(({ der }) => parseCertificate(der).subjectKeyID ?? "");
  return {
    sequence: BigInt(bundle.sequence ?? -1),
    text,
    keyIDs: new Set([...roots, ...bundle.jwtAuthorities.map(({ keyID }) => keyID)]),
  };
}

/** What is signed now: the root above a new leaf, and the key of a new token. */
async function signers({ authority }: OpenAuthority): Promise<readonly string[]> {
  const publicKey = publicKeyOf(await generateKey("ECDSA-P256"));
  const svid = await authority.signX509Svid({ spiffeId: ID, dnsNames: [], publicKey, ttl: seconds(300) });
  const token = await authority.signJwtSvid({ spiffeId: ID, audience: "orders.shop", ttl: seconds(300) });
  const issuing = parseCertificates(svid.chainPem).at(-1);
  return [issuing?.authorityKeyID ?? "", readJwt(token.token.reveal()).header.kid];
}

/** Lives through a rotation of every kind, `look` called after each minute. */
async function liveThrough(world: OpenAuthority, look: () => void | Promise<void>): Promise<void> {
  const { authority, clock } = world;
  await look();
  await authority.step(undefined, { Root: "a", JWT: "a" });
  for (let minute = 0; minute < 60; minute++) {
    await look();
    clock.jump(60);
    await authority.step(held(authority), {});
  }
  await look();
}

describe("the publisher of a bundle", () => {
  it("B-02 raises the sequence whenever the content changes, and only then (Trust Domain and Bundle §4.1.1)", async () => {
    const world = await openAuthority(11);
    const seen: Published[] = [];
    await liveThrough(world, () => void seen.push(published(world)));
    const faults = seen.slice(1).filter((next, index) => {
      const before = seen[index] ?? next;
      const isChanged = next.text !== before.text;
      return isChanged ? next.sequence <= before.sequence : next.sequence !== before.sequence;
    });
    expect(faults).toEqual([]);
    expect(new Set(seen.map(({ sequence }) => sequence)).size).toBeGreaterThanOrEqual(4);
  });

  it("F-01 has a key in the bundle before anything is signed with it (§4.1)", async () => {
    const world = await openAuthority(11);
    const early: string[] = [];
    const used = new Set<string>();
    let before = published(world).keyIDs;
    await liveThrough(world, async () => {
      for (const keyID of await signers(world)) {
        if (!used.has(keyID) && used.size >= 2 && !before.has(keyID)) early.push(keyID);
        used.add(keyID);
      }
      before = published(world).keyIDs;
    });
    expect(early).toEqual([]);
    expect(used.size).toBeGreaterThanOrEqual(4);
  });

  it.each(["1s", "7s", "30m", "2h"])(
    "F-02 lets consumers look five times between publishing a key and using it, where whole seconds allow it: propagation %s (§4.1)",
    (propagation) => {
      const metadata = {
        name: "example.org",
        uid: "u",
        creationTimestamp: "2027-01-01T00:00:00Z",
        generation: 1,
      };
      const { rotation, refreshHint } = trustDomainPolicy(
        {
          apiVersion: "meshid.dev/v1alpha1",
          kind: "TrustDomain",
          metadata,
          spec: { rotation: { propagation } },
        },
        { mode: "local", clusterDomain: "cluster.local" },
      );
      expect(refreshHint).toBeLessThanOrEqual(Math.max(1, rotation.propagation / 5));
    },
  );

  it("F-03 keeps a key until nothing that it signed is valid any more, and no longer (§4.1)", async () => {
    const world = await openAuthority(11);
    const { authority, clock } = world;
    const [root = "", kid = ""] = await signers(world);
    const alive = START + 300;
    const gone = new Map<string, number>();
    await authority.step(undefined, { Root: "a", JWT: "a" });
    for (let minute = 0; minute < 120; minute++) {
      clock.jump(60);
      await authority.step(held(authority), {});
      const { keyIDs } = published(world);
      for (const each of [root, kid]) if (!keyIDs.has(each) && !gone.has(each)) gone.set(each, clock.now());
    }
    expect([...gone.keys()].sort()).toEqual([root, kid].sort());
    for (const at of gone.values()) expect(at).toBeGreaterThan(alive);
  });
});

describe("the endpoint of a bundle", () => {
  async function serving(world: OpenAuthority): Promise<Awaited<ReturnType<typeof startServer>>> {
    return startServer({ tls: await issueServerCredentials(world.authority, ["localhost"]) });
  }

  it("F-13, F-14 answers GET without any credential of the client's, in UTF-8 JSON (§5.2.1.3, §5.2.2.3)", async () => {
    await using server = await serving(await openAuthority(11));
    using connection = await openTls(server.address());
    const { status, headers } = await connection.get(DISCOVERY_PATHS.bundle);
    expect([status, headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
  });

  it("F-12, F-18 presents a valid X509-SVID of its trust domain, with the host's name in it (§5.2.1.3, §5.2.2.3)", async () => {
    const world = await openAuthority(11);
    await using server = await serving(world);
    const { host, port } = server.address();
    const socket = connect({ host, port, rejectUnauthorized: false });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    const { raw, issuerCertificate } = socket.getPeerCertificate(true);
    socket.destroy();
    const leaf = parseCertificate(raw);
    const id = verifyX509Svid({
      chain: [leaf, parseCertificate(issuerCertificate.raw)],
      roots: world.authority.view().roots,
      now: world.clock.now(),
      trustDomain: POLICY.trustDomain,
    });
    expect([id, leaf.dnsNames]).toEqual(["spiffe://example.org/ns/meshid-system/sa/meshid", ["localhost"]]);
  });
});
