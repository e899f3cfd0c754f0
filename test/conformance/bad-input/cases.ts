/**
 * Bad input to `meshid local --once`: what is put in the identities directory, and what must be said about it. Beside each
 * of them lies a good identity, which must be issued all the same unless the exit code is 2.
 */

import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identityYaml, trustDomainYaml, type Workspace } from "../../support/local-process.ts";

export interface BadInput {
  readonly name: string;
  readonly prepare: (work: Workspace) => Promise<void>;
  readonly args?: (work: Workspace) => readonly string[];
  readonly code: 1 | 2;
  /** Each must stand in standard error: file, line, field, what was expected. */
  readonly says: readonly (string | RegExp)[];
  /** The status of an identity (`<namespace>/<name>`) that must carry a reason. */
  readonly status?: readonly [object: string, reason: string];
  /** Several identities, exactly one of which has a condition with this reason. */
  readonly statusOfOne?: readonly [objects: readonly string[], reason: string];
}

const file =
  (path: string, content: string | Uint8Array) =>
  (work: Workspace): Promise<void> =>
    work.put(path, content);

/** A document whose `spec` begins on line 6. */
const document = (spec: string, name = "bad"): string =>
  `apiVersion: meshid.dev/v1alpha1\nkind: ServiceIdentity\nmetadata:\n  name: ${name}\n  namespace: shop\nspec:\n${spec}`;

