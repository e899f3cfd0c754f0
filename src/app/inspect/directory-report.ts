/**
 * A directory as a mounted Secret or bundle shows it: does what lies in it fit together?
 */

import { join } from "node:path";
import { isOperatorError, messageOf } from "../../core/errors.ts";
import { type Certificate, parseCertificates } from "../../x509/certificate.ts";
import { type Entry, type FileContent, listDirectory, readBounded, resolveRevision } from "../files.ts";
import { parseTrust, type Trust } from "../trust.ts";
import { recognise } from "./content.ts";
import { contentReport, type InspectOptions } from "./content-report.ts";
import { pairFaults, readPrivateKey } from "./key-report.ts";
import { type Fact, type Fault, note, type Report, wrong } from "./report.ts";

/** By name. */
export type Files = ReadonlyMap<string, FileContent>;

const MAX_FILES = 64;
/** Files that format Istio names anew: copy and original. */
const COPIES = [
  ["cert-chain.pem", "tls.crt"],
  ["key.pem", "tls.key"],
  ["root-cert.pem", "ca.crt"],
] as const;
/** The order in which the parts are shown. */
const ORDER = ["tls.crt", "tls.key", "ca.crt", "bundle.json", "jwks.json"];

/** Whether the entries are those of a Secret or bundle directory. */
export function looksLikeSecret(entries: readonly Entry[]): boolean {
  const names = new Set(entries.map(({ name }) => name));
  return ["..data", "tls.crt", "tls.key", "ca.crt", "bundle.json", "jwks.json", "keystore.p12"].some((name) =>
    names.has(name),
  );
}

/** Everything is read from one revision. @throws STORAGE_FAILED when the directory cannot be read. */
export async function directoryReport(directory: string, options: InspectOptions): Promise<Report> {
  const revision = await resolveRevision(directory);
  const entries = (await listDirectory(revision)).filter(
    (entry) => !entry.isDirectory && !entry.name.startsWith("."),
  );
  const files: Files = new Map(
    await Promise.all(
      entries
        .slice(0, MAX_FILES)
        .map(async ({ name }) => [name, await readBounded(join(revision, name))] as const),
    ),
  );
  const report = await filesReport(files, "directory", options);
  const own = [
    ...(entries.length > MAX_FILES
      ? [note("files", `only ${MAX_FILES} of its ${entries.length} files were looked at`)]
      : []),
    ...(revision === directory && files.size > 0
      ? [
          note(
            "..data",
            "has no ..data: its files may change one by one, so a reader can meet a key and a certificate that do not fit",
          ),
        ]
      : []),
  ];
  return { ...report, faults: [...own, ...report.faults] };
}

/** What belongs together: the files of a directory, or the content of a Secret. */
export async function filesReport(
  files: Files,
  container: "directory" | "Secret",
  options: InspectOptions,
): Promise<Report> {
  const roots = await trustIn(files, "ca.crt");
  const keys = (await trustIn(files, "jwks.json")) ?? (await trustIn(files, "bundle.json"));
  const parts = await Promise.all(
    [...files]
      .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
      .map(([name, file]) =>
        partReport(name, file, { ...options, trust: trustFor(file, options.trust, roots, keys) }),
      ),
  );
  const isBundle = !files.has("tls.crt") && files.has("ca.crt");
  const chain = parts.find(({ name }) => name === "tls.crt");
  return {
    kind: container === "Secret" ? "secret" : isBundle ? "bundle-directory" : "secret-directory",
    title: titleOf(files, parts, container),
    facts: summaryFacts(chain),
    faults: [
      ...(files.size === 0 ? [wrong("empty", "nothing is in it")] : []),
      ...pairIn(files, "tls.key", "tls.crt"),
      ...copyFaults(files),
      ...(await bundleFaults(files)),
    ],
    parts,
  };
}

/** Never throws for the content of one file: the others are looked at all the same. */
async function partReport(name: string, file: FileContent, options: InspectOptions): Promise<Report> {
  const content = recognise(file.bytes);
  if (content.form === "pkcs12" && options.password === undefined) {
    const faults = [note("password", "was not looked into (--password-file FILE opens it)")];
    return { kind: "keystore", title: "PKCS#12 keystore", name, facts: [], faults, parts: [] };
  }
  try {
    return await contentReport(name, file, options);
  } catch (error) {
    if (!isOperatorError(error)) throw error;
    const message = messageOf(error)
      .replace(`${name}: `, "")
      .replace(/; expected a certificate, chain.*$/, "");
    return {
      kind: "object",
      title: "unknown file",
      name,
      facts: [],
      faults: [wrong("content", message)],
      parts: [],
    };
  }
}

