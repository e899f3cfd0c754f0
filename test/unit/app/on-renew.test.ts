import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { OnRenew, type OnRenewOptions } from "../../../src/app/on-renew.ts";
import { milliseconds } from "../../../src/core/brand.ts";
import type { ServiceIdentity } from "../../../src/registration/service-identity.ts";
import { scratch } from "../../support/directory.ts";
import { until } from "../../support/local-process.ts";

function identityOf(name: string): ServiceIdentity {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name, namespace: "shop", uid: name, creationTimestamp: "", generation: 1 },
    spec: {},
  };
}

describe("--on-renew", () => {
  let place: ReturnType<typeof scratch>;
  let errors: string[];

  beforeEach(() => {
    place = scratch();
    errors = [];
  });
  afterEach(() => place[Symbol.dispose]());

  const at = (name: string): string => join(place.dir, name);
  const hook = (command: string, options: Partial<OnRenewOptions> = {}): OnRenew =>
    new OnRenew({
      command,
      out: "/out",
      env: { ...process.env, LOG: at("log"), GATE: at("gate") },
      ...options,
      onError: ({ metadata }, message) => errors.push(`${metadata.name}: ${message}`),
    });
  const logged = (): readonly string[] =>
    existsSync(at("log")) ? readFileSync(at("log"), "utf8").trim().split("\n").sort() : [];

  it("tells the command whose credentials changed, and where they are", async () => {
    const renew = hook('echo "$MESHID_NAMESPACE $MESHID_NAME $MESHID_DIR" >> "$LOG"');
    renew.changed(identityOf("a"));
    renew.changed(identityOf("b"));
    await renew.idle();
    expect(logged()).toEqual(["shop a /out/shop", "shop b /out/shop"]);
    expect(errors).toEqual([]);
  });

  it("runs once more after a run that a change came into, and no more than once at a time", async () => {
    const renew = hook('echo "start $MESHID_NAME" >> "$LOG"; while [ ! -e "$GATE" ]; do sleep 0.05; done');
    renew.changed(identityOf("a"));
    await until("the first run", async () => (logged().length === 1 ? true : undefined));
    for (let times = 0; times < 5; times++) renew.changed(identityOf("a"));
    writeFileSync(at("gate"), "");
    await renew.idle();
    expect(logged()).toEqual(["start a", "start a"]);
  });

  it("runs for every identity of a storm, eight at a time", async () => {
    const renew = hook('echo x >> "$LOG"');
    for (let index = 0; index < 30; index++) renew.changed(identityOf(`w${index}`));
    await renew.idle();
    expect(logged()).toHaveLength(30);
  });

  it.each([
    ["exit 3", "a: ended with exit code 3"],
    ["kill -9 $$", "a: ended with SIGKILL"],
    ["no-such-command-at-all 2>/dev/null", "a: ended with exit code 127"],
  ])("tells of a command that fails: %s", async (command, message) => {
    const renew = hook(command);
    renew.changed(identityOf("a"));
    await renew.idle();
    expect(errors).toEqual([message]);
  });

  it("tells of a command that cannot be started", async () => {
    const renew = hook("true", { env: { LARGE: "x".repeat(3_000_000) } });
    renew.changed(identityOf("a"));
    await renew.idle();
    expect(errors).toEqual([expect.stringContaining("spawn E2BIG")]);
  });

  it("stops a command that takes too long, which may clean up", async () => {
    const renew = hook(`trap 'echo cleaned >> "$LOG"; exit 4' TERM; while :; do sleep 0.1; done`, {
      timeout: milliseconds(1000),
    });
    renew.changed(identityOf("a"));
    await renew.idle();
    expect([logged(), errors]).toEqual([["cleaned"], ["a: ended with exit code 4"]]);
  });

  it("kills a command that does not listen", async () => {
    const renew = hook("trap '' TERM; while :; do sleep 0.1; done", { timeout: milliseconds(300) });
    renew.changed(identityOf("a"));
    await renew.idle();
    expect(errors).toEqual(["a: ended with SIGKILL"]);
  });
});
