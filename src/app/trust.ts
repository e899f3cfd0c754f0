/**
 * What a credential is checked against: the authorities of one bundle, in any of its three forms.
 */

import { OperatorError } from "../core/errors.ts";
import { importVerificationKeys, parseJwks } from "../jwt/jwks.ts";
import type { VerificationKey } from "../jwt/jwt-svid.ts";
import { parseBundle } from "../spiffe/bundle.ts";
import { trustDomainOf } from "../spiffe/spiffe-id.ts";
import { parseTrustDomain, type TrustDomain } from "../spiffe/trust-domain.ts";
import { type Certificate, parseCertificate, parseCertificates } from "../x509/certificate.ts";
import { readBounded } from "./files.ts";
import { spiffeIdOf } from "./inspect/certificate-faults.ts";

export interface Trust {
  /** As the user named it. */
  readonly name: string;
  readonly form: "PEM" | "SPIFFE bundle" | "JWKS";
  readonly roots: readonly Certificate[];
  readonly keys: ReadonlyMap<string, VerificationKey>;
  /** Where the roots say it, and all the same. */
  readonly trustDomain: TrustDomain | undefined;
  readonly sequence: bigint | undefined;
}

/** Parsing needs a name; a bundle document does not say its own. */
const UNNAMED = parseTrustDomain("unnamed");

/** @throws NOT_FOUND, STORAGE_FAILED, INVALID_INPUT */
export async function readTrust(path: string): Promise<Trust> {
  const { bytes } = await readBounded(path);
  return parseTrust(path, bytes);
}

/** @throws INVALID_INPUT naming the file. */
export async function parseTrust(name: string, bytes: Uint8Array): Promise<Trust> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (text.includes("-----BEGIN ")) {
      const roots = parseCertificates(text, "bundle");
      return {
        name,
        form: "PEM",
        roots,
        keys: new Map(),
        trustDomain: commonTrustDomain(roots),
        sequence: undefined,
      };
    }
    return await parseDocument(name, text);
  } catch (cause) {
    const reason = cause instanceof OperatorError ? cause.message : "it is not text";
    throw new OperatorError(
      "INVALID_INPUT",
      `${name}: ${reason}; expected PEM certificates, a SPIFFE bundle or a JWK Set`,
      { cause },
    );
  }
}

async function parseDocument(name: string, text: string): Promise<Trust> {
  const bundle = parseBundle(text, UNNAMED);
  const isSpiffe =
    bundle.x509Authorities.length + bundle.jwtAuthorities.length > 0 || text.includes('"spiffe_');
  if (!isSpiffe) {
    const keys = await importVerificationKeys(parseJwks(text));
    return { name, form: "JWKS", roots: [], keys, trustDomain: undefined, sequence: undefined };
  }
  const roots = bundle.x509Authorities.map(({ der }, index) =>
    parseCertificate(der, `bundle.keys[${index}]`),
  );
  const keys = await importVerificationKeys(bundle.jwtAuthorities);
  return {
    name,
    form: "SPIFFE bundle",
    roots,
    keys,
    trustDomain: commonTrustDomain(roots),
    sequence: bundle.sequence,
  };
}

function commonTrustDomain(roots: readonly Certificate[]): TrustDomain | undefined {
  const names = new Set(roots.map(spiffeIdOf).flatMap((id) => (id === undefined ? [] : [trustDomainOf(id)])));
  const [name] = names;
  return names.size === 1 ? name : undefined;
}
