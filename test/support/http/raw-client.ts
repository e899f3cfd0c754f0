/** Talks to a server byte by byte, as no HTTP library would. */

import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ListenAddress } from "../../../src/http/server.ts";

export interface RawResponse {
  readonly status: number;
  /** What the status line says after the number. */
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One open connection; responses are read in order. */
export class RawConnection implements Disposable {
  readonly socket: Socket;
  #received = "";
  #isClosed = false;
  readonly #waiters = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => this.#waiters.forEach((waiter) => waiter());
    socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
      wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      wake();
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get received(): string {
    return this.#received;
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Sends `GET path` and reads the answer. */
  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<RawResponse> {
    return await this.request("GET", path, headers);
  }

  async request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body = "",
  ): Promise<RawResponse> {
    const lines = Object.entries({ Host: "localhost", ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    this.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
    return await this.response(method === "HEAD");
  }

  /** The next response; its body is `content-length` long, or none for HEAD and 304. */
  async response(isHead = false): Promise<RawResponse> {
    await this.#until(() => this.#received.includes("\r\n\r\n"), "the end of the headers");
    const split = this.#received.indexOf("\r\n\r\n");
    const [statusLine = "", ...lines] = this.#received.slice(0, split).split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(statusLine.split(" ")[1]);
    const length = isHead || status === 304 ? 0 : Number(headers["content-length"] ?? 0);
    const start = split + 4;
    await this.#until(() => this.#received.length >= start + length, "the body");
    const body = this.#received.slice(start, start + length);
    this.#received = this.#received.slice(start + length);
    return { status, reason: statusLine.split(" ").slice(2).join(" "), headers, body };
  }

  async closed(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#isClosed) resolve();
      else this.socket.once("close", () => resolve());
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #until(isTrue: () => boolean, what: string): Promise<void> {
    while (!isTrue()) {
      if (this.#isClosed)
        throw new Error(`closed before ${what}; received ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve) => {
        const waiter = (): void => {
          this.#waiters.delete(waiter);
          resolve();
        };
        this.#waiters.add(waiter);
      });
    }
  }
}

export async function openPlain(address: ListenAddress): Promise<RawConnection> {
  const socket = connectPlain(address.port, address.host);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return new RawConnection(socket);
}

export async function openTls(
  address: ListenAddress,
  options: { readonly maxVersion?: "TLSv1.1" | "TLSv1.2"; readonly ciphers?: string } = {},
): Promise<RawConnection & { readonly peer: string }> {
  const socket = connectTls({
    host: address.host,
    port: address.port,
    rejectUnauthorized: false,
    ...(options.maxVersion === undefined ? {} : { minVersion: options.maxVersion }),
    ...options,
  });
  await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const name = socket.getPeerCertificate().subject?.CN;
  return Object.assign(new RawConnection(socket), { peer: typeof name === "string" ? name : "" });
}
