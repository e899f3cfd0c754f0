/**
 * The API server's audit log: who asked what. A request counts when it is complete, and the log is only believed once it
 * has gone quiet.
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { pause } from "./controller-process.ts";

export interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code?: number; readonly reason?: string; readonly message?: string };
}

export type Filter = (event: AuditEvent) => boolean;

const WRITES: ReadonlySet<string> = new Set(["create", "update", "patch", "delete", "deletecollection"]);
const CHUNK = 1 << 20;

/** One that ends by itself: a watch ends when someone ends it. */
export const isRequest: Filter = ({ verb, stage }) => verb !== "watch" && stage === "ResponseComplete";
export const isWrite: Filter = (event) => isRequest(event) && WRITES.has(event.verb);
export const isLease: Filter = ({ objectRef }) => objectRef?.resource === "leases";

/** `patch secrets shop/payments-tls` */
export function lineOf({ verb, objectRef = {}, responseStatus }: AuditEvent): string {
  const { resource = "", subresource, namespace, name = "" } = objectRef;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === undefined ? name : `${namespace}/${name}`;
  const code = responseStatus?.code ?? 0;
  return `${verb} ${what} ${where}${code >= 400 ? ` → ${code}` : ""}`;
}

/** Milliseconds between two looks. */
const LOOK = 50;

/** Reads on where it stopped. */
export class AuditLog {
  readonly #path: string;
  readonly #filter: Filter;
  readonly #events: AuditEvent[] = [];
  #offset = 0;
  #rest = "";

  /** Keeps what `filter` lets through. */
  constructor(path: string, filter: Filter = () => true) {
    this.#path = path;
    this.#filter = filter;
  }

  /** Of one user, watches and all. */
  static of(path: string, username: string): AuditLog {
    return new AuditLog(path, ({ user }) => user.username === username);
  }

  /** Everything up to now. */
  all(): readonly AuditEvent[] {
    this.#read();
    return this.#events;
  }

  /** A place in the log: what comes later is `since(mark)`. */
  mark(): number {
    return this.all().length;
  }

  since(mark: number): readonly AuditEvent[] {
    return this.all().slice(mark);
  }

  /** What was asked since `mark`, once nothing that `counts` has been asked for `silence` milliseconds. */
  async whenQuiet(
    mark: number,
    { counts = isOwnWork, silence = 1500, limit = 60_000 }: QuietOptions = {},
  ): Promise<readonly AuditEvent[]> {
    const end = Date.now() + limit;
    let seen = -1;
    // By looks: a machine that stood still was not quiet.
    for (let same = 0; same * LOOK < silence; await pause(LOOK)) {
      const found = this.since(mark).filter(counts).length;
      same = found === seen ? same + 1 : 0;
      seen = found;
      if (Date.now() > end) throw new Error(`the audit log was never quiet for ${silence} ms in ${limit} ms`);
    }
    return this.since(mark).filter(counts);
  }

  #read(): void {
    const file = openSync(this.#path, "r");
    try {
      const { size } = fstatSync(file);
      const buffer = Buffer.alloc(Math.min(CHUNK, Math.max(0, size - this.#offset)));
      const pieces: Buffer[] = [];
      while (this.#offset < size) {
        const read = readSync(file, buffer, 0, Math.min(buffer.length, size - this.#offset), this.#offset);
        if (read === 0) break;
        pieces.push(Buffer.from(buffer.subarray(0, read)));
        this.#offset += read;
      }
      this.#take(Buffer.concat(pieces).toString("latin1"));
    } finally {
      closeSync(file);
    }
  }

  #take(text: string): void {
    // Latin-1 until here: a character may lie on both sides of a read.
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(Buffer.from(line, "latin1").toString("utf8")) as AuditEvent;
      if (this.#filter(event)) this.#events.push(event);
    }
  }
}

export interface QuietOptions {
  readonly counts?: Filter;
  readonly silence?: number;
  readonly limit?: number;
}

/** Requests that end, the renewals of the Lease left out. */
const isOwnWork: Filter = (event) => isRequest(event) && !isLease(event);
