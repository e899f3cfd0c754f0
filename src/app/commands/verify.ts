/**
 * `meshid verify`: would a strict peer accept this?
 */

import type { Seconds } from "../../core/brand.ts";
import { parseRfc3339, toRfc3339 } from "../../core/clock.ts";
import {
  invalidInput,
  isOperatorError,
  messageOf,
  OperatorError,
  quoted,
  unreachable,
} from "../../core/errors.ts";
import { readJwt, verifyJwtSvid } from "../../jwt/jwt-svid.ts";
import { parseSpiffeId, type SpiffeId, trustDomainOf } from "../../spiffe/spiffe-id.ts";
import { parseTrustDomain, type TrustDomain } from "../../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate } from "../../x509/certificate.ts";
import { checkValidity } from "../../x509/path.ts";
import { checkAnchorProfile } from "../../x509/profile.ts";
import { verifyX509Svid } from "../../x509/verify.ts";
import { clusterTrust } from "../cluster-cli/bundle.ts";
import { credentialsIn, getSecret, type NamedContent, secretNameIn } from "../cluster-cli/secret.ts";
import { type ClusterSession, withCluster } from "../cluster-cli/session.ts";
import { readBounded } from "../files.ts";
import { spiffeIdOf } from "../inspect/certificate-faults.ts";
import { type Content, isPrivateKey, KNOWN_FORMS, recognise } from "../inspect/content.ts";
import { describeCross } from "../inspect/cross.ts";
import { EXIT, type Io } from "../io.ts";
import { flagOf, type GivenOptions, textOf } from "../options.ts";
import { formatData, formatFields, outputFormat, type Paint, painter, visible } from "../output.ts";
import { describeInstant } from "../times.ts";
import { parseTrust, readTrust, type Trust } from "../trust.ts";

/** What the credential must satisfy. */
interface Demand {
  readonly trust: Trust;
  readonly trustDomain: TrustDomain | undefined;
  readonly spiffeId: SpiffeId | undefined;
  readonly audience: string | undefined;
  readonly now: Seconds;
}

/** `data`: for a program, where that is not the text for a person. */
type Fields = readonly (readonly [name: string, label: string, text: string, data?: string])[];

/** `assumed`: what the user did not say and the credential was believed in. */
interface Verdict {
  readonly what: "X.509-SVID" | "JWT-SVID" | "bundle";
  readonly refusal?: { readonly rule: string; readonly message: string };
  readonly fields: Fields;
  readonly assumed: readonly string[];
}

/** @throws INVALID_CONFIGURATION, INVALID_INPUT, NOT_FOUND, STORAGE_FAILED when nothing can be verified; CLUSTER_UNREACHABLE. */
export async function runVerify(options: GivenOptions, io: Io): Promise<number> {
  outputFormat(options);
  const wanted = readWanted(options, io);
  const path = textOf(options, "FILE") ?? "";
  const bundle = textOf(options, "bundle");
  const secret = secretNameIn(path);
  const given = bundle === undefined ? undefined : await readTrust(bundle);
  const file = secret === undefined ? [{ name: path, ...(await readBounded(path)) }] : undefined;
  if (file !== undefined && given !== undefined)
    return verifyAll(path, file, { demand: { ...wanted, trust: given }, options, io });
  const ask = async (session: ClusterSession): Promise<number> => {
    const credentials = file ?? credentialsIn(await getSecret(session, secret ?? ""), wanted.audience);
    if (credentials.length === 0) throw notVerifiable(path);
    const trust = given ?? (await clusterTrust(session));
    return verifyAll(path, credentials, { demand: { ...wanted, trust }, options, io });
  };
  return withCluster(
    options,
    io,
    ask,
    given === undefined ? "--bundle FILE, the authorities to check against" : undefined,
  );
}

