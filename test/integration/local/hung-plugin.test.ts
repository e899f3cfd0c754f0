/**
 * A controller outside of a cluster whose kubeconfig has a plugin that never answers.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { scratch } from "../../support/directory.ts";
import { pluginKubeconfig } from "../../support/kubernetes/plugin-kubeconfig.ts";
import { finished, start, until } from "../../support/local-process.ts";

it("is stopped by SIGTERM all the same, and its process ends", async () => {
  using box = scratch();
  const kubeconfig = join(box.dir, "kubeconfig");
  // The plugin ends with this test.
  const script = `while [ -e ${kubeconfig} ]; do sleep 0.1; done`;
  writeFileSync(kubeconfig, pluginKubeconfig(script, { server: "https://127.0.0.1:1" }));
  const flags = [
    "--kubeconfig",
    kubeconfig,
    "--namespace",
    "meshid-system",
    "--trust-domain",
    "mesh.example",
  ];
  const controller = start(["controller", ...flags, "--listen", "none", "--probes", "127.0.0.1:0"]);
  const ended = finished(controller);
  let log = "";
  controller.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  await until("its start", async () => log.includes("serving probes") || undefined);
  controller.kill("SIGTERM");
  expect(await ended).toMatchObject({ code: 0, signal: null });
});
