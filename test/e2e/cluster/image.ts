/**
 * The image built from this checkout, and its way into the cluster.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage, docker, TAG } from "../../support/image.ts";
import { mustShell } from "./cluster.ts";

/** E2E_IMAGE names the archive; where it is not set, docker builds one. @throws Error saying what is missing. */
export async function loadImage(): Promise<void> {
  const load = process.env["E2E_LOAD_IMAGE"] ?? "";
  if (load === "")
    throw new Error(
      'E2E_LOAD_IMAGE: expected a command that loads an image archive, as "kind load image-archive"',
    );
  const given = process.env["E2E_IMAGE"] ?? "";
  if (given !== "") {
    await mustShell(`${load} '${given}'`);
    return;
  }
  const scratch = await mkdtemp(join(tmpdir(), "meshid-e2e-"));
  try {
    const archive = join(scratch, "meshid.tar");
    await buildImage(TAG);
    await docker("save", "--output", archive, TAG);
    await mustShell(`${load} '${archive}'`);
  } finally {
    await rm(scratch, { recursive: true });
  }
}
