/**
 * The last net under all text that leaves the process: private keys and tokens are recognised by their form,
 * wherever they hide (a message, a cause, a field of another library).
 */

/** PEM, plain or with its line ends escaped (`\n` within JSON, `\u000a`, `\u{a}`; once or more), whole or cut off. */
const PRIVATE_KEY =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\+(?:[nr]|u000[ad]|u\{[ad]\}))*(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?/g;

/** Compact JWS: its header always begins with `{"`. */
const TOKEN = /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*/g;

/** Replaces private keys and tokens. Costs two searches for a text that has none. */
export function scrub(text: string): string {
  let scrubbed = text;
  if (scrubbed.includes("PRIVATE KEY")) scrubbed = scrubbed.replaceAll(PRIVATE_KEY, "[redacted private key]");
  if (scrubbed.includes("eyJ")) scrubbed = scrubbed.replaceAll(TOKEN, "[redacted token]");
  return scrubbed;
}
