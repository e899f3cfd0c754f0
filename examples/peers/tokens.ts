/**
 * How a workload checks the JWT-SVIDs that it is shown, with the library `jose`: against the JWKS that the issuer serves,
 * which is fetched anew now and then, and at once for a key that is not in it.
 */

import { readFile } from "node:fs/promises";
import { get } from "node:https";
import { join } from "node:path";
import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from "jose";

const REFRESH_MS = 5000;

export interface TokenVerifierOptions {
  /** The mounted X.509-SVID: its ca.crt proves the issuer's server. */
  readonly svid: string;
  /** `https://meshid.meshid-system.svc` */
  readonly issuer: string;
  /** The verifier's own name. */
  readonly audience: string;
}

export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  #keys: ReturnType<typeof createLocalJWKSet> | undefined;
  #fetchedAt = 0;
  /** How often the JWKS was fetched, and how often it could not be: then the last one is used. */
  readonly fetches = { ok: 0, failed: 0, lastError: "" };

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** @throws Error where the token does not prove this SPIFFE ID to this audience. */
  async verify(token: string, spiffeId: string): Promise<void> {
    const { issuer, audience } = this.#options;
    const rules = {
      issuer,
      audience,
      subject: spiffeId,
      algorithms: ["ES256"],
      requiredClaims: ["exp"],
      clockTolerance: 60,
    };
    const keys = await this.#current();
    try {
      await jwtVerify(token, keys, rules);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      this.#fetchedAt = 0;
      await jwtVerify(token, await this.#current(), rules);
    }
  }

  async #current(): Promise<ReturnType<typeof createLocalJWKSet>> {
    if (this.#keys === undefined || Date.now() - this.#fetchedAt > REFRESH_MS) {
      // Set first: those who come meanwhile use the keys that are there.
      this.#fetchedAt = Date.now();
      try {
        this.#keys = await this.#fetch();
        this.fetches.ok += 1;
      } catch (error) {
        if (this.#keys === undefined) throw error;
        this.fetches.failed += 1;
        this.fetches.lastError = error instanceof Error ? error.message : String(error);
      }
    }
    return this.#keys;
  }

  async #fetch(): Promise<ReturnType<typeof createLocalJWKSet>> {
    const { svid, issuer } = this.#options;
    const ca = await readFile(join(svid, "ca.crt"), "utf8");
    const discovery = (await getJson(`${issuer}/.well-known/openid-configuration`, ca)) as {
      readonly issuer: string;
      readonly jwks_uri: string;
    };
    if (discovery.issuer !== issuer) throw new Error(`expected issuer ${issuer}, met ${discovery.issuer}`);
    return createLocalJWKSet((await getJson(discovery.jwks_uri, ca)) as JSONWebKeySet);
  }
}

function getJson(url: string, ca: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = get(url, { ca, agent: false, timeout: 5000 }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(body));
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
    });
    call.on("timeout", () => call.destroy(new Error(`${url}: no answer within 5 s`)));
    call.on("error", reject);
  });
}
