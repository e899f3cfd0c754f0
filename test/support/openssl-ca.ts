/**
 * A CA as an organisation has one, made by the openssl program: a root, and an issuing certificate under it.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface OpensslCa {
  /** `tls.crt`, `tls.key` and `ca.crt`, as in a Secret. */
  readonly files: Readonly<Record<"tls.crt" | "tls.key" | "ca.crt", string>>;
  /** Another issuing certificate under the same root; with the same key, or a new one. */
  readonly renew: (serial: string, key?: "same" | "new") => OpensslCa["files"];
}

const EXTENSIONS = [
  "basicConstraints=critical,CA:TRUE,pathlen:0",
  "keyUsage=critical,keyCertSign,cRLSign",
  "subjectKeyIdentifier=hash",
  "authorityKeyIdentifier=keyid",
].join("\n");

/** Lies below the temporary directory of the process. `days`: the life of the issuing certificates. */
export function opensslCa(name: string, days = 30): OpensslCa {
  const dir = mkdtempSync(join(tmpdir(), "meshid-ca-"));
  const openssl = (...args: readonly string[]): void => {
    execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  };
  const newKey = (file: string): void =>
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file);
  const read = (file: string): string => readFileSync(join(dir, file), "utf8");
  newKey("root.key");
  const root = ["-subj", `/O=Corp/CN=${name} root`, "-days", "3650", "-out", "root.pem"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  openssl("req", "-x509", "-new", "-key", "root.key", "-sha256", ...root, ...usage);
  writeFileSync(join(dir, "issuing.ext"), EXTENSIONS);
  const issue = (serial: string, key: "same" | "new"): OpensslCa["files"] => {
    if (key === "new") newKey("tls.key");
    openssl("req", "-new", "-key", "tls.key", "-subj", `/O=Corp/CN=${name} issuing`, "-out", "issuing.csr");
    const signer = ["-CA", "root.pem", "-CAkey", "root.key", "-set_serial", serial, "-days", String(days)];
    const output = ["-extfile", "issuing.ext", "-out", "tls.crt"];
    openssl("x509", "-req", "-in", "issuing.csr", "-sha256", ...signer, ...output);
    return { "tls.crt": read("tls.crt"), "tls.key": read("tls.key"), "ca.crt": read("root.pem") };
  };
  return { files: issue("0x1001", "new"), renew: (serial, key = "new") => issue(serial, key) };
}
