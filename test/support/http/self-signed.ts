/** Throw-away TLS credentials for tests of servers. */

import { generateKeyPairSync, randomBytes } from "node:crypto";
import forge from "node-forge";
import { Secret } from "../../../src/core/secret.ts";

export interface SelfSigned {
  readonly chain: string;
  readonly key: Secret;
  /** As `getPeerCertificate().subject.CN` shows it. */
  readonly commonName: string;
}

/** A self-signed certificate for `localhost` and 127.0.0.1, valid for an hour. */
export function selfSigned(commonName: string): SelfSigned {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const key = forge.pki.privateKeyFromPem(pem);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  certificate.serialNumber = `4${randomBytes(8).toString("hex")}`;
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
  certificate.setSubject([{ name: "commonName", value: commonName }]);
  certificate.setIssuer([{ name: "commonName", value: commonName }]);
  certificate.setExtensions([
    {
      name: "subjectAltName",
      altNames: [
        { type: 2, value: "localhost" },
        { type: 7, ip: "127.0.0.1" },
      ],
    },
  ]);
  certificate.sign(key, forge.md.sha256.create());
  return { chain: forge.pki.certificateToPem(certificate), key: new Secret(pem), commonName };
}
