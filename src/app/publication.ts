/**
 * What a replica serves over HTTP: the documents of the journal as it is stored, and the certificate of the server. Both are
 * read from Secrets that the leader writes, so that followers serve without a signing key.
 */

import { type Documents, documentsOf } from "../authority/published-content.ts";
import type { Journal } from "../authority/slot.ts";
import { type Seconds, seconds } from "../core/brand.ts";
import { messageOf } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import {
  type PublishedDocument,
  type PublishedDocuments,
  publishedDocument,
} from "../http/discovery-routes.ts";
import { secureContextOptions } from "../http/tls.ts";
import { JOURNAL_SECRET, journalIn } from "../kubernetes/authority-stores.ts";
import { SERVER_SECRET } from "../kubernetes/server-secret.ts";
import { parseTrustDomain } from "../spiffe/trust-domain.ts";

export interface ServerTls {
  readonly chain: string;
  readonly key: Secret;
}

/** PEM, all of it public. */
export interface StoredTls {
  readonly chain: string;
  readonly ca: string;
}

export interface PublicationOptions {
  /** Documents or the server's certificate are there for the first time, or changed. */
  readonly onChanged: () => void;
  /** Something of ours cannot be read: what was read before goes on being served. */
  readonly onError: (message: string) => void;
}

type Served = Readonly<Record<"discovery" | "jwks" | "bundle", PublishedDocument>>;

const FIRST_MAX_AGE = seconds(60);

export class Publication {
  readonly #options: PublicationOptions;
  #journal: Journal | undefined;
  #documents: Served | undefined;
  #tls: ServerTls | undefined;
  #stored: StoredTls | undefined;
  #hasSeenTls = false;

  constructor(options: PublicationOptions) {
    this.#options = options;
  }

  /** Undefined until there is a certificate with its key that can be served. */
  get tls(): ServerTls | undefined {
    return this.#tls;
  }

  /** The server's Secret as it is now; undefined where it is gone or of no use: it is to be written anew. */
  get stored(): StoredTls | undefined {
    return this.#stored;
  }

  /** Whether the server's Secret was ever there, whatever was in it: an authority must have published. */
  get hasSeenTls(): boolean {
    return this.#hasSeenTls;
  }

  /** The journal as it was last seen. */
  get journal(): Journal | undefined {
    return this.#journal;
  }

  get documents(): PublishedDocuments {
    const published = (): Served | undefined => this.#documents;
    const maxAge = (): Seconds => this.#journal?.bundle.refreshHint ?? FIRST_MAX_AGE;
    return {
      discovery: () => published()?.discovery,
      jwks: () => published()?.jwks,
      bundle: () => published()?.bundle,
      get maxAge() {
        return maxAge();
      },
    };
  }

  /** Takes up a Secret of the operator's own; undefined: it is gone, and what it held goes on being served. */
  take(name: string, content: Readonly<Record<string, Uint8Array>> | undefined): void {
    if (name === SERVER_SECRET) this.#stored = undefined;
    if (content === undefined) return;
    try {
      if (name === JOURNAL_SECRET) this.#publish(journalIn(content));
      else if (name === SERVER_SECRET) this.#reload(content);
    } catch (error) {
      this.#options.onError(`Secret ${name}: ${messageOf(error)}`);
    }
  }

  #publish(journal: Journal): void {
    const before = this.#journal?.bundle;
    this.#journal = journal;
    if (before?.sequence === journal.bundle.sequence && before.hash === journal.bundle.hash) return;
    const documents: Documents = documentsOf(journal, parseTrustDomain(journal.trustDomain));
    this.#documents = {
      discovery: publishedDocument(documents.discoveryJson),
      jwks: publishedDocument(documents.jwksJson),
      bundle: publishedDocument(documents.bundleJson),
    };
    this.#options.onChanged();
  }

  #reload(content: Readonly<Record<string, Uint8Array>>): void {
    this.#hasSeenTls = true;
    const text = (key: string): string => Buffer.from(content[key] ?? "").toString("utf8");
    const tls = { chain: text("tls.crt"), key: new Secret(text("tls.key")) };
    // What someone has broken is not taken up: the leader writes it anew.
    secureContextOptions(tls);
    this.#tls = tls;
    this.#stored = { chain: tls.chain, ca: text("ca.crt") };
    this.#options.onChanged();
  }
}
