/**
 * The cluster in memory: what users want, from reflectors, and what is there (`ObservedObjects`). Whoever is attached is told
 * what to look at again.
 */

import type { Changes, DesiredState, EventRecorder, RotationRequests } from "../controller/ports.ts";
import type { Clock } from "../core/clock.ts";
import { OperatorError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { Secret } from "../core/secret.ts";
import type { ObjectRef } from "../reconcile/state.ts";
import type { IdentityKey } from "../registration/registration-entry.ts";
import { distrustedIn, rotationsIn } from "../registration/rotation-annotations.ts";
import { selects } from "../registration/selector.ts";
import type { ServiceIdentity, TrustDomainObject } from "../registration/service-identity.ts";
import type { TrustDomain } from "../spiffe/trust-domain.ts";
import { AccountTable } from "./account-table.ts";
import { ChangeBuffer } from "./change-buffer.ts";
import type { KubeClient } from "./client.ts";
import { isStatus } from "./errors.ts";
import type { AcceptedTrustDomain } from "./identity-objects.ts";
import { IdentityTable } from "./identity-table.ts";
import { NamespaceTable } from "./namespace-table.ts";
import { type KubeObject, LAST_VERSION, secretContent, versionOf } from "./objects.ts";
import { ObservedObjects } from "./observed-objects.ts";
import { Reflector, type RelistReason, type Sink } from "./reflector.ts";
import {
  CONFIG_MAPS,
  NAMESPACES,
  objectPath,
  PEER_AUTHENTICATIONS,
  type Resource,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICE_IDENTITIES,
  TRUST_DOMAINS,
} from "./resources.ts";
import { TrustDomainTable } from "./trust-domain-table.ts";

export interface ClusterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  /** The one that is served. */
  readonly trustDomain: TrustDomain;
  readonly operatorNamespace: string;
  /** Undefined: all namespaces. */
  readonly watchNamespaces: readonly string[] | undefined;
  /** Where Istio keeps policies of the whole mesh. */
  readonly meshRootNamespace: string;
  /** A Secret of the operator's own, such as `meshid-authority`; undefined when it is gone. */
  readonly onOperatorSecret: (
    name: string,
    content: Readonly<Record<string, Uint8Array>> | undefined,
  ) => void;
  readonly onRelist: (resource: string, reason: RelistReason) => void;
  readonly onError: (resource: string, error: unknown) => void;
}

/** Marks the Secrets of signing keys: no watch asks for them. */
export const KEY_LABEL = "meshid.dev/key";
const MANAGED = "app.kubernetes.io/managed-by=meshid";

