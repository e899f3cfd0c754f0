/**
 * `HOST:PORT` as people write it.
 */

import { isIPv6 } from "node:net";

export interface Address {
  /** Without brackets; `::` for all addresses of the machine, IPv4 included. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export const ADDRESS_FORM = "HOST:PORT such as 127.0.0.1:8443, [::1]:8443 or :8443";

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

/** Undefined when `text` is no address; says nothing about whether the machine has it. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name, digits = ""] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { host: ipv6, port } : undefined;
  if (name === undefined || name === "") return { host: "::", port };
  return HOST_NAME.test(name) && !looksLikeBrokenIPv4(name) ? { host: name, port } : undefined;
}

/** `300.1.1.1` and `127.0.0` would be looked up as names. */
function looksLikeBrokenIPv4(name: string): boolean {
  if (!/^[\d.]+$/.test(name)) return false;
  const parts = name.split(".");
  return parts.length !== 4 || parts.some((part) => Number(part) > 255);
}
