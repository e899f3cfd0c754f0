/**
 * Brings directories to where peers look, late, as the kubelet and copies between machines do: each change arrives after a lag,
 * whole, by the swap of `..data`.
 */

import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { between } from "./bed.ts";

/** What lies in a volume at one moment. */
export interface Shown {
  /** Another one, another content. */
  readonly version: string;
  readonly files: Readonly<Record<string, Buffer>>;
}

export interface Lag {
  /** Milliseconds between a change and its arrival. */
  readonly min: number;
  readonly max: number;
}

const LOOK_EVERY = 200;

export class Mirror implements AsyncDisposable {
  readonly #lag: Lag;
  /** The volumes' newest contents by directory; a volume that is not in it stays as it is. */
  readonly #look: () => Promise<ReadonlyMap<string, Shown>>;
  readonly #arrived = new Map<string, string>();
  readonly #due = new Map<string, number>();
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();

  constructor(lag: Lag, look: () => Promise<ReadonlyMap<string, Shown>>) {
    this.#lag = lag;
    this.#look = look;
  }

  start(): void {
    this.#work = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // A source that cannot be read now is read the next time.
      const volumes = await this.#look().catch((): ReadonlyMap<string, Shown> => new Map());
      for (const [directory, shown] of volumes) await this.#bring(directory, shown);
      await pause(LOOK_EVERY);
    }
  }

  /** What arrives is what is there then, not what was there when the change was seen. */
  async #bring(directory: string, shown: Shown): Promise<void> {
    if (this.#arrived.get(directory) === shown.version) return void this.#due.delete(directory);
    const due = this.#due.get(directory) ?? Date.now() + between(this.#lag.min, this.#lag.max);
    this.#due.set(directory, due);
    // The first content is there before its pod is.
    if (Date.now() < due && this.#arrived.has(directory)) return;
    await swap(directory, shown.files);
    this.#arrived.set(directory, shown.version);
    this.#due.delete(directory);
  }
}

/** As the kubelet's atomic writer does it. */
async function swap(directory: string, files: Readonly<Record<string, Buffer>>): Promise<void> {
  await mkdir(directory, { recursive: true });
  const before = await readlink(join(directory, "..data")).catch(() => undefined);
  const revision = `..${new Date().toISOString().replace(/[-:.]/g, "_")}`;
  await mkdir(join(directory, revision));
  for (const [name, content] of Object.entries(files))
    await writeFile(join(directory, revision, name), content, { mode: 0o600 });
  await symlink(revision, join(directory, "..data_tmp"));
  await rename(join(directory, "..data_tmp"), join(directory, "..data"));
  const known = new Set(await readdir(directory));
  for (const name of Object.keys(files))
    if (!known.has(name)) await symlink(join("..data", name), join(directory, name));
  if (before !== undefined) await rm(join(directory, before), { recursive: true });
}

/** What a directory of meshid's shows now. @throws Error where it is swapped meanwhile. */
export async function shownIn(directory: string): Promise<Shown> {
  const version = await readlink(join(directory, "..data"));
  const files: Record<string, Buffer> = {};
  for (const name of await readdir(join(directory, version)))
    files[name] = await readFile(join(directory, version, name));
  return { version, files };
}
