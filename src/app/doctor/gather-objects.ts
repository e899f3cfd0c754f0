/**
 * Facts about what meshid serves and has written. Of Secrets only their names are asked for.
 */

import { type Seconds, seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import { digest } from "../../core/digest.ts";
import { asRecord } from "../../core/strict-json.ts";
import { JOURNAL_SECRET } from "../../kubernetes/authority-stores.ts";
import { identityOf, trustDomainOf } from "../../kubernetes/identity-objects.ts";
import { configMapContent, type KubeObject, keyOf, ownerUidOf } from "../../kubernetes/objects.ts";
import {
  CONFIG_MAPS,
  NAMESPACES,
  SECRETS,
  SERVICE_IDENTITIES,
  TRUST_DOMAINS,
} from "../../kubernetes/resources.ts";
import type { TrustDomainObject } from "../../registration/service-identity.ts";
import { getObject, listObjects } from "../cluster-cli/objects.ts";
import { isForbidden } from "../cluster-cli/session.ts";
import type { BundleFact, IdentityFact, NamespaceFact } from "./facts.ts";
import type { Known } from "./finding.ts";
import { type Gathering, known } from "./gathering.ts";

const MANAGED = "app.kubernetes.io/managed-by=meshid";

export function gatherTrustDomains(gathering: Gathering): Promise<Known<readonly TrustDomainObject[]>> {
  return known(gathering, "list TrustDomains", async () =>
    (await listObjects(gathering.session, TRUST_DOMAINS)).map(trustDomainOf),
  );
}

export function gatherIdentities(gathering: Gathering): Promise<Known<readonly IdentityFact[]>> {
  const { session, scope } = gathering;
  return known(gathering, `list ServiceIdentities in ${place(scope)}`, async () =>
    (await listObjects(session, SERVICE_IDENTITIES, { namespace: scope }))
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(identityFact),
  );
}

function identityFact(object: KubeObject): IdentityFact {
  const writes = writesOf(object);
  const reported = latest(writes.filter(({ isStatus }) => isStatus).map(({ at }) => at));
  const changed = latest(writes.filter(({ isStatus }) => !isStatus).map(({ at }) => at));
  return {
    identity: identityOf(object),
    changedAt: changed ?? parseRfc3339(object.metadata.creationTimestamp) ?? seconds(0),
    reportedAt: reported,
  };
}

/** When each field manager last wrote, as the API server noted it. */
function writesOf({ metadata }: KubeObject): readonly { readonly at: Seconds; readonly isStatus: boolean }[] {
  const fields: unknown = (metadata as { readonly managedFields?: unknown }).managedFields;
  const entries: readonly unknown[] = Array.isArray(fields) ? fields : [];
  return entries.flatMap((entry) => {
    const { time, subresource } = asRecord(entry) ?? {};
    const at = typeof time === "string" ? parseRfc3339(time) : undefined;
    return at === undefined ? [] : [{ at, isStatus: subresource === "status" }];
  });
}

function latest(instants: readonly Seconds[]): Seconds | undefined {
  return instants.length === 0 ? undefined : seconds(Math.max(...instants));
}

/** A user of one namespace may often not read the Namespace itself: its name is known all the same. */
export function gatherNamespaces(gathering: Gathering): Promise<Known<readonly NamespaceFact[]>> {
  const { session, scope } = gathering;
  return known(gathering, "list Namespaces", async () => {
    if (scope === undefined)
      return (await listObjects(session, NAMESPACES, { metadataOnly: true })).map(namespaceFact);
    try {
      const found = await getObject(session, NAMESPACES, { name: scope, metadataOnly: true });
      return found === undefined ? [] : [namespaceFact(found)];
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return [{ name: scope, labels: undefined, isTerminating: false }];
    }
  });
}

function namespaceFact({ metadata }: KubeObject): NamespaceFact {
  const { name, labels = {}, deletionTimestamp } = metadata;
  return { name, labels, isTerminating: deletionTimestamp !== undefined };
}

export function gatherBundles(gathering: Gathering): Promise<Known<readonly BundleFact[]>> {
  const { session, scope } = gathering;
  return known(gathering, `list ConfigMaps in ${place(scope)}`, async () =>
    (await listObjects(session, CONFIG_MAPS, { namespace: scope, labelSelector: MANAGED })).map(bundleFact),
  );
}

function bundleFact(object: KubeObject): BundleFact {
  const content = configMapContent(object);
  return {
    namespace: object.metadata.namespace ?? "",
    name: object.metadata.name,
    ownerUid: ownerUidOf(object),
    sequence: sequenceIn(content["bundle.json"]),
    digest: digest(
      ...Object.keys(content)
        .sort()
        .flatMap((key) => [key, content[key] ?? ""]),
    ),
  };
}

function sequenceIn(document: Uint8Array | undefined): number | undefined {
  try {
    const { spiffe_sequence: sequence } =
      asRecord(JSON.parse(Buffer.from(document ?? "").toString("utf8"))) ?? {};
    return typeof sequence === "number" ? sequence : undefined;
  } catch {
    return undefined;
  }
}

export function gatherSecrets(gathering: Gathering): Promise<Known<ReadonlySet<string>>> {
  const { session, scope } = gathering;
  return known(gathering, `list Secrets in ${place(scope)}`, async () => {
    const found = await listObjects(session, SECRETS, {
      namespace: scope,
      labelSelector: MANAGED,
      metadataOnly: true,
    });
    return new Set(found.map(keyOf));
  });
}

export function gatherJournal(gathering: Gathering, namespace: string): Promise<Known<boolean>> {
  return known(gathering, `read Secrets in ${namespace}`, async () => {
    const at = { namespace, name: JOURNAL_SECRET, metadataOnly: true };
    return (await getObject(gathering.session, SECRETS, at)) !== undefined;
  });
}

function place(scope: string | undefined): string {
  return scope ?? "all namespaces";
}
