/**
 * The product's own client on a control plane for tests, by a kubeconfig or as a pod does it.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { milliseconds } from "../../../src/core/brand.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { type Connection, connect } from "../../../src/kubernetes/connection.ts";
import { type RequestObserver, Transport } from "../../../src/kubernetes/transport.ts";
import type { ControlPlane } from "../control-plane/types.ts";

type Attempt = Parameters<RequestObserver>[0];

export interface Connected extends Disposable {
  readonly client: Transport;
  readonly attempts: readonly Attempt[];
  /** `GET 200`, `PATCH 409` … of all attempts so far. */
  readonly codes: () => readonly string[];
}

/** `port`: of a relay to the server. */
export function connected(connection: Connection, port?: number, clock: Clock = systemClock): Connected {
  const attempts: Attempt[] = [];
  const server = new URL(connection.server);
  if (port !== undefined) server.port = String(port);
  const client = new Transport({
    connection: { ...connection, server },
    clock,
    random: systemRandom,
    userAgent: "meshid/test",
    observe: (attempt) => attempts.push(attempt),
  });
  return {
    client,
    attempts,
    codes: () => attempts.map(({ method, code }) => `${method} ${code}`),
    [Symbol.dispose]: () => client.close(),
  };
}

export function byKubeconfig(kubeconfig: string): Promise<Connection> {
  return connect({ env: {}, kubeconfig, monotonic: () => systemClock.monotonic() });
}

/** The client of the admin. */
export async function asAdmin(plane: ControlPlane, port?: number): Promise<Connected> {
  return connected(await byKubeconfig(plane.kubeconfig), port);
}

/** The files that a pod finds. */
export interface PodFiles extends AsyncDisposable {
  write(files: Readonly<Partial<Record<"token" | "ca.crt" | "namespace", string>>>): Promise<void>;
  /** Reads the files when asked, and again when `wait` has moved time on. */
  connect(): Promise<Connection>;
  wait(length: number): void;
}

export async function podFiles(plane: ControlPlane, namespace: string): Promise<PodFiles> {
  const dir = await mkdtemp(join(tmpdir(), "meshid-pod-"));
  let passed = 0;
  const write: PodFiles["write"] = async (files) => {
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  };
  await write({ "ca.crt": plane.ca, namespace });
  const { hostname, port } = new URL(plane.server);
  return {
    write,
    connect: () =>
      connect({
        env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
        monotonic: () => milliseconds(systemClock.monotonic() + passed),
        podDirectory: dir,
      }),
    wait: (length) => {
      passed += length;
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** A token of a ServiceAccount, as the kubelet asks for it. */
export async function tokenOf(plane: ControlPlane, namespace: string, name = "default"): Promise<string> {
  const { status, body } = await plane.request({
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } },
  });
  if (status !== 201) throw new Error(`no token: ${JSON.stringify(body)}`);
  return (body as { readonly status: { readonly token: string } }).status.token;
}
