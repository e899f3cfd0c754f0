import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { composeClient } from "../../../src/app/compose-client.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { scratch } from "../../support/directory.ts";

describe("the client of a command", () => {
  const open = (directory: string, script: string): ReturnType<typeof composeClient> => {
    const kubeconfig = join(directory, "kubeconfig");
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "sh", args: ["-c", script] };
    const config = {
      clusters: [{ name: "c", cluster: { server: "https://api.example.org:6443" } }],
      users: [{ name: "u", user: { exec } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    return composeClient(
      { kubeconfig, context: undefined },
      { env: {}, clock: systemClock, random: systemRandom },
    );
  };

  it("waits for a login by a plugin before the deadline of the first request counts", async () => {
    using box = scratch();
    const done = join(box.dir, "logged-in");
    const access = await open(
      box.dir,
      `sleep 0.3; echo '{"status":{"token":"one"}}'; exec >&-; touch ${done}`,
    );
    access.close();
    expect(existsSync(done)).toBe(true);
  });

  it("leaves it to the first request to say that a plugin failed", async () => {
    using box = scratch();
    const access = await open(box.dir, "exit 3");
    access.close();
    expect(access.server).toBe("https://api.example.org:6443/");
  });
});
