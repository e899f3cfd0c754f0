import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import { finished } from "../../support/local-process.ts";

const DEMO = fileURLToPath(new URL("../../../hack/demo.ts", import.meta.url));

describe("npm run demo", () => {
  it("does the main job while two peers talk, ends by itself with 0, and leaves nothing behind", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "meshid-demo-test-"));
    const env = { ...process.env, NODE_OPTIONS: "", TMPDIR: temporary };
    const demo = spawn(process.execPath, [DEMO], { stdio: ["ignore", "pipe", "pipe"], env });
    const { code, stdout, stderr } = await finished(demo);
    try {
      expect(stderr).toBe("");
      expect(code).toBe(0);
      for (const text of [
        "four services hold a certificate and their tokens",
        "SPIFFE ID     spiffe://bookinfo.example/ns/default/sa/bookinfo-productpage",
        "✓ sub spiffe://bookinfo.example/ns/default/sa/bookinfo-productpage, aud details.default",
        "✓ details: serial ",
        "✓ both hold certificates under the new root",
        "kind: PeerAuthentication",
        "mode: STRICT",
      ])
        expect(stdout).toContain(text);
      const [, handshakes = "0"] =
        /(\d+) handshakes over two renewals and a rotation of the root, 0 failed\n$/.exec(stdout) ?? [];
      expect(Number(handshakes)).toBeGreaterThan(100);
      // No colours in a pipe.
      expect(stdout).not.toContain("\u001b[");
      expect(await readdir(temporary)).toEqual([]);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }, 240_000);
});
