/**
 * The issuing certificate of `authority.source: Secret`, read from its Secret again and again. What is there is used once it
 * was checked as a whole; until then what was used before goes on.
 */

import { type ExternalAuthority, readExternalAuthority } from "../authority/external-authority.ts";
import { type ExternalContext, misfitOf } from "../authority/external-chain.ts";
import type { AuthorityPolicy } from "../authority/policy.ts";
import type { DesiredState } from "../controller/ports.ts";
import { seconds } from "../core/brand.ts";
import { type Clock, throwIfAborted } from "../core/clock.ts";
import { digest } from "../core/digest.ts";
import { isOperatorError, messageOf, OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import type { TrustDomainPolicy } from "../registration/trust-domain-policy.ts";
import type { CertificatePem } from "../x509/pem.ts";

export interface BroughtCaOptions {
  readonly desired: Pick<DesiredState, "secretValue">;
  /** Where the Secret lies: the operator's. */
  readonly namespace: string;
  readonly clusterDomain: string;
  readonly clock: Clock;
  readonly policy: () => TrustDomainPolicy;
  readonly onProblem: (message: string) => void;
}

const FILES = { certificate: "tls.crt", key: "tls.key", roots: "ca.crt" } as const;
/** A chain must still be valid for so many times the propagation: there must be time to follow it, and for the next one. */
const LEAST_LIFE = 4;
/** The files of a Secret that changes are read one after the other: what does not fit together is read once more. */
const ATTEMPTS = 2;
/** In milliseconds: rounds of the authority may follow each other closely. */
const REST = 2000;

type Files = Parameters<typeof readExternalAuthority>[0];

/** Where the Secret lies; `text` as in `Secret meshid-system/byo-ca`. */
interface Place {
  readonly name: string;
  readonly text: string;
}

export class BroughtCa {
  readonly #options: BroughtCaOptions;
  #authority: ExternalAuthority | undefined;
  #problem: string | undefined;
  /** What was found good once stays good, however little life is left: also where it was away meanwhile. */
  #good: { readonly files: string; readonly authority: ExternalAuthority } | undefined;
  #last: { readonly at: number; readonly place: string } | undefined;

  constructor(options: BroughtCaOptions) {
    this.#options = options;
  }

  /** Reads the Secret anew, where the TrustDomain names one. @throws ABORTED. */
  async refresh(signal: AbortSignal): Promise<void> {
    const place = this.#place();
    if (place === undefined) {
      this.#authority = undefined;
      this.#problem = undefined;
      this.#good = undefined;
      this.#last = undefined;
      return;
    }
    const at = this.#options.clock.monotonic();
    if (this.#last?.place === place.text && at < this.#last.at + REST) return;
    this.#last = { at, place: place.text };
    let fault: unknown;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        this.#take(await this.#read(place, signal), place.text);
        this.#problem = undefined;
        return;
      } catch (error) {
        if (!isOperatorError(error)) throw error;
        throwIfAborted(signal);
        fault = error;
        // What took its time would take it again.
        if (error.code !== "SECRET_INVALID" && this.#options.clock.monotonic() > at + REST) break;
      }
    }
    const message = messageOf(fault);
    if (message !== this.#problem) this.#options.onProblem(message);
    this.#problem = message;
    this.#authority = undefined;
  }

  /** What is there to be used; undefined where the authority makes its own. */
  current(): AuthorityPolicy["external"] {
    const place = this.#place();
    if (place === undefined) return undefined;
    return {
      place: place.text,
      authority: this.#authority,
      problem: this.#problem,
      misfit: (root, chains) => {
        const faults = chains.map((chain) => misfitOf(root, chain, this.#context(place.text)));
        return faults.find((fault) => fault !== undefined);
      },
    };
  }

  /**
   * Roots that stand beside the one in use, to be published with it: the latest that were good, for a slip in the Secret takes
   * none of them from the peers that need it. Undefined while they are not known.
   */
  get otherRoots(): readonly CertificatePem[] | undefined {
    return this.#place() === undefined ? [] : this.#good?.authority.otherRoots;
  }

  /** Why what is there cannot be used; undefined where it can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  #place(): Place | undefined {
    const { source, secretRef } = this.#options.policy().authority;
    if (source !== "Secret" || secretRef === undefined) return undefined;
    return { name: secretRef.name, text: `Secret ${this.#options.namespace}/${secretRef.name}` };
  }

  /** @throws SECRET_INVALID, STORAGE_FAILED, ABORTED. */
  async #read({ name, text }: Place, signal: AbortSignal): Promise<Files> {
    const { desired, namespace } = this.#options;
    const read = async (key: string): Promise<Secret> => {
      const value = await desired.secretValue(namespace, name, key, signal);
      if (value !== undefined) return value;
      const message = `${text}: ${key} is missing; expected tls.crt, tls.key and ca.crt`;
      throw new OperatorError("SECRET_INVALID", message, { details: { place: text } });
    };
    const certificate = await read(FILES.certificate);
    const key = await read(FILES.key);
    const roots = await read(FILES.roots);
    return { certificate: certificate.reveal(), key, roots: roots.reveal() };
  }

  /** @throws SECRET_INVALID */
  #take(files: Files, place: string): void {
    const digested = digest(files.certificate, files.key.reveal(), files.roots);
    if (digested !== this.#good?.files) {
      const authority = readExternalAuthority(files, this.#context(place));
      this.#good = { files: digested, authority };
    }
    this.#authority = this.#good?.authority;
  }

  #context(place: string): ExternalContext {
    const { clock, policy, clusterDomain } = this.#options;
    const { trustDomain, rotation } = policy();
    const service = "workload.namespace.svc";
    return {
      trustDomain,
      now: clock.now(),
      place,
      leastLife: seconds(LEAST_LIFE * rotation.propagation),
      dnsNames: [service, `${service}.${clusterDomain}`],
    };
  }
}
