/**
 * A peer that keeps the first bundle it got, over two rotations of the root with `crossSignRoots`.
 */

import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { AuthorityStatus, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { certificatesIn } from "../../support/credentials.ts";
import {
  type Finished,
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";
import { handshake, type TlsSide } from "../../support/tls-handshake.ts";

describe("a peer that keeps the first bundle, with crossSignRoots", () => {
  let work: Workspace;
  let operator: ReturnType<typeof start>;
  let ended: Promise<Finished>;
  /** As it was at the first hour. */
  let frozen: TlsSide;

  beforeAll(async () => {
    work = await makeWorkspace();
    for (const name of ["web", "old"]) await work.put(`${name}.yaml`, identityYaml(name));
    await domain(true);
    const args = ["local", "--identities", work.identities, "--out", work.out, "--listen", "127.0.0.1:0"];
    operator = start(args);
    ended = finished(operator);
    frozen = await until("the first certificates", async () => {
      await credentials("web");
      return credentials("old");
    });
  });

  afterAll(async () => {
    operator.kill("SIGTERM");
    await ended;
    await work[Symbol.asyncDispose]();
  });

  const domain = async (crossSignRoots: boolean, distrusted?: string): Promise<void> => {
    const text = trustDomainYaml(`{rotation: {propagation: 1s, crossSignRoots: ${crossSignRoots}}}`);
    const annotations =
      distrusted === undefined ? "" : `, annotations: {meshid.dev/distrust-root: "${distrusted}"}`;
    await work.put("td.yaml", text.replace("cluster.local}", `cluster.local${annotations}}`));
  };

  const credentials = async (name: string): Promise<TlsSide> => {
    const read = (file: string): Promise<string> => work.read(`shop/${name}-tls/${file}`);
    return { cert: await read("tls.crt"), key: await read("tls.key"), ca: await read("ca.crt") };
  };

  const rootIDs = async (state: AuthorityStatus["state"]): Promise<readonly string[]> => {
    const { status } = parse(await work.read("trustdomain.yaml")) as TrustDomainObject;
    const found = status?.authorities?.filter((one) => one.kind === "Root" && one.state === state);
    return found?.map(({ keyID }) => keyID) ?? [];
  };

  const ask = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await meshid([...args, "--state", work.state]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
  };

  /** The certificate of `web` once it is another one. */
  const renewed = async (): Promise<TlsSide> => {
    const { cert } = await credentials("web");
    await ask("renew", "web", "--namespace", "shop");
    return until("a new certificate", async () => {
      const now = await credentials("web");
      return now.cert === cert ? undefined : now;
    });
  };

  /** To its end: the new root signs, and what signs for `web` is under it. */
  const rotated = async (kind: "root" | "issuing"): Promise<TlsSide> => {
    await ask("rotate", kind, "--wait");
    return renewed();
  };

  /** Both ways, since one side's chain is the other one's trust; what the first refusal says. */
  const between = async (one: TlsSide, other: TlsSide): Promise<string> =>
    (await handshake(one, other)) || (await handshake(other, one));

  it("goes on talking with who is issued under the second root, whichever issuing certificate signs", async () => {
    expect(await between(await credentials("web"), frozen)).toBe("");
    for (const kind of ["root", "issuing"] as const) {
      const web = await rotated(kind);
      expect(certificatesIn(web.cert)).toHaveLength(3);
      expect(await between(web, frozen)).toBe("");
    }
    const web = await credentials("web");
    const [leaf = "", issuing = ""] = certificatesIn(web.cert);
    expect(await between({ ...web, cert: leaf + issuing }, frozen)).not.toBe("");
  });

  it("is refused after the second rotation, where a peer that follows stands by one with the second bundle", async () => {
    const second = await credentials("web");
    const onlySecond = certificatesIn(second.ca).filter((root) => !certificatesIn(frozen.ca).includes(root));
    expect(onlySecond).toHaveLength(1);
    const web = await rotated("root");
    expect(certificatesIn(web.cert)).toHaveLength(3);
    expect(await between(web, { ...second, ca: second.ca })).toBe("");
    expect(await between(web, { ...second, ca: onlySecond.join("") })).toBe("");
    expect(await between(web, frozen)).not.toBe("");
  });

  it("meets no cross certificate with the next issuance once the policy is off", async () => {
    await domain(false);
    await until("a chain without it", async () =>
      certificatesIn((await renewed()).cert).length === 2 ? true : undefined,
    );
    await domain(true);
    await until("a chain with it", async () =>
      certificatesIn((await renewed()).cert).length === 3 ? true : undefined,
    );
  });

  it("hears at once no more of a root that is distrusted", async () => {
    const before = await credentials("web");
    const signer = (await rootIDs("Retired")).find((id) =>
      subjectsIn(before.cert, "issuer").at(-1)?.includes(id),
    );
    const stolen = certificatesIn(before.ca).find((root) =>
      subjectsIn(root, "subject")[0]?.includes(signer ?? "?"),
    );
    const keeper = { ...before, ca: stolen ?? "" };
    expect(await between(before, keeper)).toBe("");
    await domain(true, signer);
    const after = await until("a chain without its word", async () => {
      const now = await credentials("web");
      return certificatesIn(now.cert).length === 2 ? now : undefined;
    });
    await until("its end in the status", async () =>
      (await rootIDs("Retired")).includes(signer ?? "?") ? undefined : true,
    );
    expect(await handshake(after, keeper)).not.toBe("");
    expect(certificatesIn(after.ca)).not.toContain(stolen);
  });
});

function subjectsIn(pem: string, name: "subject" | "issuer"): readonly string[] {
  return certificatesIn(pem).map((text) => new X509Certificate(text)[name]);
}
