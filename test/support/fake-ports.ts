/**
 * The ports of the loops over memory: what is written is observed at once, and every call can be made to fail.
 */

import type {
  Applier,
  Audit,
  DesiredState,
  EventRecorder,
  IssuanceRecord,
  ObservedState,
  SecretChange,
  StatusWriter,
} from "../../src/controller/ports.ts";
import { throwIfAborted } from "../../src/core/clock.ts";
import { OperatorError } from "../../src/core/errors.ts";
import type { Secret } from "../../src/core/secret.ts";
import { type Content, observeConfigMap, observeSecret } from "../../src/reconcile/facts.ts";
import type { Manifest } from "../../src/reconcile/manifests/manifest.ts";
import type {
  ObjectRef,
  ObservedConfigMap,
  ObservedPeerAuthentication,
  ObservedSecret,
} from "../../src/reconcile/state.ts";
import type {
  ServiceIdentity,
  ServiceIdentitySpec,
  ServiceIdentityStatus,
  TrustDomainObject,
  TrustDomainStatus,
} from "../../src/registration/service-identity.ts";

interface Stored {
  readonly ref: ObjectRef;
  readonly ownerUid: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly content: Content;
  readonly spec: Readonly<Record<string, unknown>>;
}

const idOf = ({ kind, namespace, name }: ObjectRef): string => `${kind} ${namespace}/${name}`;

/** Everything outside of the engine. */
export class FakeWorld implements DesiredState, ObservedState, Applier, StatusWriter, EventRecorder, Audit {
  readonly objects: Map<string, Stored> = new Map();
  readonly wanted: Map<string, ServiceIdentity> = new Map();
  readonly passwords: Map<string, Secret> = new Map();
  namespaces: readonly string[] = ["shop"];
  domain: TrustDomainObject = {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: {
      name: "example.org",
      uid: "td-uid",
      creationTimestamp: "2027-01-01T00:00:00Z",
      generation: 1,
    },
    spec: {},
  };
  /** All calls that changed something, in their order: `apply Secret shop/a-tls`, `status shop/a` … */
  readonly calls: string[] = [];
  readonly events: Parameters<EventRecorder["record"]>[0][] = [];
  readonly issued: IssuanceRecord[] = [];
  readonly refusals: Parameters<Audit["refused"]>[0][] = [];
  /** Throws for the calls that it does not like. */
  failing: (call: string) => OperatorError | undefined = () => undefined;
  /** Runs before each call is carried out. */
  before: (call: string) => void = () => {};

  want(
    name: string,
    spec: ServiceIdentitySpec = {},
    changes: Partial<ServiceIdentity["metadata"]> = {},
  ): void {
    const known = this.wanted.get(`shop/${name}`);
    const metadata = {
      name,
      namespace: "shop",
      uid: `${name}-uid`,
      creationTimestamp: "2027-01-01T00:00:00Z",
      generation: (known?.metadata.generation ?? 0) + 1,
      ...changes,
    };
    const status = known?.metadata.uid === metadata.uid ? known.status : undefined;
    this.wanted.set(`shop/${name}`, {
      apiVersion: "meshid.dev/v1alpha1",
      kind: "ServiceIdentity",
      metadata,
      spec,
      ...(status === undefined ? {} : { status }),
    });
  }

  identity(key: string): ServiceIdentity | undefined {
    return this.wanted.get(key);
  }
  identities(): Iterable<ServiceIdentity> {
    return this.wanted.values();
  }
  trustDomain(): TrustDomainObject {
    return this.domain;
  }
  serviceAccountExists(): boolean {
    return true;
  }
  bundleNamespaces(): readonly string[] {
    return this.namespaces;
  }
  async secretValue(
    namespace: string,
    name: string,
    key: string,
    signal: AbortSignal,
  ): Promise<Secret | undefined> {
    throwIfAborted(signal);
    return this.passwords.get(`${namespace}/${name}/${key}`);
  }

