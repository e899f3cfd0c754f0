/**
 * What no output may hold: looked for in everything that the suites' processes have written, whenever a workspace ends.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Files that hold secrets by design: those of Secrets (tls.key, tokens …), in every revision, and the keys of STATE. */
const SECRET_FILE = /(?:\.key|key\.pem|-combined\.pem|\.p12|\.jwt)$|\/keys\/[0-9a-f]{40}\.pem$/;
const PEM_KEY = /-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END PRIVATE KEY-----/g;
const TOKEN = /^[\w-]+\.[\w-]+\.([\w-]{40,})$/;
/** Enough of a key to be no coincidence. */
const LENGTH = 24;

/** Everything below `directory`, links not followed. */
function filesBelow(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return []; // it never came to be, or the test took it away
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Of a token its signature. */
function canariesIn(text: string): readonly string[] {
  const keys = [...text.matchAll(PEM_KEY)].map(([, body = ""]) => secretPartOf(body.trim().split("\n")));
  const [, signature] = TOKEN.exec(text) ?? [];
  return signature === undefined ? keys : [...keys, signature];
}

/** Of the lines of a PKCS#8 key a piece that no public key shares and no line break parts. */
function secretPartOf(lines: readonly string[]): string {
  const [first = "", second = ""] = lines;
  // Ed25519 has one line, its seed at the end; the number of an elliptic key goes from the first line to the second.
  if (lines.length === 1) return first.slice(30, 30 + LENGTH);
  if (lines.length < 8) return second.slice(0, LENGTH);
  // RSA: the modulus comes first, the primes are past the middle.
  return (lines[Math.floor(lines.length * 0.6)] ?? "").slice(0, LENGTH);
}

/** Where secrets that lie below `directory` stand outside of them: in `outputs`, or in other files below it. */
export function leaksOf(directory: string, outputs: readonly string[]): readonly string[] {
  const files = filesBelow(directory);
  const secrets = new Set(
    files.filter((path) => SECRET_FILE.test(path)).flatMap((path) => canariesIn(textOf(path))),
  );
  if (secrets.size === 0) return [];
  const isLeaky = (text: string): boolean => [...secrets].some((secret) => text.includes(secret));
  return [
    ...outputs.flatMap((text, index) => (isLeaky(text) ? [`output ${index}`] : [])),
    ...files.filter((path) => !SECRET_FILE.test(path) && isLeaky(textOf(path))),
  ];
}
