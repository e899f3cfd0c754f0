/**
 * The schemas of `crds/`, loaded once.
 */

import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { compileSchemas, type ValidateDocument } from "../registration/schema.ts";

const FILES = ["meshid.dev_serviceidentities.yaml", "meshid.dev_trustdomains.yaml"] as const;

export async function loadSchemas(): Promise<ValidateDocument> {
  return compileSchemas(await loadCrds());
}

/** The CustomResourceDefinitions of this version. */
export async function loadCrds(): Promise<readonly unknown[]> {
  const directory = new URL("../../crds/", import.meta.url);
  const texts = await Promise.all(FILES.map((file) => readFile(new URL(file, directory), "utf8")));
  return texts.map((text) => parse(text) as unknown);
}
