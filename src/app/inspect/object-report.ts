/**
 * A file of ServiceIdentity and TrustDomain objects, explained as `meshid local` would read it: by the same reader, schema
 * and rules.
 */

import type { Seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import { formatDuration } from "../../core/duration.ts";
import { invalidInput, isOperatorError, messageOf } from "../../core/errors.ts";
import { asRecord } from "../../core/strict-json.ts";
import { readDocuments, type SourceDocument } from "../../directory/documents.ts";
import type { Condition } from "../../registration/conditions.ts";
import { checkMetadata } from "../../registration/metadata.ts";
import { registerIdentity } from "../../registration/registration-entry.ts";
import type { ValidateDocument } from "../../registration/schema.ts";
import { API_VERSION, type ServiceIdentity } from "../../registration/service-identity.ts";
import { type TrustDomainPolicy, trustDomainPolicy } from "../../registration/trust-domain-policy.ts";
import { loadSchemas } from "../schemas.ts";
import { describeInstant } from "../times.ts";
import { type Fact, type Fault, fact, note, type Report, wrong } from "./report.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const KINDS = ["ServiceIdentity", "TrustDomain"] as const;
const MAX_OBJECTS = 1000;
const DEFAULTS = { mode: "local", clusterDomain: "cluster.local" } as const;

/** @throws INVALID_INPUT when a document is not YAML, with its line. */
export async function objectReport(name: string, bytes: Uint8Array, now: Seconds): Promise<Report> {
  const documents = readDocuments(bytes).map((read) => {
    if ("document" in read) return read.document;
    const { line, message } = read.problem;
    throw invalidInput(
      line === undefined ? name : `${name}:${line}`,
      message,
      "YAML or JSON as kubectl takes it",
    );
  });
  const validate = await loadSchemas();
  const policy = policyOf(documents);
  const parts = documents
    .slice(0, MAX_OBJECTS)
    .map((document) => partReport(document, { validate, policy, now }));
  const [only] = parts;
  if (only !== undefined && parts.length === 1) {
    return { ...only, title: `${only.title} ${only.name ?? ""}`.trimEnd() };
  }
  const faults = parts.length === 0 ? [wrong("empty", "holds no object")] : [];
  return { kind: "object", title: `file with ${parts.length} objects`, facts: [], faults, parts };
}

interface Rules {
  readonly validate: ValidateDocument;
  readonly policy: TrustDomainPolicy;
  readonly now: Seconds;
}

function partReport(document: SourceDocument, rules: Rules): Report {
  const { value } = document;
  const { kind } = value;
  const metadata = asRecord(value["metadata"]) ?? {};
  const status = asRecord(value["status"]);
  const isIdentity = kind === "ServiceIdentity";
  const name = isIdentity
    ? `${text(metadata["namespace"]) || "default"}/${text(metadata["name"])}`
    : text(metadata["name"]);
  const refused = formFaults(document, rules);
  const isWellFormed = refused.length === 0;
  return {
    kind: isIdentity ? "identity" : "object",
    title: KINDS.some((each) => each === kind) ? String(kind) : "object",
    name,
    facts: isWellFormed
      ? [
          ...(isIdentity ? entryFacts(value, rules) : policyFacts(value)),
          ...statusFacts(status ?? {}, rules.now),
        ]
      : [],
    faults: [
      ...refused,
      ...(isWellFormed ? meaningFaults(document, rules) : []),
      ...(status === undefined ? [] : conditionFaults(status)),
    ],
    parts: [],
  };
}

/** What the schema and the rules of names say, each with its line. */
function formFaults({ value, lineOf }: SourceDocument, { validate }: Rules): readonly Fault[] {
  const { apiVersion, kind } = value;
  if (!KINDS.some((each) => each === kind)) {
    return [
      wrong(
        "kind",
        `line ${lineOf(["kind"])}: kind is ${text(kind) || "absent"}; expected ${KINDS.join(" or ")}`,
      ),
    ];
  }
  if (apiVersion !== API_VERSION) {
    const shown = text(apiVersion) || "absent";
    return [
      wrong("apiVersion", `line ${lineOf(["apiVersion"])}: apiVersion is ${shown}; expected ${API_VERSION}`),
    ];
  }
  const faults = validate(value);
  const isMetadataWrong = faults.some(({ field }) => field.startsWith("metadata"));
  const scope = kind === "TrustDomain" ? "Cluster" : "Namespaced";
  // The schema has found the metadata to be text; what it has refused needs no second word.
  const names = isMetadataWrong ? [] : checkMetadata(value["metadata"] ?? {}, { scope });
  return [...names, ...faults].map(({ path, field, message, expected }) => {
    return wrong(field, `line ${lineOf(path)}: ${message}; expected ${expected}`);
  });
}

/** What no schema sees; a status has the operator's own word on it. */
function meaningFaults({ value }: SourceDocument, { policy }: Rules): readonly Fault[] {
  if (value["kind"] === "TrustDomain") {
    const fault = trustDomainFault(value);
    return fault === undefined ? [] : [fault];
  }
  if (value["status"] !== undefined) return [];
  const registration = registerIdentity(identityOf(value), policy.registration);
  if (registration.ok) return [];
  const { reason, field, message } = registration.fault;
  return [wrong(reason, `${field}: ${message}`)];
}

function trustDomainFault(value: JsonObject): Fault | undefined {
  try {
    trustDomainPolicy(trustDomainOf(value), DEFAULTS);
    return undefined;
  } catch (error) {
    if (!isOperatorError(error, "INVALID_INPUT")) throw error;
    return wrong("InvalidSpec", messageOf(error));
  }
}

/** The rules of the TrustDomain in the same file; the defaults where there is none, or none that can be used. */
function policyOf(documents: readonly SourceDocument[]): TrustDomainPolicy {
  const own = documents.find(({ value }) => value["kind"] === "TrustDomain");
  const fallback = {
    apiVersion: API_VERSION,
    kind: "TrustDomain",
    metadata: { name: "cluster.local" },
    spec: {},
  };
  try {
    return trustDomainPolicy(trustDomainOf(own?.value ?? fallback), DEFAULTS);
  } catch {
    return trustDomainPolicy(trustDomainOf(fallback), DEFAULTS);
  }
}

function entryFacts(value: JsonObject, { policy }: Rules): readonly Fact[] {
  const registration = registerIdentity(identityOf(value), policy.registration);
  if (!registration.ok) return [];
  const { x509, jwt, mtls, spiffeId, serviceAccountName } = registration.entry;
  const hasStatus = value["status"] !== undefined;
  const audiences = (jwt?.tokens ?? []).map(({ audience }) => audience);
  return [
    ...(hasStatus
      ? []
      : [fact("spiffeID", "SPIFFE ID", spiffeId, `${spiffeId} (in trust domain ${policy.trustDomain})`)]),
    fact("serviceAccountName", "ServiceAccount", serviceAccountName),
    fact("keyAlgorithm", "Key", x509.keyAlgorithm),
    fact("dnsNames", "DNS names", x509.dnsNames, x509.dnsNames.join("\n")),
    fact(
      "secrets",
      "Secrets",
      [x509.secretName, ...(jwt === undefined ? [] : [jwt.secretName])],
      [x509.secretName, jwt?.secretName ?? ""].join("\n").trimEnd(),
    ),
    ...(audiences.length === 0 ? [] : [fact("audiences", "Tokens for", audiences, audiences.join("\n"))]),
    ...(mtls === undefined ? [] : [fact("mtls", "mTLS", mtls.mode)]),
  ];
}

function policyFacts(value: JsonObject): readonly Fact[] {
  if (trustDomainFault(value) !== undefined) return [];
  const { authority, jwt, rotation } = trustDomainPolicy(trustDomainOf(value), DEFAULTS);
  return [
    fact("issuer", "Issuer", jwt.issuer),
    fact(
      "rootTTL",
      "Root lives",
      formatDuration(authority.rootTTL),
      `${formatDuration(authority.rootTTL)}, ${authority.keyAlgorithm}`,
    ),
    fact("issuingTTL", "Issuing key lives", formatDuration(authority.issuingTTL)),
    fact(
      "keyTTL",
      "JWT key lives",
      formatDuration(jwt.keyTTL),
      `${formatDuration(jwt.keyTTL)}, ${jwt.algorithm}`,
    ),
    fact("propagation", "Propagation", formatDuration(rotation.propagation)),
  ];
}

function statusFacts(status: JsonObject, now: Seconds): readonly Fact[] {
  const spiffeID = text(status["spiffeID"]);
  const notAfter = text(asRecord(status["x509"])?.["notAfter"]);
  const instant = parseRfc3339(notAfter);
  const ready = conditionsOf(status).find(({ type }) => type === "Ready");
  const label = instant !== undefined && now > instant ? "Expired" : "Valid until";
  return [
    ...(spiffeID === "" ? [] : [fact("spiffeID", "SPIFFE ID", spiffeID)]),
    ...(ready === undefined
      ? []
      : [fact("ready", "Ready", ready.status, `${ready.status}, ${ready.reason}`)]),
    ...(instant === undefined ? [] : [fact("notAfter", label, notAfter, describeInstant(instant, now))]),
  ];
}

/** While it is Ready and not degraded, what is False only waits its turn. */
function conditionFaults(status: JsonObject): readonly Fault[] {
  const conditions = conditionsOf(status);
  const ready = conditions.find(({ type }) => type === "Ready");
  const isWell = ready?.status === "True" && ready.reason !== "Degraded";
  return conditions
    .filter(({ type, status: value }) => value === "False" && type !== "RotationInProgress")
    .map(({ type, reason, message }) => (isWell ? note : wrong)(reason, `${type} is False: ${message}`));
}

function conditionsOf({ conditions }: JsonObject): readonly Condition[] {
  const found: readonly unknown[] = Array.isArray(conditions) ? conditions : [];
  return found.filter((each) => typeof asRecord(each)?.["type"] === "string") as readonly Condition[];
}

/** Of a document that the schema has accepted; what an API server would add is empty. */
function identityOf(value: JsonObject): ServiceIdentity {
  const metadata = asRecord(value["metadata"]) ?? {};
  return {
    apiVersion: API_VERSION,
    kind: "ServiceIdentity",
    metadata: {
      ...SERVER_SET,
      name: text(metadata["name"]),
      namespace: text(metadata["namespace"]) || "default",
    },
    spec: value["spec"] ?? {},
  };
}

function trustDomainOf(value: JsonObject): Parameters<typeof trustDomainPolicy>[0] {
  const name = text(asRecord(value["metadata"])?.["name"]);
  return {
    apiVersion: API_VERSION,
    kind: "TrustDomain",
    metadata: { ...SERVER_SET, name },
    spec: value["spec"] ?? {},
  };
}

const SERVER_SET = { uid: "", creationTimestamp: "", generation: 1 } as const;

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
