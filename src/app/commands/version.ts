/**
 * `meshid version`
 */

import { readFile } from "node:fs/promises";
import { asRecord } from "../../core/strict-json.ts";
import { EXIT, type Io } from "../io.ts";
import type { GivenOptions } from "../options.ts";
import { formatData, outputFormat } from "../output.ts";

export async function runVersion(options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options);
  const version = await readVersion();
  const { node } = process.versions;
  const platform = `${process.platform}-${process.arch}`;
  const isData = format === "json" || format === "yaml";
  io.stdout.write(
    isData
      ? await formatData({ version, node, platform }, format)
      : `meshid ${version} (Node ${node}, ${platform})\n`,
  );
  return EXIT.ok;
}

/** Of the package that this file belongs to. */
export async function readVersion(): Promise<string> {
  const text = await readFile(new URL("../../../package.json", import.meta.url), "utf8");
  const version = asRecord(JSON.parse(text))?.["version"];
  return typeof version === "string" ? version : "unknown";
}
