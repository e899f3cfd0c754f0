import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { composeClient } from "../../../src/app/compose-client.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { scratch } from "../../support/directory.ts";
import { pluginKubeconfig } from "../../support/kubernetes/plugin-kubeconfig.ts";

describe("the client of a command", () => {
  const open = (directory: string, script: string): ReturnType<typeof composeClient> => {
    const kubeconfig = join(directory, "kubeconfig");
    writeFileSync(kubeconfig, pluginKubeconfig(script, { server: "https://api.example.org:6443" }));
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

  it("leaves it to the first request to say that a plugin failed, which is not run again for it", async () => {
    using box = scratch();
    const log = join(box.dir, "log");
    const access = await open(box.dir, `echo run >> ${log}; echo no session >&2; exit 3`);
    const asked = access.client.request({ method: "GET", path: "/api" }, new AbortController().signal);
    await expect(asked).rejects.toThrow("no session");
    access.close();
    expect(readFileSync(log, "utf8")).toBe("run\n");
  });
});
