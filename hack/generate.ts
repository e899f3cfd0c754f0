/**
 * Writes every file that is made from another one. `npm test` fails when one of them is not what this makes.
 */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findPrograms } from "../test/support/control-plane/programs.ts";
import { PINNED_VERSION } from "../test/support/control-plane/releases.ts";
import { chartFiles, HELM_TEMPLATE_ARGS, INSTALL_MANIFEST, installManifest } from "./generate-chart.ts";
import { cliDocs } from "./generate-docs.ts";
import { CRD_TYPES, crdTypes } from "./generate-types.ts";

const root = new URL("../", import.meta.url);

await writeFile(new URL("docs/cli.md", root), cliDocs());
await writeFile(new URL(CRD_TYPES, root), await crdTypes());
for (const [path, content] of await chartFiles()) await writeFile(new URL(path, root), content);

const helm = (await findPrograms(PINNED_VERSION)).get("helm") ?? "helm";
const { stdout } = await promisify(execFile)(helm, HELM_TEMPLATE_ARGS, {
  cwd: fileURLToPath(root),
  maxBuffer: 16 * 1024 * 1024,
});
await writeFile(new URL(INSTALL_MANIFEST, root), installManifest(stdout));
