import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** The CustomResourceDefinitions of the repository, parsed. */
export const DEFINITIONS: readonly unknown[] = ["serviceidentities", "trustdomains"].map((plural) =>
  parse(readFileSync(new URL(`../../crds/meshid.dev_${plural}.yaml`, import.meta.url), "utf8")),
);
