/**
 * Keys, certificates and kubeconfigs of a control plane for tests, made with the encoder of `src/x509`.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Seconds, seconds } from "../../../src/core/brand.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { Secret } from "../../../src/core/secret.ts";
import {
  contextBytes,
  type Der,
  octetString,
  oid,
  sequence,
  set,
  splice,
  utf8String,
} from "../../../src/x509/asn1.ts";
import { parseCertificate } from "../../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  EXTENSION_OID,
  extensions,
  extKeyUsage,
  keyUsage,
  subjectKeyIdentifier,
} from "../../../src/x509/extensions.ts";
import { ipBytes } from "../../../src/x509/ip-address.ts";
import {
  encodePrivateKey,
  encodePublicKey,
  encodeSpki,
  generateKey,
  keyIdOf,
  type PrivateKey,
  parsePrivateKey,
  publicKeyOf,
} from "../../../src/x509/keys.ts";
import { signContents, signerOf } from "../../../src/x509/signing.ts";

const OID = { commonName: "2.5.4.3", organization: "2.5.4.10" } as const;
const GENERAL_NAME = { dns: 2, ip: 7 } as const;
const LIFE = 30 * 86_400;

/** Who a certificate is for; Kubernetes reads the user from CN and the groups from O. */
interface Subject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

function distinguishedName({ commonName, organizations }: Subject): Der {
  const part = (type: string, text: string): Der => set(sequence(oid(type), utf8String(text)));
  return sequence(
    ...organizations.map((organization) => part(OID.organization, organization)),
    part(OID.commonName, commonName),
  );
}

/** An hour back, so that a server whose clock is behind takes it too. */
function validity(): { readonly notBefore: Seconds; readonly notAfter: Seconds } {
  const now = Math.floor(Date.now() / 1000);
  return { notBefore: seconds(now - 3600), notAfter: seconds(now + LIFE) };
}

export interface Paths {
  readonly ca: string;
  readonly caKey: string;
  readonly serverCert: string;
  readonly serverKey: string;
  /** Signs and checks tokens of ServiceAccounts. */
  readonly tokenKey: string;
  readonly tokenPublicKey: string;
}

export function pathsIn(dir: string): Paths {
  const at = (name: string): string => join(dir, "pki", name);
  return {
    ca: at("ca.crt"),
    caKey: at("ca.key"),
    serverCert: at("apiserver.crt"),
    serverKey: at("apiserver.key"),
    tokenKey: at("sa.key"),
    tokenPublicKey: at("sa.pub"),
  };
}

export async function makeCredentials(dir: string): Promise<void> {
  const paths = pathsIn(dir);
  await mkdir(join(dir, "pki"), { recursive: true });
  const caKey = await generateKey("ECDSA-P256");
  const caName = distinguishedName({ commonName: "control-plane-for-tests", organizations: [] });
  const keyID = keyIdOf(caKey);
  const { identifier, sign } = signerOf(caKey);
  const ca = await signContents(
    {
      ...validity(),
      algorithm: identifier,
      issuer: caName,
      subject: caName,
      spki: encodeSpki(caKey),
      extensions: extensions(
        basicConstraints(true),
        keyUsage("keyCertSign", "cRLSign"),
        subjectKeyIdentifier(keyID),
        authorityKeyIdentifier(keyID),
      ),
      random: systemRandom,
    },
    sign,
  );
  await writeFile(paths.ca, ca.pem);
  await writeKey(paths.caKey, caKey);
  const server = await issue(dir, { commonName: "kube-apiserver", organizations: [] }, [
    subjectAltNames(
      ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      ["127.0.0.1"],
    ),
  ]);
  await writeFile(paths.serverCert, server.certificate);
  await writeKey(paths.serverKey, server.key);
  const tokenKey = await generateKey("ECDSA-P256");
  await writeKey(paths.tokenKey, tokenKey);
  await writeFile(paths.tokenPublicKey, encodePublicKey(publicKeyOf(tokenKey)));
}

/** Writes a kubeconfig with a client certificate for this user. */
export async function writeKubeconfig(
  dir: string,
  file: string,
  {
    server,
    user,
    groups,
  }: { readonly server: string; readonly user: string; readonly groups: readonly string[] },
): Promise<void> {
  const client = await issue(dir, { commonName: user, organizations: groups }, []);
  const ca = await readFile(pathsIn(dir).ca);
  const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server, "certificate-authority-data": base64(ca) } }],
    users: [
      {
        name: user,
        user: {
          "client-certificate-data": base64(client.certificate),
          "client-key-data": base64(encodePrivateKey(client.key).reveal()),
        },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user } }],
  };
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

async function issue(
  dir: string,
  subject: Subject,
  more: readonly Der[],
): Promise<{ readonly certificate: string; readonly key: PrivateKey }> {
  const paths = pathsIn(dir);
  const ca = parseCertificate(await readFile(paths.ca, "utf8"));
  const caKey = parsePrivateKey(new Secret(await readFile(paths.caKey, "utf8")));
  const { identifier, sign } = signerOf(caKey);
  const key = await generateKey("ECDSA-P256");
  const signed = await signContents(
    {
      ...validity(),
      algorithm: identifier,
      issuer: splice(ca.subjectDer),
      subject: distinguishedName(subject),
      spki: encodeSpki(key),
      extensions: extensions(
        basicConstraints(false),
        keyUsage("digitalSignature"),
        extKeyUsage(),
        authorityKeyIdentifier(keyIdOf(caKey)),
        ...more,
      ),
      random: systemRandom,
    },
    sign,
  );
  return { certificate: signed.pem, key };
}

/** Not `subjectAltName` of the product: that one always has a SPIFFE ID. */
function subjectAltNames(dnsNames: readonly string[], addresses: readonly string[]): Der {
  const names = sequence(
    ...dnsNames.map((name) => contextBytes(GENERAL_NAME.dns, name)),
    ...addresses.map((address) => contextBytes(GENERAL_NAME.ip, ipBytes(address))),
  );
  return sequence(oid(EXTENSION_OID.subjectAltName), octetString(names));
}

async function writeKey(path: string, key: PrivateKey): Promise<void> {
  await writeFile(path, encodePrivateKey(key).reveal(), { mode: 0o600 });
}
