/**
 * What the authority keeps in the operator's namespace: the journal in one Secret, each signing key in one of its own, which
 * cannot be changed any more.
 */

import { decodeJournal, encodeJournal } from "../authority/journal.ts";
import type { JournalStore, KeyStore } from "../authority/ports.ts";
import type { Journal } from "../authority/slot.ts";
import { branded } from "../core/brand.ts";
import { OperatorError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import { MANAGED_BY_LABELS } from "../reconcile/manifests/manifest.ts";
import type { KeyId } from "../x509/keys.ts";
import type { KubeClient } from "./client.ts";
import { KEY_LABEL } from "./cluster.ts";
import { isStatus } from "./errors.ts";
import {
  APPLY,
  CREATE_ONLY,
  FIELD_MANAGER,
  type KubeList,
  type KubeObject,
  secretContent,
} from "./objects.ts";
import { collectionPath, objectPath, SECRETS } from "./resources.ts";

export const JOURNAL_SECRET = "meshid-authority";
const JOURNAL_KEY = "journal.json";
const KEY_PREFIX = "meshid-key-";
const KEY_FILE = "key.pem";
const KEY_NAME = /^meshid-key-([0-9a-f]{40})$/;

export interface KeyStoreOptions {
  readonly client: Pick<KubeClient, "request">;
  readonly namespace: string;
  readonly fence: () => void;
  /** Ends requests that are under way when the process stops or loses the lease. */
  readonly signal: AbortSignal;
}

export interface AuthorityStoreOptions extends KeyStoreOptions {
  /** Whether anything else remains of an authority that once published from here. */
  readonly hasEvidence: () => boolean;
}

interface Stored {
  readonly journal: Journal;
  readonly uid: string;
  readonly resourceVersion: string;
}

export class SecretJournalStore implements JournalStore {
  readonly #options: AuthorityStoreOptions;
  /** What is stored, as far as we know: a save compares against it, and the API server against the truth. */
  #stored: Stored | undefined;

  constructor(options: AuthorityStoreOptions) {
    this.#options = options;
  }

  async read(): Promise<Journal | undefined> {
    const { client, namespace, signal } = this.#options;
    this.#stored = undefined;
    const object = await getSecret(client, { namespace, name: JOURNAL_SECRET }, signal);
    if (object === undefined) return undefined;
    const journal = journalIn(secretContent(object));
    const { uid, resourceVersion } = object.metadata;
    this.#stored = { journal, uid, resourceVersion };
    return journal;
  }

  async save(journal: Journal, expectedRevision: number | undefined): Promise<void> {
    const { client, namespace, fence, signal } = this.#options;
    if (this.#stored?.journal.revision !== expectedRevision) await this.read();
    const stored = this.#stored;
    if (stored?.journal.revision !== expectedRevision)
      throw conflict(stored?.journal.revision, expectedRevision);
    const precondition =
      stored === undefined
        ? { resourceVersion: CREATE_ONLY }
        : { uid: stored.uid, resourceVersion: stored.resourceVersion };
    // Until the answer is here nobody knows what is stored.
    this.#stored = undefined;
    try {
      const { body } = await client.request<KubeObject>(
        {
          method: "PATCH",
          path: objectPath(SECRETS, { namespace, name: JOURNAL_SECRET }),
          query: { fieldManager: FIELD_MANAGER, ...(stored === undefined ? {} : { force: "true" }) },
          contentType: APPLY,
          body: journalSecret(namespace, journal, precondition),
          fence,
        },
        signal,
      );
      const { uid, resourceVersion } = body.metadata;
      this.#stored = { journal, uid, resourceVersion };
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      throw conflict(undefined, expectedRevision, error);
    }
  }

  async hasEvidence(): Promise<boolean> {
    return this.#options.hasEvidence();
  }
}

/** The Secret of the journal, for an apply. */
export function journalSecret(
  namespace: string,
  journal: Journal,
  precondition: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: JOURNAL_SECRET, namespace, labels: MANAGED_BY_LABELS, ...precondition },
    type: "Opaque",
    data: { [JOURNAL_KEY]: Buffer.from(encodeJournal(journal)).toString("base64") },
  };
}

/** The journal in a Secret's content. @throws JOURNAL_CORRUPT, JOURNAL_VERSION_UNSUPPORTED. */
export function journalIn(content: Readonly<Record<string, Uint8Array>>): Journal {
  return decodeJournal(journalTextIn(content));
}

export function journalTextIn(content: Readonly<Record<string, Uint8Array>>): string {
  return Buffer.from(content[JOURNAL_KEY] ?? "").toString("utf8");
}

export function secretKeyStore({ client, namespace, fence, signal }: KeyStoreOptions): KeyStore {
  const at = (keyID: KeyId): { readonly namespace: string; readonly name: string } => ({
    namespace,
    name: KEY_PREFIX + keyID,
  });
  const get = async (keyID: KeyId): Promise<Secret | undefined> => {
    const object = await getSecret(client, at(keyID), signal);
    const value = object === undefined ? undefined : secretContent(object)[KEY_FILE];
    return value === undefined ? undefined : new Secret(Buffer.from(value).toString("utf8"));
  };
  return {
    get,
    put: async (keyID, key) => {
      try {
        await client.request(
          {
            method: "PATCH",
            path: objectPath(SECRETS, at(keyID)),
            query: { fieldManager: FIELD_MANAGER },
            contentType: APPLY,
            body: {
              apiVersion: "v1",
              kind: "Secret",
              metadata: {
                ...at(keyID),
                labels: { ...MANAGED_BY_LABELS, [KEY_LABEL]: "true" },
                resourceVersion: CREATE_ONLY,
              },
              type: "Opaque",
              immutable: true,
              data: { [KEY_FILE]: Buffer.from(key.reveal()).toString("base64") },
            },
            fence,
          },
          signal,
        );
      } catch (error) {
        if (!isStatus(error, 409)) throw error;
        // An earlier attempt of ours arrived although it seemed to fail, or it is another's.
        if ((await get(keyID))?.reveal() === key.reveal()) return;
        throw new OperatorError("CONFLICT", `storing key ${keyID}: another key has this ID`, {
          cause: error,
          details: { keyID },
        });
      }
    },
    delete: async (keyID) => {
      try {
        await client.request({ method: "DELETE", path: objectPath(SECRETS, at(keyID)), fence }, signal);
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
      }
    },
    list: async () => {
      const { body } = await client.request<KubeList>(
        {
          method: "GET",
          path: collectionPath(SECRETS, namespace),
          query: { labelSelector: KEY_LABEL },
          accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        },
        signal,
      );
      return (body.items ?? []).flatMap(({ metadata }) => {
        const keyID = KEY_NAME.exec(metadata.name)?.[1];
        return keyID === undefined ? [] : [branded<KeyId>(keyID)];
      });
    },
  };
}

export async function getSecret(
  client: Pick<KubeClient, "request">,
  at: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  try {
    return (await client.request<KubeObject>({ method: "GET", path: objectPath(SECRETS, at) }, signal)).body;
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}

function conflict(found: number | undefined, expected: number | undefined, cause?: unknown): OperatorError {
  return new OperatorError(
    "CONFLICT",
    `saving the journal: revision ${found ?? "another"} is stored, ${expected ?? "none"} was expected`,
    { retryable: true, ...(cause === undefined ? {} : { cause }) },
  );
}