export class Cluster implements DesiredState, RotationRequests {
  readonly objects: ObservedObjects = new ObservedObjects();
  readonly #options: ClusterOptions;
  readonly #identities: IdentityTable;
  readonly #trustDomains: TrustDomainTable;
  readonly #accounts: AccountTable;
  readonly #namespaces: NamespaceTable;
  readonly #reflectors: { readonly name: string; readonly reflector: Reflector }[] = [];
  readonly #buffer: ChangeBuffer;
  #selected: readonly string[] | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#buffer = new ChangeBuffer((error) => options.onError("changes", error));
    this.#identities = new IdentityTable((key) => this.#buffer.identity(key));
    this.#trustDomains = new TrustDomainTable(() => this.#trustDomainChanged());
    this.#accounts = new AccountTable((namespace, name) => this.#accountChanged(namespace, name));
    this.#namespaces = new NamespaceTable({
      onChanged: () => this.#namespacesChanged(),
      onTerminating: (name) => {
        for (const key of this.#identities.keysIn(name)) this.#buffer.identity(key);
      },
    });
    this.#reflect(TRUST_DOMAINS, {}, this.#trustDomains.sink());
    this.#reflect(NAMESPACES, { metadataOnly: true }, this.#namespaces.sink());
    for (const namespace of options.watchNamespaces ?? [undefined]) {
      this.#reflect(SERVICE_ACCOUNTS, { namespace, metadataOnly: true }, this.#accounts.sink(namespace));
      this.#reflect(SERVICE_IDENTITIES, { namespace }, this.#identities.sink(namespace));
      this.#reflect(
        CONFIG_MAPS,
        { namespace, labelSelector: MANAGED },
        this.#objectSink("ConfigMap", namespace),
      );
      this.#reflectSecrets(namespace);
    }
    for (const namespace of policyNamespaces(options))
      this.#reflect(PEER_AUTHENTICATIONS, { namespace }, this.#objectSink("PeerAuthentication", namespace));
    const own = { namespace: options.operatorNamespace, labelSelector: `${MANAGED},!${KEY_LABEL}` };
    this.#reflect(SECRETS, own, this.#operatorSecretSink());
  }

  /** Resolves when everything has been read once. */
  async synced(): Promise<void> {
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.synced));
  }

  /** The collections that have not been read yet. */
  get unsynced(): readonly string[] {
    return this.#reflectors.filter(({ reflector }) => !reflector.isSynced).map(({ name }) => name);
  }

  /** For metrics: how long each collection has been silent. */
  get silences(): readonly { readonly resource: string; readonly milliseconds: number }[] {
    return this.#reflectors.map(({ name, reflector }) => ({
      resource: name,
      milliseconds: reflector.silence,
    }));
  }

  /** From now on `changes` is told. */
  attach(changes: Changes): void {
    this.#buffer.attach(changes);
  }

  detach(): void {
    this.#buffer.attach(undefined);
  }

  /** Follows the cluster until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.run(signal)));
  }

  identity(key: IdentityKey): ServiceIdentity | undefined {
    const found = this.#identities.get(key);
    if (
      found === undefined ||
      found.isDeleted ||
      this.#namespaces.isTerminating(found.object.metadata.namespace)
    )
      return undefined;
    return found.object;
  }

  *identities(): Iterable<ServiceIdentity> {
    for (const key of this.#identities.keys()) {
      const identity = this.identity(key);
      if (identity !== undefined) yield identity;
    }
  }

  /** Whether the TrustDomain object is there. */
  get hasTrustDomain(): boolean {
    return this.#trustDomains.get(this.#options.trustDomain) !== undefined;
  }

  /** Whether the status of the served TrustDomain tells of a bundle. */
  get hasPublishedBundle(): boolean {
    return this.#trustDomains.get(this.#options.trustDomain)?.object.status?.bundle !== undefined;
  }

  /** @throws NOT_FOUND before there is one. */
  trustDomain(): TrustDomainObject {
    const found = this.#trustDomains.get(this.#options.trustDomain);
    if (found !== undefined) return found.object;
    const message = `TrustDomain ${this.#options.trustDomain} does not exist`;
    throw new OperatorError("NOT_FOUND", message, { retryable: true });
  }

  /** Everything known of TrustDomain objects, those that are not served included. */
  *trustDomains(): Iterable<AcceptedTrustDomain> {
    yield* this.#trustDomains.values();
  }

  /** Of an object that is there; undefined otherwise. */
  uidOf({ kind, namespace, name }: Parameters<EventRecorder["record"]>[0]["regarding"]): string | undefined {
    const found =
      kind === "TrustDomain" ? this.#trustDomains.get(name) : this.#identities.get(`${namespace}/${name}`);
    return found?.object.metadata.uid;
  }

  serviceAccountExists(namespace: string, name: string): boolean {
    return this.#accounts.has(namespace, name);
  }

  bundleNamespaces(): readonly string[] {
    this.#selected ??= this.#select();
    return this.#selected;
  }

  async secretValue(
    namespace: string,
    name: string,
    key: string,
    signal: AbortSignal,
  ): Promise<Secret | undefined> {
    const path = objectPath(SECRETS, { namespace, name });
    try {
      const { body } = await this.#options.client.request<KubeObject>({ method: "GET", path }, signal);
      const content = secretContent(body);
      const value = Object.hasOwn(content, key) ? content[key] : undefined;
      return value === undefined ? undefined : new Secret(Buffer.from(value).toString("utf8"));
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  pending(): ReturnType<RotationRequests["pending"]> {
    return rotationsIn(this.trustDomain().metadata.annotations);
  }

  distrusted(): ReadonlySet<string> {
    return distrustedIn(this.trustDomain().metadata.annotations);
  }

  /** Takes up what a write of ours was answered with, so that its echo is no news. */
  wrote(resource: Resource, object: KubeObject): void {
    if (resource === SERVICE_IDENTITIES) this.#identities.wrote(object);
    else this.#trustDomains.set(object);
  }

  #reflect(
    resource: Resource,
    options: {
      readonly namespace?: string | undefined;
      readonly labelSelector?: string;
      readonly fieldSelector?: string;
      readonly metadataOnly?: boolean;
    },
    sink: Sink,
  ): void {
    const { client, clock, random, onRelist, onError } = this.#options;
    const name = resource.plural;
    const reflector = new Reflector({
      client,
      clock,
      random,
      resource,
      ...options,
      sink,
      onRelist: (reason) => onRelist(name, reason),
      onError: (error) => onError(name, error),
    });
    this.#reflectors.push({ name, reflector });
  }

  /** Secrets of all namespaces but the operator's own, whose signing keys nobody watches. */
  #reflectSecrets(namespace: string | undefined): void {
    const { operatorNamespace } = this.#options;
    if (namespace === operatorNamespace) return;
    const rest = namespace === undefined ? { fieldSelector: `metadata.namespace!=${operatorNamespace}` } : {};
    this.#reflect(
      SECRETS,
      { namespace, labelSelector: MANAGED, ...rest },
      this.#objectSink("Secret", namespace, operatorNamespace),
    );
  }

  #trustDomainChanged(): void {
    this.#selected = undefined;
    this.#buffer.trustDomain();
    this.#buffer.namespaces();
  }

  #accountChanged(namespace: string, name: string): void {
    for (const key of this.#identities.keysIn(namespace)) {
      const { metadata, spec } = this.#identities.get(key)?.object ?? {};
      if ((spec?.serviceAccountName ?? metadata?.name) === name) this.#buffer.identity(key);
    }
  }

  #namespacesChanged(): void {
    this.#selected = undefined;
    this.#buffer.namespaces();
  }

  #select(): readonly string[] {
    const { watchNamespaces } = this.#options;
    if (!this.hasTrustDomain) return [];
    const selector = this.trustDomain().spec.bundle?.namespaceSelector ?? {};
    return [...this.#namespaces.living()]
      .filter(([name]) => watchNamespaces === undefined || watchNamespaces.includes(name))
      .filter(([, labels]) => selects(selector, labels))
      .map(([name]) => name)
      .sort();
  }

  #objectSink(kind: ObjectRef["kind"], namespace: string | undefined, except?: string): Sink {
    const { objects } = this;
    const isWithin = (one: string): boolean => (namespace === undefined ? one !== except : one === namespace);
    const retain = (keys: ReadonlySet<string>, version: bigint): void => {
      for (const { ownerUid, ...ref } of objects.missing(kind, { keys, version }, isWithin)) {
        objects.drop(ref, version);
        this.#outputChanged(ref, ownerUid);
      }
    };
    return {
      set: (object) => {
        if (kind === "PeerAuthentication" && objects.setServesPeerAuthentication(true)) this.#meshChanged();
        const ref = { kind, ...at(object) };
        const before = objects.ownerUidOf(ref);
        // What a write of ours was answered with may be newer: then what came in between is looked at by its owner.
        if (!objects.set(kind, object) && objects.versionOf(ref) === versionOf(object)) return;
        const owner = objects.ownerUidOf(ref);
        this.#outputChanged(ref, owner);
        if (before !== owner) this.#outputChanged(ref, before);
      },
      remove: (object) => {
        const removed = objects.remove(kind, object);
        if (removed !== undefined) this.#outputChanged({ kind, ...at(object) }, removed.ownerUid);
      },
      retain: (keys, version) => {
        if (kind === "PeerAuthentication" && objects.setServesPeerAuthentication(true)) this.#meshChanged();
        retain(keys, version);
      },
      absent: () => {
        if (kind === "PeerAuthentication" && objects.setServesPeerAuthentication(false)) this.#meshChanged();
        retain(new Set(), LAST_VERSION);
      },
    };
  }

  /** The operator's own, and the Secrets of identities in its namespace. */
  #operatorSecretSink(): Sink {
    const { operatorNamespace, onOperatorSecret } = this.#options;
    const rest = this.#objectSink("Secret", operatorNamespace);
    const own = new Map<string, bigint>();
    return {
      set: (object) => {
        const { name } = object.metadata;
        if (!name.startsWith("meshid-")) return rest.set(object);
        if ((own.get(name) ?? -1n) >= versionOf(object)) return;
        own.set(name, versionOf(object));
        onOperatorSecret(name, secretContent(object));
      },
      remove: (object) => {
        const { name } = object.metadata;
        if (own.delete(name)) onOperatorSecret(name, undefined);
        else rest.remove(object);
      },
      retain: (keys, version) => {
        for (const name of own.keys()) {
          if (!keys.has(`${operatorNamespace}/${name}`) && own.delete(name))
            onOperatorSecret(name, undefined);
        }
        rest.retain(keys, version);
      },
    };
  }

  #outputChanged(ref: ObjectRef, ownerUid: string | undefined): void {
    if (ref.kind === "ConfigMap") return this.#buffer.configMap(ref);
    const key = this.#identities.keyOfUid(ownerUid ?? "");
    if (key !== undefined) this.#buffer.identity(key);
    if (ref.kind === "PeerAuthentication") this.#policyChanged(ref.namespace);
  }

  /** A policy counts for its namespace, one of the root namespace for all. */
  #policyChanged(namespace: string): void {
    this.#meshChanged(namespace === this.#options.meshRootNamespace ? undefined : namespace);
  }

  #meshChanged(namespace?: string): void {
    for (const key of this.#identities.keysIn(namespace)) {
      if (this.#identities.get(key)?.object.spec.mtls !== undefined) this.#buffer.identity(key);
    }
  }
}

/** Policies of the root namespace hold for the whole mesh, wherever meshid serves. */
function policyNamespaces({
  watchNamespaces,
  meshRootNamespace,
}: ClusterOptions): readonly (string | undefined)[] {
  return watchNamespaces === undefined ? [undefined] : [...new Set([...watchNamespaces, meshRootNamespace])];
}

function at({ metadata }: KubeObject): { readonly namespace: string; readonly name: string } {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}
