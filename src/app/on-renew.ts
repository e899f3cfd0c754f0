/**
 * `--on-renew CMD`: runs after each change of what an identity holds, one run for each identity at a time.
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { messageOf } from "../core/errors.ts";
import type { ServiceIdentity } from "../registration/service-identity.ts";

const TIMEOUT: Milliseconds = milliseconds(60_000);
/** Between SIGTERM and SIGKILL. */
const GRACE: Milliseconds = milliseconds(5000);
const MAX_RUNNING = 8;

export interface OnRenewOptions {
  readonly command: string;
  readonly out: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A run that takes longer is stopped; a minute by default. */
  readonly timeout?: Milliseconds;
  readonly onError: (identity: ServiceIdentity, message: string) => void;
}

export class OnRenew {
  readonly #options: OnRenewOptions;
  /** By key: whether another run is wanted after the one that is under way. */
  readonly #wanted = new Map<string, ServiceIdentity>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: OnRenewOptions) {
    this.#options = options;
  }

  changed(identity: ServiceIdentity): void {
    this.#wanted.set(keyOf(identity), identity);
    this.#startWaiting();
  }

  /** Waits for every run that is wanted. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  #startWaiting(): void {
    for (const [key, identity] of this.#wanted) {
      if (this.#running.size >= MAX_RUNNING) return;
      if (this.#running.has(key)) continue;
      this.#wanted.delete(key);
      const run = this.#run(identity).finally(() => {
        this.#running.delete(key);
        this.#startWaiting();
      });
      this.#running.set(key, run);
    }
  }

  #run(identity: ServiceIdentity): Promise<void> {
    const { command, out, env, timeout = TIMEOUT, onError } = this.#options;
    const { namespace, name } = identity.metadata;
    const variables = { MESHID_NAMESPACE: namespace, MESHID_NAME: name, MESHID_DIR: join(out, namespace) };
    return new Promise((resolve) => {
      try {
        // Standard output is kept for answers of ours.
        const child = spawn(command, {
          shell: true,
          stdio: ["ignore", 2, 2],
          env: { ...env, ...variables },
          timeout,
        });
        // For those that do not listen to SIGTERM.
        const last = AbortSignal.timeout(timeout + GRACE);
        const kill = (): void => void child.kill("SIGKILL");
        last.addEventListener("abort", kill, { once: true });
        child.once("error", (error) => onError(identity, error.message));
        child.once("close", (code, signal) => {
          last.removeEventListener("abort", kill);
          if (code !== 0) onError(identity, `ended with ${signal ?? `exit code ${code}`}`);
          resolve();
        });
      } catch (error) {
        // No memory for another process, or more variables than one may have.
        onError(identity, messageOf(error));
        resolve();
      }
    });
  }
}

function keyOf({ metadata }: ServiceIdentity): string {
  return `${metadata.namespace}/${metadata.name}`;
}
