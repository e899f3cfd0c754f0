/**
 * The documents of the identities directory: which are there, which were refused and why, and which cannot be told.
 */

import { readFileSync } from "node:fs";
import { type FieldFault, fieldFault } from "../registration/field-path.ts";
import { checkMetadata, type DocumentMetadata } from "../registration/metadata.ts";
import {
  API_VERSION,
  type ServiceIdentitySpec,
  type TrustDomainSpec,
} from "../registration/service-identity.ts";
import {
  MAX_FILE_BYTES,
  type ReadDocument,
  readDocuments,
  type SourceDocument,
  type SourceProblem,
} from "./documents.ts";
import { errnoOf } from "./files.ts";
import { walk } from "./walk.ts";

/** What the schemas say of a document; nothing when it is as it should be. */
export type ValidateDocument = (document: unknown) => readonly FieldFault[];

interface Accepted {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface AcceptedIdentity extends Accepted {
  readonly kind: "ServiceIdentity";
  readonly namespace: string;
  readonly spec: ServiceIdentitySpec;
}

export interface AcceptedTrustDomain extends Accepted {
  readonly kind: "TrustDomain";
  readonly spec: TrustDomainSpec;
}

export interface Scan {
  readonly identities: readonly AcceptedIdentity[];
  readonly trustDomains: readonly AcceptedTrustDomain[];
  readonly problems: readonly SourceProblem[];
  /** Whether objects last seen in this file may still be wanted: it, or a part of it, could not be read. */
  mayHide(file: string): boolean;
}

type LineOf = SourceDocument["lineOf"];

/** What a file system leaves of 255 bytes for a name in `.<name>.peerauthentication.yaml.tmp`. */
const MAX_NAME = 226;

interface FileContent {
  readonly signature: string;
  readonly accepted: readonly (AcceptedIdentity | AcceptedTrustDomain)[];
  readonly problems: readonly SourceProblem[];
}

/** Remembers what each file held, so that a scan reads only what changed. */
export class Source {
  readonly #root: string;
  readonly #validate: ValidateDocument;
  #files: ReadonlyMap<string, FileContent> = new Map();
  #directories: readonly string[] = [];
  /** The file last asked for, until the next scan: a thousand identities of one file may have the same fault. */
  #located: { readonly file: string; readonly lines: ReadonlyMap<number, LineOf> } | undefined;

  constructor(root: string, validate: ValidateDocument) {
    this.#root = root;
    this.#validate = validate;
  }

  /** Where changes can happen, for watching. */
  get directories(): readonly string[] {
    return this.#directories;
  }

  /** Throws what the system throws when the directory itself cannot be listed. */
  async scan(): Promise<Scan> {
    const found = await walk(this.#root);
    this.#located = undefined;
    const files = new Map<string, FileContent>();
    let reads = 0;
    for (const { file, path, signature } of found.files) {
      const known = this.#files.get(file);
      files.set(file, known?.signature === signature ? known : this.#read(file, path, signature));
      // Let others run: reading ten thousand files takes seconds.
      if (files.get(file) !== known && ++reads % 20 === 0)
        await new Promise((resolve) => setImmediate(resolve));
    }
    this.#files = files;
    this.#directories = found.directories;
    const accepted = [...files.values()].flatMap((content) => content.accepted);
    const broken = new Set(
      [...files].filter(([, content]) => content.problems.length > 0).map(([file]) => file),
    );
    return {
      identities: accepted.filter((one) => one.kind === "ServiceIdentity"),
      trustDomains: accepted.filter((one) => one.kind === "TrustDomain"),
      problems: [...found.problems, ...[...files.values()].flatMap((content) => content.problems)],
      mayHide: (file) =>
        broken.has(file) || found.unreadable.some((path) => file === path || file.startsWith(`${path}/`)),
    };
  }

  /** The line of a field of an object; undefined when the file is not as it was. */
  locate(
    object: AcceptedIdentity | AcceptedTrustDomain,
    path: readonly (string | number)[],
  ): number | undefined {
    const { file, line } = object;
    if (this.#located?.file !== file) this.#located = { file, lines: linesOf(`${this.#root}/${file}`) };
    return this.#located.lines.get(line)?.(path);
  }

  #read(file: string, path: string, signature: string): FileContent {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      return {
        signature,
        accepted: [],
        problems: [{ file, message: `cannot be read (${errnoOf(error) ?? "failed"})` }],
      };
    }
    if (bytes.byteLength > MAX_FILE_BYTES) {
      const message = `is too large (${bytes.byteLength} bytes); expected at most ${MAX_FILE_BYTES} bytes (1 MiB)`;
      return { signature, accepted: [], problems: [{ file, message }] };
    }
    const accepted: (AcceptedIdentity | AcceptedTrustDomain)[] = [];
    const problems: SourceProblem[] = [];
    for (const one of readDocuments(bytes).flatMap(expandList)) {
      if ("problem" in one) problems.push({ file, ...kindOfBroken(bytes), ...one.problem });
      else this.#take(file, one.document, accepted, problems);
    }
    return { signature, accepted, problems };
  }

