/**
 * Every package has a reason to be here, written down.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";

const root = join(import.meta.dirname, "..");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

describe("docs/dependencies.md", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  const text = readFileSync(join(root, "docs/dependencies.md"), "utf8");

  it("gives a reason for each package that meshid runs with, and for no other", () => {
    const rows = [...text.matchAll(/^\| `([^`]+)` \| ([^|]{10,}) \| ([^|]+) \|$/gm)].map(
      ([, name = ""]) => name,
    );
    expect(rows.sort()).toEqual(Object.keys(manifest.dependencies).sort());
  });

  it("names each package of development", () => {
    const { devDependencies, optionalDependencies } = manifest;
    const names = [...Object.keys(devDependencies), ...Object.keys(optionalDependencies)];
    const covered = (name: string): boolean =>
      text.includes(`\`${name}\``) || (name.startsWith("@types/") && text.includes("`@types/*`"));
    expect(names.filter((name) => !covered(name))).toEqual([]);
  });

  it("pins every version", () => {
    const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });
});
