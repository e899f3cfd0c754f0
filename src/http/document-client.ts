/**
 * Fetches the public documents of a replica as a client would: over HTTPS at the replica's own address, its certificate
 * checked against our own roots for the name of the Service.
 */

import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import type { ReplicaDocuments, ReplicaEndpoint } from "../controller/ports.ts";
import { type Milliseconds, milliseconds } from "../core/brand.ts";
import { type Clock, throwIfAborted } from "../core/clock.ts";
import { messageOf, OperatorError } from "../core/errors.ts";
import { MAX_BUNDLE_LENGTH } from "../spiffe/bundle.ts";
import { DISCOVERY_PATHS } from "./discovery-routes.ts";

export interface DocumentClientOptions {
  readonly clock: Clock;
  /** `ca`: PEM; `serverName`: what the certificate must be for. */
  readonly trust: () => { readonly ca: string; readonly serverName: string };
}

/** For both documents together, the connection included. */
const DEADLINE: Milliseconds = milliseconds(3000);

export function documentClient({ clock, trust }: DocumentClientOptions): ReplicaDocuments {
  return {
    fetch: async (endpoint, signal) => {
      const { ca, serverName } = trust();
      const agent = new Agent({
        ca,
        keepAlive: true,
        maxSockets: 1,
        minVersion: "TLSv1.2",
        servername: serverName,
      });
      const scope = new AbortController();
      const limit = new AbortController();
      const over = clock.sleep(DEADLINE, AbortSignal.any([scope.signal, signal]));
      void over.then(() => scope.signal.aborted || limit.abort());
      const get = (path: string): Promise<string> =>
        fetchText({
          ...addressOf(endpoint),
          path,
          agent,
          signal: limit.signal,
          headers: { host: serverName },
        });
      try {
        const bundleJson = await get(DISCOVERY_PATHS.bundle);
        return { bundleJson, jwksJson: await get(DISCOVERY_PATHS.jwks) };
      } catch (cause) {
        throwIfAborted(signal);
        const problem = limit.signal.aborted ? `no answer within ${DEADLINE / 1000} s` : messageOf(cause);
        throw new OperatorError("STORAGE_FAILED", `${nameOf(endpoint)}: ${problem}`, {
          retryable: true,
          cause,
        });
      } finally {
        scope.abort();
        agent.destroy();
      }
    },
  };
}

function addressOf({ address, port }: ReplicaEndpoint): Pick<RequestOptions, "host" | "port"> {
  return { host: address, port };
}

function nameOf({ address, port }: ReplicaEndpoint): string {
  return `https://${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** @throws Error saying what is wrong with the connection or the answer. */
function fetchText(options: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(options);
    request.on("error", reject);
    request.once("response", (response) => {
      readText(response).then(resolve, (error: unknown) => {
        request.destroy();
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
    request.end();
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) throw new Error(`answered with status ${response.statusCode}`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BUNDLE_LENGTH) throw new Error(`answered with more than ${MAX_BUNDLE_LENGTH} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
