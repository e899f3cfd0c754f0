/**
 * What a peer prints about its traffic: one JSON object a line. The peer in Go prints the same.
 */

export const PEERS = ["node", "envoy", "go"] as const;
export type Peer = (typeof PEERS)[number];
/** `node→go`: who calls whom. */
export type Pair = `${Peer}→${Peer}`;

export const PAIRS: readonly Pair[] = PEERS.flatMap((from) =>
  PEERS.filter((to) => to !== from).map((to): Pair => `${from}→${to}`),
);

/** What a peer holds at the moment of a failure: public parts alone. */
export interface InPlay {
  /** What `..data` points to. */
  readonly revision: string;
  readonly serial: string;
  readonly notAfter: string;
  /** The key that signed the leaf. */
  readonly issuer: string;
  /** The keys of the roots in `ca.crt`. */
  readonly roots: readonly string[];
  /** Of the token. */
  readonly kid: string;
  /** In the mounted JWKS. */
  readonly mounted: readonly string[];
}

export interface Failure {
  readonly tell: "failure";
  /** `Date.now()` */
  readonly at: number;
  readonly pair: Pair;
  readonly what: "handshake" | "token";
  readonly error: string;
}

/** A caller that a server has turned away: the other side of a failure. */
interface Refusal {
  readonly tell: "refusal";
  readonly at: number;
  readonly peer: Peer;
  readonly error: string;
}

interface Counts {
  readonly tell: "counts";
  /** Since the Unix epoch. */
  readonly second: number;
  readonly pair: Pair;
  readonly ok: number;
  /** Of these: where the two certificates were signed by different keys, as far as the caller could see. */
  readonly across: number;
}

/** The JWKS that meshid serves, fetched again each time it grows older than its max-age. */
interface Fetched {
  readonly tell: "jwks";
  readonly at: number;
  readonly peer: Peer;
  readonly ok: boolean;
  readonly error?: string;
}

export type Told = { readonly tell: "listening" } | Failure | Refusal | Counts | Fetched;

/** What a peer is told on its command line, as JSON. */
export interface PeerSettings {
  readonly peer: Peer;
  /** Directories as a mounted Secret volume shows them. */
  readonly tls: string;
  readonly jwt: string;
  /** 127.0.0.1; for the application beside Envoy: unused. */
  readonly port: number;
  readonly callees: readonly Callee[];
  /** The prefix of the SPIFFE IDs that may call. */
  readonly allowed: string;
  readonly issuer: string;
  readonly audience: string;
  /** Where meshid serves the JWKS on 127.0.0.1, and the name in its certificate. */
  readonly jwks: { readonly port: number; readonly serverName: string };
  /** Calls a second for each callee. */
  readonly rate: number;
}

export interface Callee {
  readonly peer: Peer;
  readonly port: number;
  readonly spiffeId: string;
  /** A DNS name in its certificate. */
  readonly dnsName: string;
}