  #take(
    file: string,
    document: SourceDocument,
    accepted: (AcceptedIdentity | AcceptedTrustDomain)[],
    problems: SourceProblem[],
  ): void {
    const faults = this.#judge(document.value);
    const isTrustDomain = document.value["kind"] === "TrustDomain";
    for (const { path, field, message, expected } of faults) {
      problems.push({
        file,
        line: document.lineOf(path),
        field,
        ...(isTrustDomain ? { kind: "TrustDomain" } : {}),
        message: `${message}; expected ${expected}`,
      });
    }
    if (faults.length === 0) accepted.push(acceptedOf(file, document));
  }

  #judge(value: Readonly<Record<string, unknown>>): readonly FieldFault[] {
    const { apiVersion, kind } = value;
    if (kind !== "ServiceIdentity" && kind !== "TrustDomain") {
      const message = `${shown(kind)} is not a kind that meshid reads`;
      return [{ path: ["kind"], field: "kind", message, expected: "ServiceIdentity or TrustDomain" }];
    }
    if (apiVersion !== API_VERSION) {
      return [
        {
          path: ["apiVersion"],
          field: "apiVersion",
          message: `${shown(apiVersion)} is not served`,
          expected: API_VERSION,
        },
      ];
    }
    const faults = this.#validate(value);
    // Names are checked on what the schema has found to be text; what it has refused needs no second word.
    if (faults.some(({ field }) => field.startsWith("metadata"))) return faults;
    const scope = kind === "TrustDomain" ? "Cluster" : "Namespaced";
    const metadata = (value["metadata"] ?? {}) as DocumentMetadata;
    return [...checkMetadata(metadata, { scope }), ...checkLength(kind, metadata.name), ...faults];
  }
}

/** One identity must not keep the others from being served: its own files are met only when they are written. */
function checkLength(kind: string, name: string | undefined): readonly FieldFault[] {
  const length = name?.length ?? 0;
  if (kind !== "ServiceIdentity" || length <= MAX_NAME) return [];
  const expected = `at most ${MAX_NAME}, so that files can be named after it`;
  return [fieldFault("metadata.name", `has ${length} characters`, expected)];
}

function acceptedOf(file: string, { value, lineOf }: SourceDocument): AcceptedIdentity | AcceptedTrustDomain {
  // The schema has accepted the document: these are the shapes that it promises.
  const metadata = value["metadata"] as Pick<AcceptedIdentity, "name"> & Partial<AcceptedIdentity>;
  const common = {
    file,
    line: lineOf([]),
    name: metadata.name,
    annotations: metadata.annotations ?? {},
    labels: metadata.labels ?? {},
  };
  if (value["kind"] === "TrustDomain") {
    return { ...common, kind: "TrustDomain", spec: value["spec"] ?? {} };
  }
  const spec = (value["spec"] ?? {}) as ServiceIdentitySpec;
  return { ...common, kind: "ServiceIdentity", namespace: metadata.namespace ?? "default", spec };
}

/** What a text that cannot be read seems to hold: a broken TrustDomain must not count as none. */
function kindOfBroken(bytes: Uint8Array): { readonly kind?: string } {
  return /^\s*"?kind"?\s*:\s*["']?TrustDomain\b/m.test(Buffer.from(bytes).toString("latin1"))
    ? { kind: "TrustDomain" }
    : {};
}

/** A `kind: List` stands for its items, as in kubectl. */
function expandList(read: ReadDocument): readonly ReadDocument[] {
  if ("problem" in read) return [read];
  const items = itemsOf(read.document.value);
  if (items === undefined) return [read];
  return items.map((item, index): ReadDocument => {
    const lineOf = (path: readonly (string | number)[]): number =>
      read.document.lineOf(["items", index, ...path]);
    if (typeof item !== "object" || item === null || Array.isArray(item)) {
      return {
        problem: {
          line: lineOf([]),
          field: `items[${index}]`,
          message: "is not an object; expected a ServiceIdentity",
        },
      };
    }
    return { document: { value: item as Readonly<Record<string, unknown>>, lineOf } };
  });
}

/** By the line that it begins in, what each object of a file has its fields in; nothing when the file is gone meanwhile. */
function linesOf(path: string): ReadonlyMap<number, LineOf> {
  try {
    const documents = readDocuments(readFileSync(path)).flatMap(expandList);
    return new Map(
      documents.flatMap((read): [number, LineOf][] =>
        "problem" in read ? [] : [[read.document.lineOf([]), read.document.lineOf]],
      ),
    );
  } catch {
    return new Map(); // the next scan says more
  }
}

function itemsOf(value: Readonly<Record<string, unknown>>): readonly unknown[] | undefined {
  const { kind, items } = value;
  return kind === "List" && Array.isArray(items) ? items : undefined;
}

function shown(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80);
}
