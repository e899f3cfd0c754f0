/**
 * The journal's Secret, for those who put one back while controllers may be running: what lies there is replaced in one
 * request that holds for nothing else, so that no controller ever finds none.
 */

import { decodeJournal } from "../authority/journal.ts";
import type { FoundJournal, JournalPlace } from "../authority/ports.ts";
import { isOperatorError, OperatorError } from "../core/errors.ts";
import { MANAGED_BY_LABELS } from "../reconcile/manifests/manifest.ts";
import {
  getSecret,
  JOURNAL_SECRET,
  journalSecret,
  journalTextIn,
  type KeyStoreOptions,
} from "./authority-stores.ts";
import { isStatus } from "./errors.ts";
import { APPLY, CREATE_ONLY, FIELD_MANAGER, type KubeObject, secretContent } from "./objects.ts";
import { collectionPath, objectPath, SECRETS } from "./resources.ts";

/** `stamp`: part of the name under which the old one is kept; lower-case letters and digits. */
export function secretJournalPlace(options: KeyStoreOptions, stamp: () => string): JournalPlace {
  const { client, namespace, signal } = options;
  const seen = new WeakMap<FoundJournal, KubeObject | undefined>();
  return {
    look: async () => {
      const object = await getSecret(client, { namespace, name: JOURNAL_SECRET }, signal);
      const found = describe(object);
      seen.set(found, object);
      return found;
    },
    replace: async (found, journal) => {
      const before = seen.get(found);
      const kept = before === undefined ? undefined : `${JOURNAL_SECRET}-replaced-${stamp()}`;
      try {
        if (before !== undefined && kept !== undefined) await keep(options, before, kept);
        const precondition =
          before === undefined
            ? { resourceVersion: CREATE_ONLY }
            : { uid: before.metadata.uid, resourceVersion: before.metadata.resourceVersion };
        await client.request(
          {
            method: "PATCH",
            path: objectPath(SECRETS, { namespace, name: JOURNAL_SECRET }),
            query: { fieldManager: FIELD_MANAGER, ...(before === undefined ? {} : { force: "true" }) },
            contentType: APPLY,
            body: journalSecret(namespace, journal, precondition),
            fence: options.fence,
          },
          signal,
        );
      } catch (cause) {
        if (!isStatus(cause, 409)) throw cause;
        throw new OperatorError(
          "CONFLICT",
          `the Secret ${namespace}/${JOURNAL_SECRET} has changed meanwhile`,
          {
            cause,
          },
        );
      }
      return kept === undefined ? undefined : `Secret ${namespace}/${kept}`;
    },
  };
}

/** A copy of the whole content. */
async function keep(
  { client, namespace, fence, signal }: KeyStoreOptions,
  { data }: KubeObject,
  name: string,
): Promise<void> {
  await client.request(
    {
      method: "POST",
      path: collectionPath(SECRETS, namespace),
      query: { fieldManager: FIELD_MANAGER },
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace, labels: MANAGED_BY_LABELS },
        type: "Opaque",
        immutable: true,
        data: data ?? {},
      },
      fence,
    },
    signal,
  );
}

function describe(object: KubeObject | undefined): FoundJournal {
  if (object === undefined) return { kind: "none" };
  const text = journalTextIn(secretContent(object));
  try {
    return { kind: "good", journal: decodeJournal(text), text };
  } catch (fault) {
    if (isOperatorError(fault, "JOURNAL_CORRUPT")) return { kind: "damaged", fault };
    throw fault;
  }
}
