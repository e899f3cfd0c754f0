/**
 * The HTTPS server of a replica: it starts when the leader has written a certificate for it, and follows each new one.
 */

import type { Routes } from "../http/application.ts";
import { discoveryRoutes } from "../http/discovery-routes.ts";
import { formatAddress, type HttpServer } from "../http/server.ts";
import type { TlsCredentials } from "../http/tls.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Address } from "./address.ts";
import type { Publication } from "./publication.ts";

export interface DiscoveryServerOptions {
  readonly address: Address;
  readonly make: (options: Address & { readonly tls: TlsCredentials; readonly routes: Routes }) => HttpServer;
  readonly logger: Logger;
}

export class DiscoveryServer implements AsyncDisposable {
  readonly #options: DiscoveryServerOptions;
  readonly #failure = Promise.withResolvers<never>();
  #stopping: AbortSignal | undefined;
  #server: HttpServer | undefined;
  #chain = "";
  #isListening = false;

  constructor(options: DiscoveryServerOptions) {
    this.#options = options;
    // Whoever waits for it is told; nobody need wait.
    this.#failure.promise.catch(() => {});
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  /** Rejects when the address cannot be used. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /** From now on it may listen, and it tells clients to go once `signal` aborts. */
  open(signal: AbortSignal, publication: Publication): void {
    this.#stopping = signal;
    this.publish(publication);
  }

  /** What is to be served changed. */
  publish(publication: Publication): void {
    const { tls, journal } = publication;
    const { logger } = this.#options;
    if (this.#stopping === undefined || tls === undefined || journal === undefined) return;
    if (this.#server === undefined) {
      // Nobody is sent here any more.
      if (this.#stopping.aborted) return;
      const routes = discoveryRoutes(publication.documents, new URL(journal.issuer).pathname);
      this.#server = this.#options.make({ ...this.#options.address, tls, routes });
      this.#start(this.#server, this.#stopping).catch(this.#failure.reject);
    } else if (tls.chain !== this.#chain) {
      try {
        this.#server.reload(tls);
      } catch (error) {
        logger.error({ component: "http", err: error }, "the server's new certificate cannot be used");
      }
    }
    this.#chain = tls.chain;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = undefined;
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #start(server: HttpServer, signal: AbortSignal): Promise<void> {
    await server.start(signal);
    this.#isListening = true;
    this.#options.logger.info(
      { component: "http", address: formatAddress(server.address()) },
      "serving JWKS, discovery and bundle over HTTPS",
    );
  }
}