/** The bundle beside a credential; one that the user named goes before it. */
function trustFor(
  file: FileContent,
  given: Trust | undefined,
  roots: Trust | undefined,
  keys: Trust | undefined,
): Trust | undefined {
  if (given !== undefined) return given;
  return recognise(file.bytes).form === "token" ? keys : roots;
}

/** Undefined where there is none, or it cannot be read: its own report says so. */
async function trustIn(files: Files, name: string): Promise<Trust | undefined> {
  const file = files.get(name);
  if (file === undefined) return undefined;
  try {
    return await parseTrust(name, file.bytes);
  } catch (error) {
    if (isOperatorError(error, "INVALID_INPUT")) return undefined;
    throw error;
  }
}

function pairIn(files: Files, keyName: string, chainName: string): readonly Fault[] {
  const key = files.get(keyName);
  const chain = files.get(chainName);
  if (key === undefined && chain === undefined) return [];
  if (key === undefined)
    return [wrong("missing", `${keyName} is missing: ${chainName} is of no use without it`)];
  if (chain === undefined)
    return [wrong("missing", `${chainName} is missing: ${keyName} is of no use without it`)];
  if (!files.has("ca.crt"))
    return [
      wrong("missing", "ca.crt is missing: peers cannot be verified"),
      ...pairOf(key, chain, keyName, chainName),
    ];
  return pairOf(key, chain, keyName, chainName);
}

function pairOf(key: FileContent, chain: FileContent, keyName: string, chainName: string): readonly Fault[] {
  const content = recognise(key.bytes);
  const leaf = firstCertificate(chain);
  const block = content.form === "pem" ? content.blocks[0] : undefined;
  if (block === undefined || leaf === undefined) return [];
  try {
    return pairFaults(readPrivateKey(block.der, block.label), leaf, [keyName, chainName]);
  } catch (error) {
    // The key's own report says what is wrong with it.
    if (isOperatorError(error, "INVALID_INPUT")) return [];
    throw error;
  }
}

function firstCertificate(file: FileContent): Certificate | undefined {
  try {
    return parseCertificates(Buffer.from(file.bytes).toString("utf8"))[0];
  } catch {
    return undefined;
  }
}

function copyFaults(files: Files): readonly Fault[] {
  return COPIES.flatMap(([copy, original]) => {
    const [a, b] = [files.get(copy), files.get(original)];
    if (a === undefined || b === undefined || Buffer.from(a.bytes).equals(b.bytes)) return [];
    return [wrong("copy", `${copy} differs from ${original}: they are copies of each other`)];
  });
}

/** The documents of one bundle carry the same authorities. */
async function bundleFaults(files: Files): Promise<readonly Fault[]> {
  const [pem, bundle, jwks] = await Promise.all(
    ["ca.crt", "bundle.json", "jwks.json"].map((name) => trustIn(files, name)),
  );
  const faults: Fault[] = [];
  if (pem !== undefined && bundle !== undefined && !sameSet(pem.roots.map(hex), bundle.roots.map(hex))) {
    faults.push(wrong("bundle", "ca.crt and bundle.json carry different roots"));
  }
  if (
    jwks !== undefined &&
    bundle !== undefined &&
    !sameSet([...jwks.keys.keys()], [...bundle.keys.keys()])
  ) {
    faults.push(wrong("bundle", "jwks.json and bundle.json carry different JWT keys"));
  }
  return faults;
}

function hex({ der }: Certificate): string {
  return Buffer.from(der).toString("hex");
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((each) => set.has(each));
}

/** What a person looks for first: whose, and until when. */
function summaryFacts(chain: Report | undefined): readonly Fact[] {
  return (chain?.facts ?? []).filter(({ name }) => name === "spiffeID" || name === "notAfter");
}

function titleOf(files: Files, parts: readonly Report[], container: "directory" | "Secret"): string {
  const tokens = parts.filter(({ kind }) => kind === "token").length;
  const chain = parts.find(({ name }) => name === "tls.crt");
  const isSvid = chain?.facts.some(({ name }) => name === "spiffeID") ?? false;
  const holds = [
    ...(files.has("tls.crt") ? [container === "Secret" && !isSvid ? "a certificate" : "an X.509-SVID"] : []),
    ...(tokens === 0 ? [] : [tokens === 1 ? "a JWT-SVID" : `${tokens} JWT-SVIDs`]),
  ];
  const kind = container === "Secret" ? "Secret" : "Secret directory";
  if (holds.length > 0) return `${kind} with ${holds.join(" and ")}`;
  if (container === "Secret") return "Secret without a credential that meshid knows";
  return files.has("ca.crt") ? "bundle directory" : "directory";
}

function rank(name: string): number {
  const index = ORDER.indexOf(name);
  return index === -1 ? ORDER.length : index;
}