async function verifyAll(
  path: string,
  credentials: readonly NamedContent[],
  { demand, options, io }: { readonly demand: Demand; readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const format = outputFormat(options);
  const verdicts: (readonly [name: string, verdict: Verdict])[] = [];
  for (const { name, bytes } of credentials) verdicts.push([name, await verify(name, bytes, demand)]);
  const isGood = verdicts.every(([, { refusal }]) => refusal === undefined);
  if (format === "json" || format === "yaml") {
    const [only, ...others] = verdicts.map(([name, verdict]) => toData(name, verdict));
    const data = others.length === 0 ? only : { file: path, ok: isGood, results: [only, ...others] };
    io.stdout.write(await formatData(data, format));
  } else {
    const paint = painter(io);
    io.stdout.write(verdicts.map(([name, verdict]) => print(name, verdict, paint)).join("\n"));
  }
  return isGood ? EXIT.ok : EXIT.checkFailed;
}

function readWanted(options: GivenOptions, io: Io): Omit<Demand, "trust"> {
  const at = textOf(options, "at");
  const now = at === undefined ? io.clock.now() : parseRfc3339(at);
  if (now === undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `--at: ${quoted(at ?? "")} is not a time; expected RFC 3339, as 2026-11-24T22:00:00Z`,
    );
  const trustDomain = textOf(options, "trust-domain");
  const spiffeId = textOf(options, "spiffe-id");
  return {
    trustDomain:
      trustDomain === undefined ? undefined : parseTrustDomain(trustDomain, flagOf(options, "trust-domain")),
    spiffeId: spiffeId === undefined ? undefined : parseSpiffeId(spiffeId, flagOf(options, "spiffe-id")),
    audience: textOf(options, "audience"),
    now,
  };
}

async function verify(path: string, bytes: Uint8Array, demand: Demand): Promise<Verdict> {
  const content = recognise(bytes);
  switch (content.form) {
    case "token":
      return verifyToken(content.text.trim(), demand);
    case "der-certificate":
      return verifyCertificates(path, bytes, [content.certificate], demand);
    case "pem":
      return verifyCertificates(path, bytes, certificatesIn(content), demand);
    case "json":
      if (content.what === "spiffe-bundle" || content.what === "jwks")
        return verifyBundle(path, bytes, demand);
      throw notVerifiable(path);
    case "unknown":
      throw invalidInput(path, content.reason, KNOWN_FORMS);
    case "der-private-key":
    case "der-public-key":
    case "pkcs12":
    case "object":
      throw notVerifiable(path);
    default:
      return unreachable(content);
  }
}

function certificatesIn({ blocks, faults }: Extract<Content, { form: "pem" }>): readonly Certificate[] {
  const [fault] = faults;
  if (fault?.severity === "wrong") throw invalidInput("PEM", fault.message, "whole PEM blocks");
  return blocks
    .filter((block) => !isPrivateKey(block))
    .map(({ der }, index) => parseCertificate(der, `certificate ${index + 1}`));
}

function verifyCertificates(
  path: string,
  bytes: Uint8Array,
  chain: readonly Certificate[],
  demand: Demand,
): Verdict | Promise<Verdict> {
  const [leaf] = chain;
  if (leaf === undefined) throw notVerifiable(path);
  return leaf.isCA ? verifyBundle(path, bytes, demand) : verifyChain(chain, leaf, demand);
}

function verifyChain(chain: readonly Certificate[], leaf: Certificate, demand: Demand): Verdict {
  const { trust, now, spiffeId } = demand;
  const named = spiffeIdOf(leaf);
  const trustDomain = demand.trustDomain ?? (named === undefined ? undefined : trustDomainOf(named));
  const cross = describeCross(chain, trust.roots);
  const fields: Fields = [
    ["spiffeID", "SPIFFE ID", leaf.uris.join(", ")],
    ["notAfter", "Valid until", describeInstant(leaf.notAfter, now), toRfc3339(leaf.notAfter)],
    ["trustDomain", "Trust domain", trustDomain ?? "none"],
    [
      "bundle",
      "Bundle",
      `${trust.name} (${trust.form}, ${trust.roots.length} root${trust.roots.length === 1 ? "" : "s"})`,
    ],
    ...(cross === undefined ? [] : [["crossCertificate", "Cross-signed", cross] as const]),
  ];
  const assumed =
    demand.trustDomain === undefined
      ? ["the trust domain is taken from the certificate; --trust-domain says whose bundle this is"]
      : [];
  const refusal = refusalOf(() => {
    verifyX509Svid({
      chain,
      roots: trust.roots,
      now,
      // A leaf without a SPIFFE ID is refused before the name matters.
      trustDomain: trustDomain ?? parseTrustDomain("none"),
      ...(spiffeId === undefined ? {} : { expected: { spiffeId } }),
    });
  });
  return { what: "X.509-SVID", fields, assumed, ...refusal };
}

function verifyToken(token: string, demand: Demand): Verdict {
  const { trust, now } = demand;
  let fields: Fields = [
    [
      "bundle",
      "Bundle",
      `${trust.name} (${trust.form}, ${trust.keys.size} JWT key${trust.keys.size === 1 ? "" : "s"})`,
    ],
  ];
  const assumed: string[] = [];
  const refusal = refusalOf(() => {
    const { claims } = readJwt(token);
    const audience = demand.audience ?? claims.aud[0] ?? "";
    const trustDomain = demand.trustDomain ?? subjectsDomain(claims.sub);
    fields = [
      ["spiffeID", "SPIFFE ID", claims.sub],
      ["audience", "Audience", claims.aud.join(", ")],
      ["notAfter", "Valid until", describeInstant(claims.exp, now), toRfc3339(claims.exp)],
      ["trustDomain", "Trust domain", trustDomain],
      ...fields,
    ];
    if (demand.audience === undefined)
      assumed.push("the audience is taken from the token; --audience says who you are");
    if (demand.trustDomain === undefined)
      assumed.push("the trust domain is taken from the token; --trust-domain says whose bundle this is");
    const { spiffeId } = verifyJwtSvid(token, { keys: trust.keys, trustDomain, audience, now });
    if (demand.spiffeId !== undefined && spiffeId !== demand.spiffeId)
      throw refused("J-06", `is for ${spiffeId}, not for ${demand.spiffeId}`);
  });
  return { what: "JWT-SVID", fields, assumed, ...refusal };
}

function subjectsDomain(sub: string): TrustDomain {
  try {
    return trustDomainOf(parseSpiffeId(sub, "sub"));
  } catch (error) {
    throw refused("J-06", messageOf(error));
  }
}

/** A bundle holds when it has the authorities of the other, all of them and no more, and they are valid. */
async function verifyBundle(
  path: string,
  bytes: Uint8Array,
  { trust, trustDomain, now }: Demand,
): Promise<Verdict> {
  const bundle = await parseTrust(path, bytes);
  const name = trustDomain ?? bundle.trustDomain ?? trust.trustDomain;
  const comparesRoots = bundle.form !== "JWKS" && trust.form !== "JWKS";
  const comparesKeys = bundle.form !== "PEM" && trust.form !== "PEM";
  const fields: Fields = [
    ["trustDomain", "Trust domain", name ?? "not said"],
    ["authorities", "Authorities", `${bundle.roots.length} X.509, ${bundle.keys.size} JWT`],
    ...(bundle.sequence === undefined
      ? []
      : [
          [
            "sequence",
            "Sequence",
            `${bundle.sequence}${trust.sequence === undefined ? "" : ` (${trust.name}: ${trust.sequence})`}`,
          ] as const,
        ]),
    ["bundle", "Bundle", `${trust.name} (${trust.form})`],
  ];
  const refusal = refusalOf(() => {
    if (!comparesRoots && !comparesKeys)
      throw invalidInput(
        path,
        `is of the form ${bundle.form}, which has nothing in common with ${trust.form}`,
        "two bundles with authorities of one kind",
      );
    for (const root of comparesRoots ? bundle.roots : []) {
      if (name !== undefined) checkAnchorProfile(root, "root", name);
      checkValidity(root, "root", now);
    }
    if (comparesRoots) compare("root", names(bundle.roots), names(trust.roots), trust.name);
    if (comparesKeys)
      compare(
        "JWT key",
        new Map([...bundle.keys.keys()].map((id) => [id, id])),
        new Map([...trust.keys.keys()].map((id) => [id, id])),
        trust.name,
      );
  });
  return { what: "bundle", fields, assumed: [], ...refusal };
}

function names(roots: readonly Certificate[]): ReadonlyMap<string, string> {
  return new Map(
    roots.map((root) => [Buffer.from(root.der).toString("base64"), root.subjectKeyID ?? root.serialNumber]),
  );
}

function compare(
  what: string,
  own: ReadonlyMap<string, string>,
  trusted: ReadonlyMap<string, string>,
  name: string,
): void {
  const foreign = [...own].find(([key]) => !trusted.has(key));
  const missing = [...trusted].find(([key]) => !own.has(key));
  if (foreign !== undefined)
    throw refused("bundle", `has the ${what} ${foreign[1]}, which ${name} does not have`);
  if (missing !== undefined)
    throw refused("bundle", `lacks the ${what} ${missing[1]} of ${name}: it is out of date`);
}

function refused(rule: string, message: string): OperatorError {
  return new OperatorError("VERIFICATION_FAILED", message, { details: { rule } });
}

function refusalOf(check: () => void): Pick<Verdict, "refusal"> {
  try {
    check();
    return {};
  } catch (error) {
    if (!isOperatorError(error, "VERIFICATION_FAILED")) throw error;
    const rule = String(error.details["rule"] ?? "");
    return {
      refusal: {
        rule,
        message: messageOf(error)
          .replace(/^JWT-SVID refused: /, "")
          .replace(` (${rule})`, ""),
      },
    };
  }
}

function notVerifiable(path: string): OperatorError {
  return invalidInput(
    path,
    "is nothing that a bundle can vouch for",
    "a certificate chain, a JWT-SVID or a bundle (meshid inspect explains the rest)",
  );
}

function toData(path: string, { what, fields, refusal, assumed }: Verdict): unknown {
  return {
    file: path,
    what,
    ok: refusal === undefined,
    ...Object.fromEntries(fields.map(([name, , text, data]) => [name, data ?? text])),
    ...(refusal === undefined ? {} : { refusal }),
    assumed,
  };
}

function print(path: string, { what, fields, refusal, assumed }: Verdict, paint: Paint): string {
  const head =
    refusal === undefined
      ? `${paint("good", "OK")}  ${visible(path)}: ${what === "bundle" ? "the bundle has the same authorities" : `the ${what} is accepted`}\n`
      : "";
  const refusalLine =
    refusal === undefined
      ? ""
      : `${paint("bad", "REFUSED")}  ${visible(path)}: ${visible(refusal.message)} (${refusal.rule})\n`;
  const shown = formatFields(
    fields.map(([, label, text]) => [label, text] as const),
    "  ",
    paint,
  );
  return `${head}${refusalLine}${shown}${assumed.map((text) => `${paint("warn", "NOTE")}  ${text}\n`).join("")}`;
}
