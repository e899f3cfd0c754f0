/**
 * The image on a real container engine. Where nothing can be pulled:
 *
 *     TESTCONTAINERS_RYUK_DISABLED=true E2E_BUILD_ARGS="--network host $(test/e2e/image/import-bases)" npm run e2e:image
 */

import { beforeAll, describe, expect, it } from "@jest/globals";
import { GenericContainer, Wait } from "testcontainers";
import { buildImage, docker, TAG } from "../../support/image.ts";

const SECOND = "meshid-e2e:second";
/** Without the base: Node alone is 127 MB. */
const SIZE_LIMIT = 185_000_000;
const NODE = "/app/bin/node";
/** As the chart runs it, and with even less. */
const CONFINED = [
  "run",
  "--rm",
  "--read-only",
  "--network=none",
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges",
];

async function inspect(tag: string, format: string): Promise<unknown> {
  return JSON.parse(await docker("image", "inspect", tag, "--format", `{{json ${format}}}`));
}

/** Only this turns the suite off; its tests then count as skipped. */
const describeImage = process.env["MESHID_SKIP_IMAGE_TESTS"] === "1" ? describe.skip : describe;

describeImage("the image", () => {
  beforeAll(() => buildImage(TAG), 900_000);

  it("runs without root, without a writable file, without network and capabilities", async () => {
    expect(await inspect(TAG, ".Config.User")).toBe("65532:65532");
    expect(await docker(...CONFINED, TAG, "version")).toMatch(/^meshid 0\.1\.0 \(Node 24\./);
    // Clusters that choose the user themselves.
    expect(await docker(...CONFINED, "--user=1000860000:0", TAG, "version")).toMatch(/^meshid /);
  }, 60_000);

  it("has no shell and no package manager", async () => {
    const list =
      "const { globSync } = require('node:fs'); console.log(globSync('/{,usr/}{,local/}{s,}bin/*').join(' '))";
    const programs = (await docker(...CONFINED, "--entrypoint", NODE, TAG, "-e", list)).trim().split(" ");
    expect(
      programs.filter((path) => /\/(ba|da|a|z|k)?sh$|\/(busybox|npm|npx|apt|apk|dpkg)$/.test(path)),
    ).toEqual([]);
    await expect(docker(...CONFINED, "--entrypoint", "/bin/sh", TAG, "-c", "true")).rejects.toThrow(
      /no such file/,
    );
  }, 60_000);

  it("has all that the Kubernetes client loads", async () => {
    const load =
      "import('/app/node_modules/@kubernetes/client-node/dist/index.js').then((k) => console.log(typeof k.KubeConfig))";
    expect(await docker(...CONFINED, "--entrypoint", NODE, TAG, "-e", load)).toBe("function\n");
  }, 60_000);

  it(`is small: ${SIZE_LIMIT / 1e6} MB with Node in it`, async () => {
    expect(await inspect(TAG, ".Size")).toBeLessThan(SIZE_LIMIT);
  });

  it("issues, and ends by itself within seconds of SIGTERM", async () => {
    const identity =
      "apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata: {name: payments}\nspec: {}\n";
    const container = await new GenericContainer(TAG)
      .withNetworkMode("none")
      .withDroppedCapabilities("ALL")
      .withTmpFs({ "/out": "rw,uid=65532,gid=65532,mode=0700" })
      .withCopyContentToContainer([{ content: identity, target: "/identities/payments.yaml" }])
      .withCommand(["local", "--identities=/identities", "--out=/out", "--log-format=json"])
      .withWaitStrategy(Wait.forLogMessage(/"serviceIdentity":"default\/payments","reason":"Issued"/))
      .start();
    try {
      const said = await container.exec([NODE, "/app/dist/main.js", "inspect", "/out/default/payments-tls"]);
      expect(said.output).toContain("spiffe://cluster.local/ns/default/sa/payments");
      expect(said.exitCode).toBe(0);
    } finally {
      const begun = Date.now();
      await container.stop({ timeout: 60_000 });
      expect(Date.now() - begun).toBeLessThan(30_000);
    }
  }, 120_000);

  it("is the same to the byte when it is built again", async () => {
    // Another second on the clock, and nothing of the first build.
    await buildImage(SECOND, "--no-cache");
    expect(await inspect(SECOND, ".RootFS.Layers")).toEqual(await inspect(TAG, ".RootFS.Layers"));
  }, 900_000);
});
