/**
 * Checks JWT-SVIDs twice, as two kinds of verifiers do: against the JWKS in a mounted volume, and against a copy of the one that
 * meshid serves, which is fetched again when it is older than its max-age and never for the sake of an unknown key.
 */

import { get } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { tell } from "./calling.ts";
import { Mounted } from "./mounted.ts";
import type { PeerSettings } from "./told.ts";

const PATH = "/.well-known/jwks.json";
const TIMEOUT = 5000;
/** After a fetch that failed; the copy so far stays in use, as in Envoy and istiod. */
const RETRY = 1000;

export class TokenVerifier {
  readonly #settings: PeerSettings;
  readonly #mounted: Mounted<JSONWebKeySet>;
  readonly #roots: Mounted<string>;
  #served: JSONWebKeySet | undefined;

  constructor(settings: PeerSettings) {
    this.#settings = settings;
    this.#mounted = new Mounted(settings.jwt, ["jwks.json"], (files) =>
      JSON.parse(files["jwks.json"] ?? "{}"),
    );
    this.#roots = new Mounted(settings.tls, ["ca.crt"], (files) => files["ca.crt"] ?? "");
  }

  /** Fetches once, and from then on by itself. */
  async start(): Promise<void> {
    const maxAge = await this.#fetch();
    void this.#keepFresh(maxAge);
  }

  /** @throws Error naming which of the two did not accept it. */
  async verify(token: string, subject: string): Promise<void> {
    await this.#against("mounted", this.#mounted.current, token, subject);
    await this.#against("served", this.#served, token, subject);
  }

  async #against(
    which: string,
    jwks: JSONWebKeySet | undefined,
    token: string,
    subject: string,
  ): Promise<JWTPayload> {
    const { issuer, audience } = this.#settings;
    try {
      const keys = createLocalJWKSet(jwks ?? { keys: [] });
      const options = { issuer, audience, subject, requiredClaims: ["exp"] };
      return (await jwtVerify(token, keys, options)).payload;
    } catch (error) {
      const known = (jwks?.keys ?? []).map(({ kid }) => kid?.slice(0, 8)).join(" ");
      throw new Error(`${which} JWKS (${known}): ${(error as Error).message}`, { cause: error });
    }
  }

  async #keepFresh(firstMaxAge: number): Promise<void> {
    const { peer } = this.#settings;
    let wait = firstMaxAge * 1000;
    for (;;) {
      await pause(wait, undefined, { ref: false });
      try {
        wait = (await this.#fetch()) * 1000;
        tell({ tell: "jwks", at: Date.now(), peer, ok: true });
      } catch (error) {
        wait = RETRY;
        tell({ tell: "jwks", at: Date.now(), peer, ok: false, error: (error as Error).message });
      }
    }
  }

  /** Seconds that the copy may be kept. */
  #fetch(): Promise<number> {
    const { port, serverName: servername } = this.#settings.jwks;
    const ca = this.#roots.current;
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port, path: PATH, servername, ca, agent: false, timeout: TIMEOUT };
      const request = get({ ...options, headers: { host: servername } }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("error", reject).on("end", () => {
          const [, maxAge] = /max-age=(\d+)/.exec(response.headers["cache-control"] ?? "") ?? [];
          if (response.statusCode !== 200 || maxAge === undefined)
            return reject(new Error(`JWKS: ${response.statusCode}`));
          this.#served = JSON.parse(body) as JSONWebKeySet;
          resolve(Number(maxAge));
        });
      });
      request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT} ms`)));
      request.on("error", reject);
    });
  }
}
