/**
 * `docs/getting-started.md` as the suite follows it: what a reader would paste, section by section.
 */

import { readFileSync } from "node:fs";

export interface Section {
  readonly heading: string;
  /** The blocks marked `sh`, in order. */
  readonly commands: readonly string[];
}

const GUIDE = new URL("../../../docs/getting-started.md", import.meta.url);

export function readGuide(): readonly Section[] {
  const [, ...parts] = readFileSync(GUIDE, "utf8").split(/^## /m);
  return parts.map((part) => ({
    heading: part.slice(0, part.indexOf("\n")),
    commands: [...part.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block ?? ""),
  }));
}

/** @throws Error where the guide has no such section, or no command in it. */
export function commandsOf(guide: readonly Section[], heading: string): readonly string[] {
  const commands = guide.find((section) => section.heading === heading)?.commands ?? [];
  if (commands.length === 0) throw new Error(`docs/getting-started.md: no command under "${heading}"`);
  return commands;
}

/** The manifests that a block pipes into `kubectl apply`. */
export function manifestsIn(command: string): readonly string[] {
  return [...command.matchAll(/<<'EOF'\n([^]*?)^EOF$/gm)].flatMap(([, text]) => (text ?? "").split(/^---$/m));
}

/** The names of Services that a block speaks of: `orders.shop.svc`. */
export function serviceNamesIn(command: string): readonly string[] {
  return [...new Set(command.match(/\b[a-z0-9-]+\.[a-z0-9-]+\.svc\b/g) ?? [])];
}

/** The same block, for a cluster that resolves no names: its pods find the Services in /etc/hosts. */
export function withHostAliases(command: string, addresses: ReadonlyMap<string, string>): string {
  const aliases = [...addresses].map(([name, ip]) => ({ ip, hostnames: [name] }));
  return command.replace(/^( +)(?=serviceAccountName: )/gm, `$1hostAliases: ${JSON.stringify(aliases)}\n$1`);
}