const aliases = `a: &a [x, x, x, x, x, x, x, x, x]\n${["b", "c", "d", "e", "f", "g", "h"]
  .map(
    (name, index) =>
      `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefg"[index]}`).join(", ")}]`,
  )
  .join("\n")}\n`;

export const BAD_INPUTS: readonly BadInput[] = [
  {
    name: "YAML that is malformed",
    prepare: file("bad.yaml", document("  x509: {ttl: 1h\n")),
    code: 1,
    says: ["bad.yaml:", /:[78]\b/],
  },
  {
    name: "YAML aliased without end",
    prepare: file("bad.yaml", aliases),
    code: 1,
    says: ["bad.yaml", /alias/i],
  },
  {
    name: "YAML nested without end",
    prepare: file("bad.yaml", `a: ${"[".repeat(100_000)}${"]".repeat(100_000)}\n`),
    code: 1,
    says: ["bad.yaml:1", "nested too deeply", "expected"],
  },
  {
    name: "a key that stands twice",
    prepare: file("bad.yaml", `${document("  x509: {ttl: 1h}\n")}spec: {}\n`),
    code: 1,
    says: ["bad.yaml:8", "unique"],
  },
  {
    name: "one broken document among good ones",
    prepare: file("good.yaml", `kind: [\n---\n${identityYaml("good")}---\n- a list\n`),
    code: 1,
    says: ["good.yaml:2", "good.yaml:8", "is not an object"],
  },
  {
    name: "a file that cannot be read",
    prepare: async (work) => {
      const path = join(work.identities, "secret.yaml");
      // The superuser may read every file: there the kernel's own refuses.
      if (process.getuid?.() === 0) return symlink("/proc/self/mem", path);
      await writeFile(path, identityYaml("unseen"), { mode: 0o000 });
    },
    code: 1,
    says: ["secret.yaml", /cannot be read \(E(IO|ACCES)\)/],
  },
  {
    name: "a link to nowhere",
    prepare: (work) => symlink("/nonexistent/file", join(work.identities, "gone.yaml")),
    code: 1,
    says: ["gone.yaml", "cannot be read (ENOENT)"],
  },
  {
    name: "a file of 10 MB",
    prepare: file("big.yaml", `# ${"x".repeat(10_000_000)}\n`),
    code: 1,
    says: ["big.yaml", /1 ?MiB|1048576|too large/i],
  },
  {
    name: "a file that is not UTF-8",
    prepare: file("latin.yaml", Uint8Array.of(0x61, 0x3a, 0xff, 0xfe)),
    code: 1,
    says: ["latin.yaml", "UTF-8"],
  },
  {
    name: "an unknown field",
    prepare: file("bad.yaml", document("  x509:\n    tll: 1h\n")),
    code: 1,
    says: ["bad.yaml:8", "spec.x509.tll", "not a known field"],
  },
  {
    name: "a wrong type",
    prepare: file("bad.yaml", document("  x509:\n    renewAfterPercent: half\n")),
    code: 1,
    says: ["bad.yaml:8", "spec.x509.renewAfterPercent", "whole number"],
  },
  {
    name: "a ttl in days",
    prepare: file("bad.yaml", document("  x509:\n    ttl: 90d\n")),
    code: 1,
    says: ["bad.yaml:8", "spec.x509.ttl"],
  },
  {
    name: "a ttl out of bounds",
    prepare: file("bad.yaml", document("  x509:\n    ttl: 9000h\n")),
    code: 1,
    says: ["bad.yaml:8", "spec.x509.ttl", "2160h"],
  },
  {
    name: "a ttl above the trust domain's limit",
    prepare: async (work) => {
      await work.put("td.yaml", trustDomainYaml("{limits: {maxTTL: 2h}}"));
      await work.put("good.yaml", identityYaml("good", "{x509: {ttl: 1h}}"));
      await work.put("bad.yaml", document("  x509:\n    ttl: 3h\n"));
    },
    code: 1,
    says: ["bad.yaml", "spec.x509.ttl", "limits.maxTTL"],
    status: ["shop/bad", "LimitExceeded"],
  },
  {
    name: "a DNS name of another namespace",
    prepare: file("bad.yaml", document("  x509:\n    dnsNames: [payments.bank.svc]\n")),
    code: 1,
    says: ["bad.yaml", "spec.x509.dnsNames[0]", "shop.svc"],
    status: ["shop/bad", "InvalidSpec"],
  },
  {
    name: "a DNS name with a wildcard",
    prepare: file("bad.yaml", document('  x509:\n    dnsNames: ["*.shop.svc"]\n')),
    code: 1,
    says: ["bad.yaml", "spec.x509.dnsNames"],
  },
  {
    name: "a namespace that climbs out",
    prepare: file("bad.yaml", identityYaml("bad", "{}", "../../etc")),
    code: 1,
    says: ["bad.yaml:3", "metadata.namespace"],
  },
  {
    name: "a name that is absolute",
    prepare: file("bad.yaml", identityYaml("/etc/passwd")),
    code: 1,
    says: ["bad.yaml:3", "metadata.name"],
  },
  {
    name: "a name with NUL",
    prepare: file("bad.yaml", identityYaml('"a\\0b"')),
    code: 1,
    says: ["bad.yaml", "metadata.name"],
  },
  {
    name: "a secret name that climbs out",
    prepare: file("bad.yaml", document("  x509:\n    secretName: ../up\n")),
    code: 1,
    says: ["bad.yaml:8", "spec.x509.secretName"],
  },
  {
    name: "a token key that climbs out",
    prepare: file("bad.yaml", document("  jwt:\n    tokens:\n      - {audience: a, key: ../../x}\n")),
    code: 1,
    says: ["bad.yaml:9", "spec.jwt.tokens[0].key"],
  },
  {
    name: "Ed25519 with mTLS",
    prepare: file(
      "bad.yaml",
      document(
        "  x509: {keyAlgorithm: Ed25519}\n  mtls: {mode: Strict, selector: {matchLabels: {app: a}}}\n",
      ),
    ),
    code: 1,
    says: ["bad.yaml", "Ed25519"],
  },
  {
    name: "PKCS12 without a password",
    prepare: file("bad.yaml", document("  x509: {formats: [PKCS12]}\n")),
    code: 1,
    says: ["bad.yaml", "pkcs12"],
  },
  {
    name: "a password Secret that does not exist",
    prepare: file(
      "bad.yaml",
      document("  x509: {formats: [PKCS12], pkcs12: {passwordSecretRef: {name: p12, key: password}}}\n"),
    ),
    code: 1,
    says: ["shop/p12", "password"],
    status: ["shop/bad", "InvalidSpec"],
  },
  {
    name: "two identities for one ServiceAccount",
    prepare: async (work) => {
      await work.put("a.yaml", document("  serviceAccountName: pay\n", "alpha"));
      await work.put("b.yaml", document("  serviceAccountName: pay\n", "beta"));
    },
    code: 1,
    says: ["shop/alpha", "pay"],
    status: ["shop/beta", "IdentityConflict"],
  },
  {
    name: "two identities for one Secret",
    prepare: async (work) => {
      await work.put("a.yaml", document("  x509: {secretName: same}\n", "alpha"));
      await work.put("b.yaml", document("  x509: {secretName: same}\n", "beta"));
    },
    code: 1,
    says: [/shop\/(alpha|beta): choose another secretName/],
    // Whoever writes the Secret first has it.
    statusOfOne: [["shop/alpha", "shop/beta"], "SecretConflict"],
  },
  {
    name: "a Secret in the way that is not meshid's",
    prepare: async (work) => {
      await mkdir(join(work.out, "shop/bad-tls"), { recursive: true });
      await writeFile(join(work.out, "shop/bad-tls/tls.crt"), "precious");
      await work.put("bad.yaml", identityYaml("bad"));
    },
    code: 1,
    says: ["shop/bad-tls", "not meshid's"],
    status: ["shop/bad", "SecretConflict"],
  },
  {
    name: "names of the files that local mode writes",
    prepare: file("bad.yaml", document("  x509: {secretName: good.serviceidentity.yaml}\n")),
    code: 1,
    says: ["bad.yaml:7", "spec.x509.secretName", "expected"],
    status: ["shop/bad", "InvalidSpec"],
  },
  {
    name: "two files for one object",
    prepare: async (work) => {
      await work.put("a.yaml", identityYaml("twin"));
      await work.put("b.yaml", identityYaml("twin"));
    },
    code: 1,
    says: ["a.yaml", "b.yaml", "shop/twin"],
  },
  {
    name: "another kind",
    prepare: file("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
    code: 1,
    says: ["bad.yaml:2", "kind", "ServiceIdentity"],
  },
  {
    name: "another version",
    prepare: file("bad.yaml", identityYaml("bad").replace("v1alpha1", "v9")),
    code: 1,
    says: ["bad.yaml:1", "apiVersion", "meshid.dev/v1alpha1"],
  },
  {
    name: "a loop of links",
    prepare: async (work) => {
      await mkdir(join(work.identities, "sub"));
      await symlink("..", join(work.identities, "sub/up"));
      await symlink("loop.yaml", join(work.identities, "loop.yaml"));
    },
    code: 1,
    says: ["loop.yaml"],
  },
  {
    name: "a directory with a file's name",
    prepare: async (work) => {
      await mkdir(join(work.identities, "dir.yaml"));
      await writeFile(join(work.identities, "dir.yaml/bad.yaml"), "kind: [");
    },
    code: 1,
    says: ["dir.yaml/bad.yaml:1"],
  },
  {
    name: "a bad TrustDomain",
    prepare: file("td.yaml", trustDomainYaml("{authority: {issuingTTL: 1m}}")),
    code: 2,
    says: ["td.yaml", "spec.authority.issuingTTL"],
  },
  {
    name: "a TrustDomain that the schema refuses",
    prepare: file("td.yaml", trustDomainYaml("{authority: {rootTLT: 24h}}", "my.example")),
    code: 2,
    says: ["td.yaml:4", "spec.authority.rootTLT", "not a known field"],
  },
  {
    name: "a TrustDomain of another version",
    prepare: file("td.yaml", trustDomainYaml("{}", "my.example").replace("v1alpha1", "v9")),
    code: 2,
    says: ["td.yaml:1", "apiVersion", "meshid.dev/v1alpha1"],
  },
  {
    name: "a TrustDomain with times that do not fit",
    prepare: file("td.yaml", trustDomainYaml("{jwt: {keyTTL: 1h}}")),
    code: 2,
    says: ["td.yaml", "spec.jwt.keyTTL", "propagation"],
  },
  {
    name: "two TrustDomains",
    prepare: async (work) => {
      await work.put("td1.yaml", trustDomainYaml("{}", "one.example"));
      await work.put("td2.yaml", trustDomainYaml("{}", "two.example"));
    },
    code: 2,
    says: ["td1.yaml", "td2.yaml", "TrustDomain"],
  },
  {
    name: "an identities directory that does not exist",
    prepare: async () => {},
    args: (work) => ["--identities", join(work.dir, "none")],
    code: 2,
    says: ["none"],
  },
  {
    name: "an OUT inside of the identities directory",
    prepare: async () => {},
    args: (work) => ["--out", join(work.identities, "out")],
    code: 2,
    says: ["--out", "lies in --identities"],
  },
  {
    name: "an identities directory inside of OUT",
    prepare: async () => {},
    args: (work) => ["--out", work.dir],
    code: 2,
    says: ["--out", "holds --identities"],
  },
  {
    name: "a STATE inside of the identities directory",
    prepare: async () => {},
    args: (work) => ["--state", join(work.identities, "state")],
    code: 2,
    says: ["--state", "lies in --identities"],
  },
  {
    name: "an OUT that is a file",
    prepare: (work) => writeFile(join(work.dir, "file"), ""),
    args: (work) => ["--out", join(work.dir, "file")],
    code: 2,
    says: ["file"],
  },
  {
    name: "a STATE that is a file",
    prepare: (work) => writeFile(join(work.dir, "file"), ""),
    args: (work) => ["--state", join(work.dir, "file")],
    code: 2,
    says: ["file"],
  },
  {
    name: "an OUT that cannot be written",
    prepare: async (work) => {
      await mkdir(join(work.dir, "locked"));
      await chmod(join(work.dir, "locked"), 0o500);
    },
    // The superuser may write anywhere: there the kernel's own file system refuses.
    args: (work) => ["--out", process.getuid?.() === 0 ? "/proc/meshid" : join(work.dir, "locked/out")],
    code: 2,
    says: [/proc\/meshid|locked/],
  },
  { name: "an unknown flag", prepare: async () => {}, args: () => ["--bogus"], code: 2, says: ["bogus"] },
  {
    name: "a bad address",
    prepare: async () => {},
    args: () => ["--listen", "127.0.0.1:99999"],
    code: 2,
    says: ["--listen", "99999"],
  },
  {
    name: "a bad trust domain",
    prepare: async () => {},
    args: () => ["--trust-domain", "Not/Valid"],
    code: 2,
    says: ["Not/Valid"],
  },
];
