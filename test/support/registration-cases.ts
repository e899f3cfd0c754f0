/**
 * Valid and invalid objects with the verdict on each: one table for the schema and the engine here, and for a real API
 * server in the cluster suite. `by` says who refuses:
 * - `schema`: the OpenAPI part of the CRD (an API server with strict field validation, and `registration/schema.ts`);
 * - `cel`: a rule of the CRD (an API server), and its twin in the engine;
 * - `engine`: the engine alone; an API server accepts the object.
 * For `cel` the message is a part of both refusals, otherwise of ours alone; an API server names `field` or its parent.
 */

type Verdict =
  | "valid"
  | {
      readonly by: "schema" | "cel" | "engine";
      readonly field: string;
      readonly message: string;
      readonly reason?: "LimitExceeded";
    };

export interface RegistrationCase {
  /** Completes "it …". */
  readonly name: string;
  readonly object: Readonly<Record<string, unknown>>;
  /** What stood there before: the object is an update of it. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly verdict: Verdict;
}

export function serviceIdentity(
  spec: unknown,
  metadata: Readonly<Record<string, unknown>> = {},
): RegistrationCase["object"] {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "ServiceIdentity",
    metadata: { name: "payments", namespace: "shop", ...metadata },
    spec,
  };
}

export function trustDomain(
  spec: unknown,
  metadata: Readonly<Record<string, unknown>> = {},
): RegistrationCase["object"] {
  return {
    apiVersion: "meshid.dev/v1alpha1",
    kind: "TrustDomain",
    metadata: { name: "cluster.local", ...metadata },
    spec,
  };
}

const schema = (field: string, message: string): Verdict => ({ by: "schema", field, message });
const cel = (field: string, message: string): Verdict => ({ by: "cel", field, message });
const engine = (field: string, message: string): Verdict => ({ by: "engine", field, message });
const limit = (field: string, message: string): Verdict => ({
  by: "engine",
  field,
  message,
  reason: "LimitExceeded",
});

function identityCase(name: string, spec: unknown, verdict: Verdict, metadata = {}): RegistrationCase {
  return { name, object: serviceIdentity(spec, metadata), verdict };
}

function identityUpdate(name: string, before: unknown, after: unknown, verdict: Verdict): RegistrationCase {
  return { name, before: serviceIdentity(before), object: serviceIdentity(after), verdict };
}

function domainCase(name: string, spec: unknown, verdict: Verdict, metadata = {}): RegistrationCase {
  return { name, object: trustDomain(spec, metadata), verdict };
}

function domainUpdate(name: string, before: unknown, after: unknown, verdict: Verdict): RegistrationCase {
  return { name, before: trustDomain(before), object: trustDomain(after), verdict };
}

/** What the documentation shows. */
export const FULL_IDENTITY_SPEC: Readonly<Record<string, unknown>> = {
  serviceAccountName: "payments",
  x509: {
    ttl: "24h",
    renewAfterPercent: 50,
    keyAlgorithm: "ECDSA-P256",
    dnsNames: ["payments.shop.svc"],
    secretName: "payments-tls",
    formats: ["PEM"],
    pkcs12: { passwordSecretRef: { name: "payments-p12", key: "password" } },
  },
  jwt: {
    tokens: [{ audience: "orders.shop", key: "orders.shop.jwt", ttl: "1h" }],
    secretName: "payments-jwt",
  },
  mtls: {
    mode: "Strict",
    selector: { matchLabels: { app: "payments" } },
    exceptions: [{ port: 9090, mode: "Permissive" }],
  },
};

const FULL_DOMAIN_SPEC: Readonly<Record<string, unknown>> = {
  authority: {
    source: "Internal",
    secretRef: { name: "byo-ca" },
    keyAlgorithm: "ECDSA-P256",
    rootTTL: "8760h",
    issuingTTL: "720h",
  },
  jwt: { issuer: "https://meshid.meshid-system.svc", algorithm: "ES256", keyTTL: "168h" },
  rotation: {
    propagation: "30m",
    paused: false,
    crossSignRoots: false,
    maintenanceWindows: [{ schedule: "0 2 * * 6", timeZone: "Europe/Berlin", duration: "4h" }],
  },
  bundle: { namespaceSelector: {}, configMapName: "meshid-bundle", additionalRoots: "" },
  limits: {
    minTTL: "10m",
    maxTTL: "2160h",
    maxTokenTTL: "24h",
    keyAlgorithms: [],
    identitiesPerNamespace: 1000,
  },
};

const mtls = { mode: "Strict", selector: { matchLabels: { app: "payments" } } };
const token = { audience: "orders.shop" };
const tokens = (...list: unknown[]): unknown => ({ jwt: { tokens: list } });
const dns = (...dnsNames: unknown[]): unknown => ({ x509: { dnsNames } });
const ttl = (text: unknown): unknown => ({ x509: { ttl: text } });
const OBJECT_NAME = "a name of lower-case letters, digits, '-' and '.'";
const X509_BOUNDS = "expected a duration from 1m to 2160h";
const FIXED = "is fixed at creation";

const FIELD_CASES: readonly RegistrationCase[] = [
  identityCase("accepts a spec without any field", {}, "valid"),
  identityCase("accepts a spec with every field", FULL_IDENTITY_SPEC, "valid"),
  identityCase("refuses a spec that is missing", undefined, schema("spec", "is missing")),
  identityCase("refuses a spec that is null", null, schema("spec", "is empty")),
  identityCase(
    "refuses a field that it does not know",
    { x509: { tll: "1h" } },
    schema("spec.x509.tll", "expected ttl"),
  ),
  identityCase(
    "refuses a field that it does not know at the top of spec",
    { ttl: "1h" },
    schema("spec.ttl", "one of serviceAccountName, x509, jwt, mtls"),
  ),
  identityCase(
    "refuses a ServiceAccount in capitals",
    { serviceAccountName: "Payments" },
    cel("spec.serviceAccountName", OBJECT_NAME),
  ),
  identityCase(
    "refuses a ServiceAccount that climbs out of its directory",
    { serviceAccountName: "../default" },
    cel("spec.serviceAccountName", OBJECT_NAME),
  ),
  identityCase(
    "refuses an empty ServiceAccount",
    { serviceAccountName: "" },
    schema("spec.serviceAccountName", "is empty"),
  ),
];

const X509_CASES: readonly RegistrationCase[] = [
  identityCase("accepts the shortest ttl that the TrustDomain allows", ttl("10m"), "valid"),
  identityCase("accepts the longest ttl", ttl("2160h"), "valid"),
  identityCase("accepts a ttl of hours, minutes and seconds", ttl("1h30m5s"), "valid"),
  identityCase("refuses a ttl below 1m", ttl("59s"), cel("spec.x509.ttl", X509_BOUNDS)),
  identityCase("refuses a ttl above 2160h", ttl("2160h1s"), cel("spec.x509.ttl", X509_BOUNDS)),
  identityCase("refuses a ttl in days", ttl("90d"), schema("spec.x509.ttl", "hours, minutes and seconds")),
  identityCase(
    "refuses a ttl with a fraction",
    ttl("1.5h"),
    schema("spec.x509.ttl", "hours, minutes and seconds"),
  ),
  identityCase("refuses a ttl that is empty", ttl(""), schema("spec.x509.ttl", "is empty")),
  identityCase(
    "refuses a ttl that is a number",
    ttl(3600),
    schema("spec.x509.ttl", "is the number 3600; expected text such as 12h"),
  ),
  identityCase(
    "refuses a ttl between the schema's and the TrustDomain's bounds",
    ttl("5m"),
    limit("spec.x509.ttl", "at least limits.minTTL, 10m0s"),
  ),
  identityCase("accepts both ends of renewAfterPercent", { x509: { renewAfterPercent: 90 } }, "valid"),
  identityCase(
    "refuses a renewal too early",
    { x509: { renewAfterPercent: 9 } },
    schema("spec.x509.renewAfterPercent", "at least 10"),
  ),
  identityCase(
    "refuses a renewal too late",
    { x509: { renewAfterPercent: 91 } },
    schema("spec.x509.renewAfterPercent", "at most 90"),
  ),
  identityCase(
    "refuses half a percent",
    { x509: { renewAfterPercent: 50.5 } },
    schema("spec.x509.renewAfterPercent", "a whole number"),
  ),
  identityCase(
    "refuses an algorithm that it does not know",
    { x509: { keyAlgorithm: "RSA-1024" } },
    schema("spec.x509.keyAlgorithm", "ECDSA-P256"),
  ),
  identityCase("accepts Ed25519 outside of a mesh", { x509: { keyAlgorithm: "Ed25519" } }, "valid"),
  identityCase(
    "refuses Ed25519 with mtls",
    { x509: { keyAlgorithm: "Ed25519" }, mtls },
    cel("spec.x509.keyAlgorithm", "Envoy cannot use Ed25519"),
  ),
  identityCase(
    "refuses Ed25519 with format Istio",
    { x509: { keyAlgorithm: "Ed25519", formats: ["Istio"] } },
    cel("spec.x509.keyAlgorithm", "Envoy cannot use Ed25519"),
  ),
  identityCase("accepts no DNS names", dns(), "valid"),
  identityCase(
    "accepts a pod of a Service, with the cluster's domain",
    dns("a.payments.shop.svc.cluster.local"),
    "valid",
  ),
  identityCase(
    "refuses a wildcard",
    dns("*.shop.svc"),
    cel("spec.x509.dnsNames[0]", "expected a lower-case DNS name without wildcard"),
  ),
  identityCase(
    "refuses a DNS name in capitals",
    dns("Payments.shop.svc"),
    cel("spec.x509.dnsNames[0]", "lower-case DNS name"),
  ),
  identityCase(
    "refuses a DNS name with a dot at its end",
    dns("payments.shop.svc."),
    cel("spec.x509.dnsNames[0]", "lower-case DNS name"),
  ),
  identityCase(
    "refuses a label of more than 63 characters",
    dns(`${"a".repeat(64)}.shop.svc`),
    cel("spec.x509.dnsNames[0]", "lower-case DNS name"),
  ),
  identityCase(
    "refuses a name outside of the cluster",
    dns("payments.shop.svc", "example.org"),
    cel("spec.x509.dnsNames[1]", "[<label>.]<service>."),
  ),
  identityCase(
    "refuses an IP address",
    dns("10.0.0.1"),
    cel("spec.x509.dnsNames[0]", "[<label>.]<service>."),
  ),
  identityCase(
    "refuses a label too many",
    dns("a.b.payments.shop.svc"),
    cel("spec.x509.dnsNames[0]", "[<label>.]<service>."),
  ),
  identityCase(
    "refuses a Service of another namespace",
    dns("payments.bank.svc"),
    engine("spec.x509.dnsNames[0]", "not a Service of namespace shop"),
  ),
  identityCase(
    "refuses another namespace whose name ends alike",
    dns("payments.workshop.svc"),
    engine("spec.x509.dnsNames[0]", "namespace shop"),
  ),
  identityCase(
    "refuses the namespace itself",
    dns("shop.svc.cluster"),
    cel("spec.x509.dnsNames[0]", "[<label>.]<service>."),
  ),
  identityCase(
    "refuses the domain of another cluster",
    dns("payments.shop.svc.example.org"),
    engine("spec.x509.dnsNames[0]", "namespace shop"),
  ),
  identityCase(
    "refuses a DNS name twice",
    dns("payments.shop.svc", "payments.shop.svc"),
    schema("spec.x509.dnsNames[1]", "stands twice"),
  ),
  identityCase(
    "refuses 17 DNS names",
    dns(...Array.from({ length: 17 }, (_, i) => `p${i}.shop.svc`)),
    schema("spec.x509.dnsNames", "at most 16"),
  ),
  identityCase(
    "accepts every format",
    {
      x509: {
        formats: ["Combined", "PKCS12", "Istio", "PEM"],
        pkcs12: { passwordSecretRef: { name: "p12", key: "password" } },
      },
    },
    "valid",
  ),
  identityCase(
    "refuses a format that it does not know",
    { x509: { formats: ["JKS"] } },
    schema("spec.x509.formats[0]", "PKCS12"),
  ),
  identityCase(
    "refuses a format twice",
    { x509: { formats: ["PEM", "PEM"] } },
    schema("spec.x509.formats[1]", "stands twice"),
  ),
  identityCase(
    "refuses PKCS12 without a password",
    { x509: { formats: ["PKCS12"] } },
    cel("spec.x509.pkcs12", "format PKCS12 needs a password"),
  ),
  identityCase(
    "refuses a password without its key",
    { x509: { pkcs12: { passwordSecretRef: { name: "p12" } } } },
    schema("spec.x509.pkcs12.passwordSecretRef.key", "is missing"),
  ),
  identityCase(
    "refuses a password file that climbs out of its directory",
    { x509: { pkcs12: { passwordSecretRef: { name: "p12", key: "../key" } } } },
    cel("spec.x509.pkcs12.passwordSecretRef.key", "not '.' and not '..' at the start"),
  ),
  identityCase(
    "refuses a password Secret that is no name",
    { x509: { pkcs12: { passwordSecretRef: { name: "/etc", key: "passwd" } } } },
    cel("spec.x509.pkcs12.passwordSecretRef.name", OBJECT_NAME),
  ),
];

const SECRET_CASES: readonly RegistrationCase[] = [
  identityCase(
    "refuses a Secret name that climbs out of its directory",
    { x509: { secretName: "../../etc" } },
    cel("spec.x509.secretName", OBJECT_NAME),
  ),
  identityCase(
    "refuses a Secret name with two dots in a row",
    { x509: { secretName: "a..b" } },
    cel("spec.x509.secretName", OBJECT_NAME),
  ),
  identityCase(
    "refuses one Secret for both",
    { x509: { secretName: "creds" }, jwt: { tokens: [token], secretName: "creds" } },
    cel("spec.jwt.secretName", "would share one Secret"),
  ),
  identityCase(
    "refuses tokens in the default Secret of the certificate",
    { jwt: { tokens: [token], secretName: "payments-tls" } },
    cel("spec.jwt.secretName", "would share one Secret"),
  ),
  identityCase(
    "refuses a certificate in the default Secret of the tokens",
    { x509: { secretName: "payments-jwt" }, jwt: { tokens: [token] } },
    cel("spec.jwt.secretName", "would share one Secret"),
  ),
  identityCase(
    "accepts that name where there are no tokens",
    { x509: { secretName: "payments-jwt" } },
    "valid",
  ),
  identityCase(
    "refuses a password in the Secret that it writes",
    { x509: { pkcs12: { passwordSecretRef: { name: "payments-tls", key: "password" } } } },
    cel("spec.x509.pkcs12.passwordSecretRef.name", "meshid writes this Secret itself"),
  ),
  identityCase(
    "refuses the name of the bundle",
    { x509: { secretName: "meshid-bundle" } },
    engine("spec.x509.secretName", "the name of the trust bundle"),
  ),
  identityCase(
    "refuses the name of a file of local mode",
    { x509: { secretName: "orders.serviceidentity.yaml" } },
    engine("spec.x509.secretName", "a file that local mode writes"),
  ),
  identityCase(
    "refuses a reserved name in the operator's namespace",
    { x509: { secretName: "meshid-authority" } },
    engine("spec.x509.secretName", "is reserved"),
    { namespace: "meshid-system" },
  ),
  identityCase(
    "refuses a name whose default is reserved there",
    { jwt: { tokens: [token] }, x509: { secretName: "own" } },
    engine("spec.jwt.secretName", "is reserved"),
    { name: "meshid-x", namespace: "meshid-system" },
  ),
  identityCase(
    "accepts such a name in another namespace",
    { x509: { secretName: "meshid-authority" } },
    "valid",
  ),
  identityCase(
    "refuses a name too long for the default Secret",
    {},
    cel("spec.x509.secretName", "the default <name>-tls is too long"),
    { name: "a".repeat(250) },
  ),
  identityCase(
    "refuses a name too long for the default Secret of tokens",
    { x509: { secretName: "own" }, ...(tokens(token) as object) },
    cel("spec.jwt.secretName", "the default <name>-jwt is too long"),
    { name: "a".repeat(250) },
  ),
  identityCase("accepts such a name with a Secret of its own", { x509: { secretName: "own" } }, "valid", {
    name: "a".repeat(250),
  }),
  identityUpdate(
    "keeps the name of the Secret",
    { x509: { secretName: "a" } },
    { x509: { secretName: "b" } },
    cel("spec.x509.secretName", FIXED),
  ),
  identityUpdate(
    "keeps the default name when another is set",
    {},
    { x509: { secretName: "b" } },
    cel("spec.x509.secretName", FIXED),
  ),
  identityUpdate(
    "keeps a name when x509 is dropped",
    { x509: { secretName: "b" } },
    {},
    cel("spec.x509.secretName", FIXED),
  ),
  identityUpdate("lets the default be written down", {}, { x509: { secretName: "payments-tls" } }, "valid"),
  identityUpdate(
    "lets the default be left out again",
    { x509: { secretName: "payments-tls" } },
    { x509: {} },
    "valid",
  ),
  identityUpdate(
    "keeps the name of the tokens' Secret",
    tokens(token),
    { jwt: { tokens: [token], secretName: "b" } },
    cel("spec.jwt.secretName", FIXED),
  ),
  identityUpdate(
    "lets tokens come under any name",
    {},
    { jwt: { tokens: [token], secretName: "b" } },
    "valid",
  ),
  identityUpdate("lets tokens go", { jwt: { tokens: [token], secretName: "b" } }, {}, "valid"),
];

const TOKEN_CASES: readonly RegistrationCase[] = [
  identityCase(
    "accepts audiences that are URLs",
    tokens({ audience: "https://orders.example.com/v1?x=~" }),
    "valid",
  ),
  identityCase("refuses jwt without tokens", { jwt: {} }, schema("spec.jwt.tokens", "is missing")),
  identityCase("refuses an empty list of tokens", tokens(), schema("spec.jwt.tokens", "is empty")),
  identityCase(
    "refuses nine tokens",
    tokens(...Array.from({ length: 9 }, (_, i) => ({ audience: `a${i}` }))),
    schema("spec.jwt.tokens", "at most 8"),
  ),
  identityCase(
    "refuses an audience twice",
    tokens({ audience: "a" }, { audience: "a", key: "b" }),
    schema("spec.jwt.tokens[1]", "stands twice"),
  ),
  identityCase(
    "refuses an audience with a space",
    tokens({ audience: "a b" }),
    cel("spec.jwt.tokens[0].audience", "visible ASCII characters without spaces"),
  ),
  identityCase(
    "refuses an audience outside of ASCII",
    tokens({ audience: "оrders" }),
    cel("spec.jwt.tokens[0].audience", "visible ASCII"),
  ),
  identityCase(
    "refuses a key twice",
    tokens({ audience: "a", key: "k" }, { audience: "b", key: "k" }),
    cel("spec.jwt.tokens", "two tokens have the same key"),
  ),
  identityCase(
    "refuses two audiences with one default key",
    tokens({ audience: "a/b" }, { audience: "a:b" }),
    cel("spec.jwt.tokens", "two tokens have the same key"),
  ),
  identityCase(
    "refuses default keys that differ in a quote and a backslash alone",
    tokens({ audience: "a'b" }, { audience: "a\\b" }),
    cel("spec.jwt.tokens", "two tokens have the same key"),
  ),
  identityCase(
    "refuses a key that is another token's default",
    tokens({ audience: "a/b" }, { audience: "c", key: "a_b.jwt" }),
    cel("spec.jwt.tokens", "two tokens have the same key"),
  ),
  identityCase(
    "accepts the two audiences where one has its own key",
    tokens({ audience: "a/b" }, { audience: "a:b", key: "k" }),
    "valid",
  ),
  identityCase(
    "refuses a key that climbs out of its directory",
    tokens({ audience: "a", key: "..data" }),
    cel("spec.jwt.tokens[0].key", "not '.' and not '..' at the start"),
  ),
  identityCase(
    "refuses a key with a slash",
    tokens({ audience: "a", key: "a/b" }),
    cel("spec.jwt.tokens[0].key", "letters, digits"),
  ),
  identityCase(
    "refuses the key of the bundle",
    tokens({ audience: "a", key: "bundle.json" }),
    cel("spec.jwt.tokens[0].key", "other than bundle.json and jwks.json"),
  ),
  identityCase(
    "refuses an audience whose default key begins with two dots",
    tokens({ audience: "." }),
    cel("spec.jwt.tokens[0].key", "expected a key to be set"),
  ),
  identityCase(
    "refuses an audience whose default key is too long",
    tokens({ audience: "a".repeat(250) }),
    cel("spec.jwt.tokens[0].key", "expected a key to be set"),
  ),
  identityCase(
    "accepts that audience with a key",
    tokens({ audience: "a".repeat(250), key: "a.jwt" }),
    "valid",
  ),
  identityCase(
    "refuses a token of more than a day",
    tokens({ audience: "a", ttl: "25h" }),
    cel("spec.jwt.tokens[0].ttl", "expected a duration from 1m to 24h"),
  ),
  identityCase(
    "refuses a token shorter than the TrustDomain allows",
    tokens({ audience: "a", ttl: "2m" }),
    limit("spec.jwt.tokens[0].ttl", "at least limits.minTTL"),
  ),
];

const MTLS_CASES: readonly RegistrationCase[] = [
  identityCase("accepts mtls", { mtls }, "valid"),
  identityCase(
    "refuses mtls without a selector",
    { mtls: { mode: "Strict" } },
    schema("spec.mtls.selector", "is missing"),
  ),
  identityCase(
    "refuses a selector of all pods",
    { mtls: { mode: "Strict", selector: { matchLabels: {} } } },
    schema("spec.mtls.selector.matchLabels", "is empty"),
  ),
  identityCase(
    "refuses a mode that it does not know",
    { mtls: { ...mtls, mode: "STRICT" } },
    schema("spec.mtls.mode", "one of Strict, Permissive, Disabled"),
  ),
  identityCase(
    "refuses a label that is none",
    { mtls: { mode: "Strict", selector: { matchLabels: { "a b": "c" } } } },
    cel("spec.mtls.selector.matchLabels", "expected label keys"),
  ),
  identityCase(
    "refuses a wildcard in a label's value",
    { mtls: { mode: "Strict", selector: { matchLabels: { app: "*" } } } },
    cel("spec.mtls.selector.matchLabels", "expected a label value"),
  ),
  identityCase(
    "refuses a port twice",
    {
      mtls: {
        ...mtls,
        exceptions: [
          { port: 1, mode: "Strict" },
          { port: 1, mode: "Disabled" },
        ],
      },
    },
    schema("spec.mtls.exceptions[1]", "stands twice"),
  ),
  identityCase(
    "refuses port 65536",
    { mtls: { ...mtls, exceptions: [{ port: 65_536, mode: "Strict" }] } },
    schema("spec.mtls.exceptions[0].port", "at most 65535"),
  ),
  identityCase(
    "refuses a port in words",
    { mtls: { ...mtls, exceptions: [{ port: "http", mode: "Strict" }] } },
    schema("spec.mtls.exceptions[0].port", "a whole number such as 9090"),
  ),
];

const authority = (fields: object): unknown => ({ authority: fields });
const issuer = (text: string): unknown => ({ jwt: { issuer: text } });
const HTTPS = "expected an https URL";

const DOMAIN_CASES: readonly RegistrationCase[] = [
  domainCase("accepts a spec without any field", {}, "valid"),
  domainCase("accepts a spec with every field", FULL_DOMAIN_SPEC, "valid"),
  domainCase(
    "refuses a field that it does not know",
    { rotations: {} },
    schema("spec.rotations", "expected rotation"),
  ),
  domainCase(
    "refuses a root below 10m",
    authority({ rootTTL: "9m", issuingTTL: "3m" }),
    cel("spec.authority.rootTTL", "from 10m to 87600h"),
  ),
  domainCase(
    "refuses a root above ten years",
    authority({ rootTTL: "87601h" }),
    cel("spec.authority.rootTTL", "from 10m to 87600h"),
  ),
  domainCase(
    "refuses an issuing authority below 3m",
    { ...(authority({ issuingTTL: "2m" }) as object), rotation: { propagation: "10s" } },
    cel("spec.authority.issuingTTL", "at least 3m"),
  ),
  domainCase(
    "refuses an issuing authority above half of the root",
    authority({ rootTTL: "100h", issuingTTL: "51h" }),
    cel("spec.authority.issuingTTL", "at most half of rootTTL"),
  ),
  domainCase(
    "refuses an issuing authority above half of the default root",
    authority({ issuingTTL: "4381h" }),
    cel("spec.authority.issuingTTL", "at most half of rootTTL"),
  ),
  domainCase("accepts exactly half", authority({ rootTTL: "100h", issuingTTL: "50h" }), "valid"),
  domainCase(
    "accepts a short root: the default of the issuing authority gives way",
    authority({ rootTTL: "100h" }),
    "valid",
  ),
  domainCase(
    "refuses a root too short for the propagation",
    authority({ rootTTL: "3h" }),
    cel("spec.authority.issuingTTL", "4 times"),
  ),
  domainCase(
    "refuses an issuing authority below four propagations",
    authority({ issuingTTL: "119m" }),
    cel("spec.authority.issuingTTL", "4 times"),
  ),
  domainCase("accepts exactly four", authority({ issuingTTL: "2h" }), "valid"),
  domainCase(
    "refuses tokens' keys below four propagations",
    { jwt: { keyTTL: "119m" } },
    cel("spec.jwt.keyTTL", "4 times"),
  ),
  domainCase(
    "refuses tokens' keys below 3m",
    { jwt: { keyTTL: "179s" }, rotation: { propagation: "1s" } },
    cel("spec.jwt.keyTTL", "from 3m to 87600h"),
  ),
  domainCase(
    "refuses no propagation",
    { rotation: { propagation: "0s" } },
    cel("spec.rotation.propagation", "from 1s to 720h"),
  ),
  domainCase(
    "refuses a duration in weeks",
    { rotation: { propagation: "1w" } },
    schema("spec.rotation.propagation", "hours, minutes and seconds"),
  ),
  domainCase(
    "refuses a maintenance window with four fields of cron",
    { rotation: { maintenanceWindows: [{ schedule: "0 2 1,15 1,6", duration: "4h" }] } },
    cel("spec.rotation.maintenanceWindows[0].schedule", "five fields of cron"),
  ),
  domainCase(
    "refuses a maintenance window with seconds in its schedule",
    { rotation: { maintenanceWindows: [{ schedule: "0 0 2 * * 6", duration: "4h" }] } },
    cel("spec.rotation.maintenanceWindows[0].schedule", "five fields of cron"),
  ),
  domainCase(
    "refuses a maintenance window of a week and more",
    { rotation: { maintenanceWindows: [{ schedule: "0 2 * * 6", duration: "169h" }] } },
    cel("spec.rotation.maintenanceWindows[0].duration", "from 1m to 168h"),
  ),
  domainCase(
    "refuses a maintenance window in a time zone that nobody knows",
    {
      rotation: {
        maintenanceWindows: [{ schedule: "0 2 * * 6", timeZone: "Europe/Atlantis", duration: "4h" }],
      },
    },
    engine("spec.rotation.maintenanceWindows[0].timeZone", "not known here"),
  ),
  domainCase(
    "refuses RSA-2048 for the authority",
    authority({ keyAlgorithm: "RSA-2048" }),
    schema("spec.authority.keyAlgorithm", "RSA-3072"),
  ),
  domainCase(
    "refuses source Secret without the Secret",
    authority({ source: "Secret" }),
    cel("spec.authority.secretRef", "source Secret needs the Secret to be named"),
  ),
  domainCase(
    "accepts source Secret",
    authority({ source: "Secret", secretRef: { name: "byo-ca" } }),
    "valid",
  ),
  domainCase(
    "refuses an issuer without https",
    issuer("http://meshid.example.org"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer with a slash at its end",
    issuer("https://meshid.example.org/"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer with a query",
    issuer("https://meshid.example.org?a=b"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer with a fragment",
    issuer("https://meshid.example.org#a"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer with a user",
    issuer("https://me@meshid.example.org"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer that climbs",
    issuer("https://meshid.example.org/a/../b"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer in capitals",
    issuer("https://Meshid.example.org"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses port 65536 of an issuer",
    issuer("https://meshid.example.org:65536"),
    cel("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "refuses an issuer at half an address",
    issuer("https://1.2.3.999"),
    engine("spec.jwt.issuer", HTTPS),
  ),
  domainCase(
    "accepts an issuer with port and path",
    issuer("https://meshid.example.org:8443/td/cluster.local"),
    "valid",
  ),
  domainUpdate(
    "keeps the issuer",
    issuer("https://a.example"),
    issuer("https://b.example"),
    cel("spec.jwt.issuer", FIXED),
  ),
  domainUpdate("keeps the default issuer", {}, issuer("https://b.example"), cel("spec.jwt.issuer", FIXED)),
  domainUpdate(
    "keeps the issuer when it is left out",
    issuer("https://a.example"),
    {},
    cel("spec.jwt.issuer", FIXED),
  ),
  domainUpdate(
    "lets the default issuer be written down",
    {},
    issuer("https://meshid.meshid-system.svc"),
    "valid",
  ),
  domainCase(
    "refuses an algorithm without a place in JWT-SVIDs",
    { jwt: { algorithm: "HS256" } },
    schema("spec.jwt.algorithm", "one of ES256"),
  ),
  domainCase(
    "refuses a ConfigMap that is no name",
    { bundle: { configMapName: "../bundle" } },
    cel("spec.bundle.configMapName", OBJECT_NAME),
  ),
  domainCase(
    "refuses the ConfigMap of another",
    { bundle: { configMapName: "kube-root-ca.crt" } },
    engine("spec.bundle.configMapName", "others keep"),
  ),
  domainCase(
    "refuses roots that are no PEM",
    { bundle: { additionalRoots: "MIIB" } },
    cel("spec.bundle.additionalRoots", "CERTIFICATE blocks"),
  ),
  domainCase(
    "refuses roots that do not parse",
    { bundle: { additionalRoots: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" } },
    engine("spec.bundle.additionalRoots", "expected"),
  ),
  domainCase(
    "accepts a selector of namespaces",
    {
      bundle: {
        namespaceSelector: {
          matchLabels: { mesh: "on" },
          matchExpressions: [{ key: "a.b/c", operator: "In", values: ["d"] }],
        },
      },
    },
    "valid",
  ),
  domainCase(
    "refuses operator In without values",
    { bundle: { namespaceSelector: { matchExpressions: [{ key: "a", operator: "In" }] } } },
    cel("spec.bundle.namespaceSelector.matchExpressions[0].values", "values with In and NotIn"),
  ),
  domainCase(
    "refuses operator Exists with values",
    {
      bundle: { namespaceSelector: { matchExpressions: [{ key: "a", operator: "Exists", values: ["b"] }] } },
    },
    cel("spec.bundle.namespaceSelector.matchExpressions[0].values", "none with Exists"),
  ),
  domainCase(
    "refuses a label that is none",
    { bundle: { namespaceSelector: { matchExpressions: [{ key: "a b", operator: "Exists" }] } } },
    cel("spec.bundle.namespaceSelector.matchExpressions[0].key", "[<DNS name>/]<name"),
  ),
  domainCase(
    "refuses a least ttl above the longest",
    { limits: { minTTL: "2h", maxTTL: "1h" } },
    cel("spec.limits.minTTL", "is longer than maxTTL"),
  ),
  domainCase(
    "refuses a longest ttl below the default of the least",
    { limits: { maxTTL: "5m" } },
    cel("spec.limits.minTTL", "is longer than maxTTL"),
  ),
  domainCase(
    "refuses a least ttl above the longest of tokens",
    { limits: { minTTL: "2h", maxTokenTTL: "1h" } },
    cel("spec.limits.minTTL", "is longer than maxTokenTTL"),
  ),
  domainCase(
    "refuses a longest token above a day",
    { limits: { maxTokenTTL: "48h" } },
    cel("spec.limits.maxTokenTTL", "from 1m to 24h"),
  ),
  domainCase(
    "refuses no identities at all",
    { limits: { identitiesPerNamespace: 0 } },
    schema("spec.limits.identitiesPerNamespace", "at least 1"),
  ),
  domainCase(
    "refuses a key algorithm twice",
    { limits: { keyAlgorithms: ["Ed25519", "Ed25519"] } },
    schema("spec.limits.keyAlgorithms[1]", "stands twice"),
  ),
];

export const REGISTRATION_CASES: readonly RegistrationCase[] = [
  ...FIELD_CASES,
  ...X509_CASES,
  ...SECRET_CASES,
  ...TOKEN_CASES,
  ...MTLS_CASES,
  ...DOMAIN_CASES,
];
