/**
 * One Secret or ConfigMap as a directory, in the layout of kubelet's AtomicWriter: files are links through `..data`, which is
 * swapped by a rename, so that all of them change at once. A marker beside the files says whose it is.
 */

import {
  chmodSync,
  chownSync,
  type Dirent,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { digest } from "../core/digest.ts";
import { OperatorError } from "../core/errors.ts";
import { errnoOf, ifPresent, storing, writeWhole } from "./files.ts";

/** Beside the files, without a link of its own: keys of a Secret never begin with `..`. */
const MARKER = "..meshid.json";
const DATA = "..data";
const DATA_TMP = "..data_tmp";

interface VolumeMarker {
  readonly kind: "Secret" | "ConfigMap";
  readonly type?: string;
  readonly ownerUid: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Volume {
  readonly marker: VolumeMarker;
  readonly content: Readonly<Record<string, Uint8Array>>;
}

export interface VolumeModes {
  readonly directory: number;
  readonly file: number;
  readonly gid: number | undefined;
}

/**
 * Creates or replaces the volume. A SIGKILL at any instant leaves the old content or the new, and leftovers that the next
 * write removes. @throws NOT_OWNED when `path` is something else; STORAGE_FAILED (retryable).
 */
export function writeVolume(path: string, volume: Volume, modes: VolumeModes, revision: string): void {
  refuseForeign(path);
  storing("writing", path, () => {
    const isNew = makeOutput(path, modes);
    const fresh = `..${revision}`;
    try {
      fill(join(path, fresh), volume, modes);
      if (!isNew) rmSync(join(path, DATA_TMP), { force: true });
      symlinkSync(fresh, join(path, DATA_TMP));
      if (!isNew && revisionOf(path) === undefined)
        rmSync(join(path, DATA), { recursive: true, force: true });
      renameSync(join(path, DATA_TMP), join(path, DATA));
    } catch (error) {
      rmSync(join(path, fresh), { recursive: true, force: true });
      throw error;
    }
    if (isNew) link(path, Object.keys(volume.content));
    else tidy(path, fresh, Object.keys(volume.content));
  });
}

/** Undefined where there is no volume of ours (nothing, something else, or one that is not complete). */
export function readVolume(path: string): Volume | undefined {
  return ifPresent(path, () => {
    const revision = isRealDirectory(path) ? revisionOf(path) : undefined;
    if (revision === undefined) return undefined;
    const current = join(path, revision);
    const marker = parseMarker(readFileSync(join(current, MARKER), "utf8"));
    if (marker === undefined) return undefined;
    const names = keysIn(current);
    return {
      marker,
      content: Object.fromEntries(names.map((name) => [name, readFileSync(join(current, name))])),
    };
  });
}

/** Removes what is ours of a volume, whole or half-made; a file that someone else put there stays. */
export function removeVolume(path: string): void {
  storing("removing", path, () => {
    // The link first: a reader sees the volume whole or not at all. The markers last: what a kill leaves is known as ours.
    if (revisionOf(path) !== undefined) rmSync(join(path, DATA));
    const ours = readdirSync(path, { withFileTypes: true }).filter((entry) => isOurs(path, entry));
    for (const { name } of ours) if (!name.startsWith("..")) rmSync(join(path, name));
    for (const entry of ours) if (entry.name.startsWith("..")) removeRevision(join(path, entry.name), entry);
    if (readdirSync(path).length === 0) rmdirSync(path);
  });
}

function removeRevision(path: string, entry: Dirent): void {
  const names = entry.isDirectory() ? readdirSync(path).filter((name) => name !== MARKER) : [];
  for (const name of names) rmSync(join(path, name), { recursive: true, force: true });
  rmSync(path, { recursive: true, force: true });
}

/** Whether readers see other files than those of the volume, or a kill or a hand has left more beside them. */
export function needsMending(path: string): boolean {
  const revision = revisionOf(path);
  if (revision === undefined) return false;
  const wanted = new Set(keysIn(join(path, revision)));
  const entries = readdirSync(path, { withFileTypes: true });
  const linked = entries.filter((entry) => wanted.has(entry.name) && isLinkInto(path, entry));
  const rest = entries.filter(({ name }) => name !== DATA && name !== revision && !wanted.has(name));
  return linked.length < wanted.size || rest.some((entry) => isOurs(path, entry));
}

/** Shows the volume's own files and no others. */
export function mendVolume(path: string): void {
  const revision = revisionOf(path);
  if (revision === undefined) return;
  storing("mending", path, () => tidy(path, revision, keysIn(join(path, revision))));
}

function keysIn(revision: string): readonly string[] {
  return readdirSync(revision).filter((name) => name !== MARKER);
}

/** Whether a kill or a hand has left a volume of ours that shows nothing. */
export function isIncomplete(path: string): boolean {
  return (
    ifPresent(path, () => {
      if (!isRealDirectory(path) || readVolume(path) !== undefined) return false;
      // A copy that followed the links shows much: the next write makes it a volume again.
      if (isDirectoryAt(join(path, DATA))) return false;
      const entries = readdirSync(path);
      return entries.length > 0 && isKnown(path, entries);
    }) === true
  );
}

/** Changes whenever anyone touches what the volume shows; undefined where there is none. */
export function fingerprintOf(path: string): string | undefined {
  return ifPresent(path, () => {
    const revision = revisionOf(path);
    if (revision === undefined) return undefined;
    const current = join(path, revision);
    const files = readdirSync(current).map((name) => {
      const { ino, mtimeMs, size } = lstatSync(join(current, name));
      return `${name}:${ino}:${mtimeMs}:${size}`;
    });
    const shown = readdirSync(path, { withFileTypes: true }).map(
      (entry) => `${entry.name}${entry.isSymbolicLink() ? `@${readlinkSync(join(path, entry.name))}` : ""}`,
    );
    return digest(revision, ...shown, ...files);
  });
}

/** A directory of ours, even one that a kill left half-made, or nothing at all. @throws NOT_OWNED for all else. */
export function refuseForeign(path: string): void {
  const isOurs = ifPresent(path, () => {
    return isRealDirectory(path) && isKnown(path, readdirSync(path));
  });
  if (isOurs === false) {
    throw new OperatorError("NOT_OWNED", `${path} exists and is not meshid's`, { details: { path } });
  }
}

/** Whether a marker is there, or nothing but what a kill leaves before there is one. */
function isKnown(path: string, entries: readonly string[]): boolean {
  const hidden = entries.filter((entry) => entry.startsWith(".."));
  if (hidden.some((entry) => hasMarker(join(path, entry)))) return true;
  return hidden.length === entries.length && hidden.every((entry) => isEmptyDirectory(join(path, entry)));
}

function isEmptyDirectory(path: string): boolean {
  return isRealDirectory(path) && readdirSync(path).length === 0;
}

function hasMarker(directory: string): boolean {
  return ifPresent(directory, () => lstatSync(join(directory, MARKER)).isFile()) === true;
}

/** What `..data` points to; undefined where it is something else: a copy that followed the links has made it a directory. */
function revisionOf(path: string): string | undefined {
  const data = join(path, DATA);
  return ifPresent(data, () => (lstatSync(data).isSymbolicLink() ? readlinkSync(data) : undefined));
}

function isDirectoryAt(path: string): boolean {
  return ifPresent(path, () => isRealDirectory(path)) === true;
}

function isRealDirectory(path: string): boolean {
  return lstatSync(path).isDirectory();
}

/** Whether it had to be made. */
function makeOutput(path: string, modes: VolumeModes): boolean {
  try {
    mkdirSync(path, { mode: modes.directory });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    return false;
  }
  own(path, modes.directory, modes.gid);
  return true;
}

/** Gives a file or directory to a group, whatever the umask says. */
export function own(path: string, mode: number, gid: number | undefined): void {
  if (gid === undefined) return;
  chownSync(path, -1, gid);
  chmodSync(path, mode);
}

function fill(directory: string, { marker, content }: Volume, modes: VolumeModes): void {
  mkdirSync(directory, { mode: modes.directory });
  // The marker goes first: from then on what a kill leaves behind is known to be ours.
  const files = { [MARKER]: Buffer.from(JSON.stringify(marker)), ...content };
  for (const [name, bytes] of Object.entries(files)) {
    writeWhole(join(directory, name), bytes, { mode: modes.file, durable: false });
  }
  own(directory, modes.directory, modes.gid);
  for (const name of Object.keys(files)) own(join(directory, name), modes.file, modes.gid);
}

/** Links for new keys, no links for old ones, no earlier revisions. */
function tidy(path: string, current: string, keys: readonly string[]): void {
  const wanted = new Set(keys);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const { name } = entry;
    if (name === DATA || name === current) continue;
    if (wanted.has(name) && isLinkInto(path, entry)) {
      wanted.delete(name);
      continue;
    }
    if (wanted.has(name) || isOurs(path, entry)) rmSync(join(path, name), { recursive: true, force: true });
  }
  link(path, [...wanted]);
}

function link(path: string, keys: readonly string[]): void {
  for (const name of keys) symlinkSync(`${DATA}/${name}`, join(path, name));
}

/** The link that `link` makes. */
function isLinkInto(path: string, entry: Dirent): boolean {
  return entry.isSymbolicLink() && readlinkSync(join(path, entry.name)) === `${DATA}/${entry.name}`;
}

/** Links into `..data` and revisions; all else was put there by someone else. */
function isOurs(path: string, entry: Dirent): boolean {
  if (entry.name.startsWith("..")) return true;
  return entry.isSymbolicLink() && readlinkSync(join(path, entry.name)).startsWith(`${DATA}/`);
}

function parseMarker(text: string): VolumeMarker | undefined {
  try {
    const value = JSON.parse(text) as Partial<VolumeMarker>;
    if (value.kind !== "Secret" && value.kind !== "ConfigMap") return undefined;
    return {
      kind: value.kind,
      ownerUid: value.ownerUid,
      annotations: value.annotations ?? {},
      ...(value.type === undefined ? {} : { type: value.type }),
    };
  } catch {
    return undefined; // not written by us
  }
}
