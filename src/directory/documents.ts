/**
 * From the text of a file to the documents in it, each with the positions of its fields, so that a fault names its line.
 */

import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from "yaml";

/** Something in the identities directory that was not accepted. */
export interface SourceProblem {
  /** Relative to the identities directory. */
  readonly file: string;
  readonly line?: number;
  readonly field?: string;
  /** Of the document, where it is known. */
  readonly kind?: string;
  readonly message: string;
}

/** `payments.yaml:7: spec.x509.ttl: …` */
export function describeProblem({ file, line, field, message }: SourceProblem): string {
  return `${file}${line === undefined ? "" : `:${line}`}: ${field === undefined ? "" : `${field}: `}${message}`;
}

export interface SourceDocument {
  readonly value: Readonly<Record<string, unknown>>;
  /** The line of a field, or of the nearest one above it that is there. */
  readonly lineOf: (path: readonly (string | number)[]) => number;
}

export type ReadDocument =
  | { readonly document: SourceDocument }
  | { readonly problem: Omit<SourceProblem, "file"> };

export const MAX_FILE_BYTES = 1_048_576;
/** Enough for anchors that people write, far too few for a bomb. */
const MAX_ALIASES = 100;
const MAX_DOCUMENTS = 20_000;

/** Every document of a YAML or JSON text; empty ones are left out. */
export function readDocuments(bytes: Uint8Array): readonly ReadDocument[] {
  const text = decode(bytes);
  if (text === undefined) return [{ problem: { message: "is not UTF-8; expected YAML or JSON in UTF-8" } }];
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  if (!Array.isArray(documents)) return [];
  if (documents.length > MAX_DOCUMENTS) {
    return [
      { problem: { message: `holds ${documents.length} documents; expected at most ${MAX_DOCUMENTS}` } },
    ];
  }
  return documents.flatMap((document) => readDocument(document, lines));
}

function readDocument(document: Document.Parsed, lines: LineCounter): readonly ReadDocument[] {
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const [fault] = document.errors;
  if (fault !== undefined)
    return [{ problem: { line: lineAt(fault.pos[0]), message: plain(fault.message) } }];
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    return [];
  const start = lineAt(document.contents.range?.[0] ?? 0);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    return [
      { problem: { line: start, message: plain(error instanceof Error ? error.message : "cannot be read") } },
    ];
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [
      { problem: { line: start, message: "is not an object; expected apiVersion, kind, metadata and spec" } },
    ];
  }
  const { contents } = document;
  const lineOf = (path: readonly (string | number)[]): number => lineAt(offsetOf(contents, path));
  return [{ document: { value: value as Readonly<Record<string, unknown>>, lineOf } }];
}

/** Where the deepest part of `path` that exists begins. */
function offsetOf(root: Node, path: readonly (string | number)[]): number {
  let node: Node = root;
  let offset = root.range?.[0] ?? 0;
  for (const step of path) {
    const next = childOf(node, step);
    if (next === undefined) break;
    offset = next.offset;
    if (next.node === undefined) break;
    node = next.node;
  }
  return offset;
}

function childOf(
  node: Node,
  step: string | number,
): { readonly offset: number; readonly node: Node | undefined } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(step)];
    return isNode(item) ? { offset: item.range?.[0] ?? 0, node: item } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(
    (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
  );
  if (pair === undefined || !isScalar(pair.key)) return undefined;
  return { offset: pair.key.range?.[0] ?? 0, node: isNode(pair.value) ? pair.value : undefined };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The library's message on one line. */
function plain(message: string): string {
  const text = message.replaceAll(/\s+/g, " ").trim();
  // The parser goes down into lists and maps by calling itself.
  if (/call stack/i.test(text)) return "is nested too deeply; expected a ServiceIdentity or TrustDomain";
  return /alias/i.test(text) ? `uses too many aliases (${text}); expected at most ${MAX_ALIASES}` : text;
}
