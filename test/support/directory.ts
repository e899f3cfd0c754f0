/**
 * The directory adapter on a scratch directory of the real file system.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSchemas } from "../../src/app/schemas.ts";
import type { Changes } from "../../src/controller/ports.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { Secret } from "../../src/core/secret.ts";
import { Directory } from "../../src/directory/directory.ts";
import { describeProblem } from "../../src/directory/documents.ts";
import type { ConfigMapManifest, SecretManifest } from "../../src/reconcile/manifests/manifest.ts";
import type { ObjectRef } from "../../src/reconcile/state.ts";
import { parseTrustDomain } from "../../src/spiffe/trust-domain.ts";
import type { Workspace } from "./local-process.ts";

export const NEVER: AbortSignal = new AbortController().signal;
export const SECRET = { kind: "Secret", namespace: "shop", name: "payments-tls" } as const;
export const POLICY = { kind: "PeerAuthentication", namespace: "shop", name: "payments" } as const;
export const BUNDLE = { kind: "ConfigMap", namespace: "shop", name: "meshid-bundle" } as const;

/** An empty directory, removed at the end of the scope. */
export function scratch(): Disposable & { readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "meshid-unit-"));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

/** What a consumer reads in a directory; undefined when there is none. */
export function shownIn(path: string): Readonly<Record<string, string>> | undefined {
  try {
    const names = readdirSync(path).filter((name) => !name.startsWith(".."));
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name), "utf8")]));
  } catch {
    return undefined;
  }
}

/** A directory that is not meshid's. */
export function plant(path: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(path, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
}

function bytes(data: Readonly<Record<string, string>>): Readonly<Record<string, Uint8Array>> {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)]));
}

/** `owner`: the ServiceIdentity, or the uid of the one that is called payments. */
export function secretOf(
  owner: string | { readonly name: string; readonly uid: string },
  data: Readonly<Record<string, string>>,
  ref: ObjectRef = SECRET,
): SecretManifest {
  const { name, uid } = typeof owner === "string" ? { name: "payments", uid: owner } : owner;
  return {
    kind: "Secret",
    ref,
    owner: { kind: "ServiceIdentity", name, uid },
    // An API server takes no Secret of that type without the two.
    type: "tls.crt" in data && "tls.key" in data ? "kubernetes.io/tls" : "Opaque",
    annotations: { "meshid.dev/revision": "1" },
    data: new Secret(bytes(data)),
  };
}

export function bundleOf(ownerUid: string, data: Readonly<Record<string, string>>): ConfigMapManifest {
  const owner = { kind: "TrustDomain", name: "cluster.local", uid: ownerUid } as const;
  return { kind: "ConfigMap", ref: BUNDLE, owner, annotations: {}, data };
}

/** Everything that a directory has announced. */
export class RecordedChanges implements Changes {
  readonly identities: string[] = [];
  readonly outputs: string[] = [];
  trustDomain = 0;
  rotations = 0;
  namespaces = 0;
  /** What whoever is told of changed identities throws. */
  failing: Error | undefined;

  async identitiesChanged(keys: readonly string[]): Promise<void> {
    if (this.failing !== undefined) throw this.failing;
    this.identities.push(...keys);
  }
  trustDomainChanged(): void {
    this.trustDomain++;
  }
  rotationRequested(): void {
    this.rotations++;
  }
  outputChanged(ref: ObjectRef, ownerUid: string | undefined): void {
    this.outputs.push(`${ref.kind} ${ref.namespace}/${ref.name} of ${ownerUid}`);
  }
  namespacesChanged(): void {
    this.namespaces++;
  }
}

export interface StartedDirectory extends AsyncDisposable {
  readonly directory: Directory;
  readonly changes: RecordedChanges;
  /** As users read them, in the order in which they were told. */
  readonly problems: readonly string[];
  /** Follows changes from now on. */
  follow(): void;
}

/** A directory as `meshid local` starts it, the lock and the authority left out. */
export async function startDirectory(workspace: Workspace): Promise<StartedDirectory> {
  const problems: string[] = [];
  mkdirSync(workspace.state, { recursive: true, mode: 0o700 });
  const directory = new Directory({
    identities: workspace.identities,
    out: workspace.out,
    state: workspace.state,
    trustDomain: parseTrustDomain("cluster.local"),
    gid: undefined,
    clock: systemClock,
    random: systemRandom,
    validate: await loadSchemas(),
    onProblem: (problem) => problems.push(describeProblem(problem)),
  });
  await directory.scan();
  await directory.load();
  directory.adopt();
  const changes = new RecordedChanges();
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  return {
    directory,
    changes,
    problems,
    follow: () => {
      running = directory.run(changes, stop.signal);
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
