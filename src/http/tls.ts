/**
 * TLS of the public endpoint: Mozilla "intermediate" (guidelines 5.7) without its DHE suites, which need DH parameters
 * and serve no client that lacks ECDHE. SPIFFE Federation §5.
 */

import { createSecureContext, type SecureContextOptions } from "node:tls";
import { messageOf, OperatorError } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";

export interface TlsCredentials {
  /** PEM: the leaf, then its intermediates. */
  readonly chain: string;
  /** PKCS#8 PEM. */
  readonly key: Secret;
}

/** The client's preference decides: all of these are good, and only the client knows which it computes cheaply. */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

const GROUPS = "X25519MLKEM768:X25519:prime256v1:secp384r1";

/** @throws INVALID_CONFIGURATION when the chain or key cannot be read, or when they are no pair. */
export function secureContextOptions(credentials: TlsCredentials): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: credentials.chain,
    key: credentials.key.reveal(),
    minVersion: "TLSv1.2",
    ciphers: CIPHERS,
    honorCipherOrder: false,
    ecdhCurve: GROUPS,
  };
  // OpenSSL takes an empty text for none and would then fail each handshake.
  if (!credentials.chain.includes("BEGIN CERTIFICATE")) throw unusable("there is no certificate");
  if (!credentials.key.reveal().includes("PRIVATE KEY")) throw unusable("there is no private key");
  try {
    createSecureContext(options);
  } catch (error) {
    // Its message is OpenSSL's and holds no key material; the error itself is not kept as the cause, to be sure of it.
    throw unusable(messageOf(error));
  }
  return options;
}

function unusable(problem: string): OperatorError {
  return new OperatorError("INVALID_CONFIGURATION", `loading the server's certificate and key: ${problem}`);
}
