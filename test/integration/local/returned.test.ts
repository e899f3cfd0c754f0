/**
 * A process that was away while a key was published: those who fetch the JWKS have had no way to learn of it.
 */

import type { ChildProcess } from "node:child_process";
import { describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import type { AuthorityStatus, TrustDomainObject } from "../../../src/registration/service-identity.ts";
import { freePort } from "../../support/control-plane/start.ts";
import {
  finished,
  identityYaml,
  makeWorkspace,
  meshid,
  start,
  trustDomainYaml,
  until,
  type Workspace,
} from "../../support/local-process.ts";

/** Seconds. */
const PROPAGATION = 8;

async function jwtKey(
  work: Workspace,
  state: AuthorityStatus["state"],
): Promise<AuthorityStatus | undefined> {
  const domain = parse(await work.read("trustdomain.yaml")) as TrustDomainObject;
  return domain.status?.authorities?.find((one) => one.kind === "JWT" && one.state === state);
}

/** Seconds from when the second process serves until the key is used that the first had published. */
async function usedAfter(listen: string): Promise<number> {
  await using work = await makeWorkspace();
  const propagation = (length: string): Promise<void> =>
    work.put("td.yaml", trustDomainYaml(`{rotation: {propagation: ${length}}}`));
  await propagation("10m");
  await work.put("payments.yaml", identityYaml("payments", "{jwt: {tokens: [{audience: a}]}}"));
  const places = ["--identities", work.identities, "--out", work.out];
  const run = (): ChildProcess => start(["local", ...places, "--listen", listen]);
  const first = run();
  const killed = finished(first);
  await until("the first key", () => jwtKey(work, "Active"));
  expect(await meshid(["rotate", "jwt", "--state", work.state])).toMatchObject({ code: 0 });
  // Only its time is waited for: all files have it.
  const { keyID } = await until("the next key", async () => {
    const next = await jwtKey(work, "Prepared");
    return next?.waitingFor?.includes("given time to follow") === true ? next : undefined;
  });
  first.kill("SIGKILL");
  await killed;
  await propagation(`${PROPAGATION}s`);
  await new Promise((resolve) => setTimeout(resolve, (PROPAGATION + 1) * 1000));
  const second = run();
  const ended = finished(second);
  const used = await until("its use", async () => {
    const active = await jwtKey(work, "Active");
    return active?.keyID === keyID ? active : undefined;
  });
  second.kill("SIGTERM");
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly msg: string; readonly time: string });
  const serving = lines.find(({ msg }) => msg === "serving");
  return (Date.parse(used.since) - Date.parse(serving?.time ?? "")) / 1000;
}

describe("a JWT key that was published before a SIGKILL", () => {
  it("is used at once after its time where nobody fetches: files were there all the while", async () => {
    expect(await usedAfter("none")).toBeLessThan(PROPAGATION);
  });

  it("is used only after those who fetch it have had its time again", async () => {
    // `since` has whole seconds.
    expect(await usedAfter(`127.0.0.1:${await freePort()}`)).toBeGreaterThan(PROPAGATION - 1);
  });
});