  secret(namespace: string, name: string): ObservedSecret | undefined {
    const found = this.objects.get(`Secret ${namespace}/${name}`);
    return found && observeSecret(found.ref, found, found.content);
  }
  configMap(namespace: string, name: string): ObservedConfigMap | undefined {
    const found = this.objects.get(`ConfigMap ${namespace}/${name}`);
    return found && observeConfigMap(found.ref, found, found.content);
  }
  peerAuthentication(namespace: string, name: string): ObservedPeerAuthentication | undefined {
    const found = this.objects.get(`PeerAuthentication ${namespace}/${name}`);
    return found && { ...found, creationTimestamp: "2027-01-01T00:00:00Z" };
  }
  peerAuthentications(namespace: string): readonly ObservedPeerAuthentication[] {
    return [...this.objects.values()]
      .filter(({ ref }) => ref.kind === "PeerAuthentication" && ref.namespace === namespace)
      .map((found) => ({ ...found, creationTimestamp: "2027-01-01T00:00:00Z" }));
  }
  ownedBy(ownerUid: string): readonly ObjectRef[] {
    return [...this.objects.values()].filter((one) => one.ownerUid === ownerUid).map(({ ref }) => ref);
  }
  servesPeerAuthentication(): boolean {
    return true;
  }

  async apply(manifest: Manifest): Promise<void> {
    const { ref, owner, annotations } = manifest;
    await this.#call(`apply ${idOf(ref)}`);
    const known = this.objects.get(idOf(ref));
    if (known !== undefined && known.ownerUid !== owner?.uid) throw notOwned(ref);
    const spec = "spec" in manifest ? manifest.spec : {};
    this.#store({ ref, ownerUid: owner?.uid, content: contentOf(manifest), annotations, spec });
  }
  async amend(change: SecretChange): Promise<void> {
    const { ref, ownerUid, annotations } = change;
    await this.#call(`amend ${idOf(ref)}`);
    const known = this.objects.get(idOf(ref));
    if (known?.ownerUid !== ownerUid) throw notOwned(ref);
    const content = { ...known.content, ...change.set.reveal() };
    for (const key of change.remove) delete content[key];
    this.#store({ ref, ownerUid, content, annotations, spec: {} });
  }
  async prune(ref: ObjectRef, ownerUid: string): Promise<void> {
    if (this.objects.get(idOf(ref))?.ownerUid !== ownerUid) return;
    await this.#call(`prune ${idOf(ref)}`);
    this.objects.delete(idOf(ref));
  }

  async writeIdentityStatus({ metadata }: ServiceIdentity, status: ServiceIdentityStatus): Promise<void> {
    const key = `${metadata.namespace}/${metadata.name}`;
    await this.#call(`status ${key}`);
    const known = this.wanted.get(key);
    if (known?.metadata.uid === metadata.uid) this.wanted.set(key, { ...known, status });
  }
  async writeTrustDomainStatus(status: TrustDomainStatus): Promise<void> {
    await this.#call("status of the TrustDomain");
    this.domain = { ...this.domain, status };
  }

  record(event: Parameters<EventRecorder["record"]>[0]): void {
    this.events.push(event);
  }
  x509Issued(record: IssuanceRecord): void {
    this.issued.push(record);
  }
  tokenIssued(record: IssuanceRecord): void {
    this.issued.push(record);
  }
  refused(record: Parameters<Audit["refused"]>[0]): void {
    this.refusals.push(record);
  }

  /** As if someone else had written it. */
  put(ref: ObjectRef, ownerUid: string | undefined, content: Content): void {
    this.#store({ ref, ownerUid, content, annotations: {}, spec: {} });
  }

  #store(object: Stored): void {
    this.objects.set(idOf(object.ref), object);
  }

  /** `True Issued`; the empty text where there is no such condition. */
  condition(name: string, type: string): string {
    const found = this.wanted.get(`shop/${name}`)?.status?.conditions?.find((one) => one.type === type);
    return found === undefined ? "" : `${found.status} ${found.reason}`;
  }

  async #call(call: string): Promise<void> {
    await Promise.resolve();
    this.before(call);
    const error = this.failing(call);
    if (error !== undefined) throw error;
    this.calls.push(call);
  }
}

function contentOf(manifest: Manifest): Content {
  if (manifest.kind === "Secret") return manifest.data.reveal();
  if (manifest.kind === "PeerAuthentication") return {};
  return Object.fromEntries(Object.entries(manifest.data).map(([key, text]) => [key, Buffer.from(text)]));
}

function notOwned(ref: ObjectRef): OperatorError {
  return new OperatorError("NOT_OWNED", `${idOf(ref)} is another's`);
}
