/**
 * What earlier runs have written without `--group`, or for another one, is opened for the group of this run: most of it is not
 * written again before it is renewed.
 */

import { lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ifPresent, storing } from "./files.ts";
import { modesFor } from "./object-store.ts";
import { own, type VolumeModes } from "./volume.ts";

/** `paths`: volumes and files of ours, with the directories that they lie in. @throws STORAGE_FAILED. */
export function openForGroup(paths: readonly string[], gid: number): void {
  const modes = modesFor(gid);
  for (const path of paths) openTree(path, modes, true);
  for (const path of new Set(paths.map(dirname))) openOne(path, modes);
}

/** The revisions of a volume with all that is in them; what someone else put beside them stays as it is. */
function openTree(path: string, modes: VolumeModes, isVolume: boolean): void {
  const entries = ifPresent(path, () => (lstatSync(path).isDirectory() ? readdirSync(path) : [])) ?? [];
  for (const name of entries)
    if (!isVolume || name.startsWith("..")) openTree(join(path, name), modes, false);
  openOne(path, modes);
}

/** Links are not followed, and a mode that a person has made wider stays. */
function openOne(path: string, modes: VolumeModes): void {
  const stat = ifPresent(path, () => lstatSync(path));
  if (stat === undefined || !(stat.isDirectory() || stat.isFile())) return;
  const mode = stat.isDirectory() ? modes.directory : modes.file;
  if (stat.gid === modes.gid && (stat.mode & mode) === mode) return;
  storing("opening for the group", path, () => own(path, mode, modes.gid));
}
