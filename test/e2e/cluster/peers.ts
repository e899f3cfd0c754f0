/**
 * The two pods of the guide as the suite sees them: what they print, and how a renewal reaches them.
 */

import { getObject, kubectl, until } from "./cluster.ts";

export type PeerName = "payments" | "orders";
export const PEERS: readonly PeerName[] = ["payments", "orders"];
const otherThan = (name: PeerName): PeerName => (name === "payments" ? "orders" : "payments");

/** What examples/peers/peer.ts prints once a second. */
export interface PeerState {
  readonly ok: number;
  readonly failed: number;
  readonly served: number;
  readonly refused: number;
  readonly lastError: string;
  readonly jwks: { readonly ok: number; readonly failed: number; readonly lastError: string };
  readonly serial: string;
  readonly peerSerial: string;
  readonly peerSerials: number;
}

interface IdentityStatus {
  readonly status?: {
    readonly lastManualRenewal?: string;
    readonly x509?: { readonly serialNumber: string; readonly authorityKeyID: string };
    readonly jwt?: { readonly tokens: readonly { readonly keyID: string }[] };
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
}

/** Secrets take up to 90 s to reach a pod; what changes the Pod object makes the kubelet look at once. */
const DELIVERY_LIMIT_MS = 150_000;

export async function stateOf(name: PeerName): Promise<PeerState> {
  const line = await kubectl("-n", "shop", "logs", `deployment/${name}`, "--tail=1");
  return JSON.parse(line) as PeerState;
}

async function identity(name: PeerName): Promise<NonNullable<IdentityStatus["status"]>> {
  const object = await getObject<IdentityStatus>("-n", "shop", "serviceidentity", name);
  return object?.status ?? {};
}

export async function conditionOf(name: PeerName, type: string): Promise<string> {
  const found = (await identity(name)).conditions?.find((condition) => condition.type === type);
  return `${found?.status} ${found?.reason}`;
}

/** The serial number of the certificate in the Secret's owner's status, as a certificate of Node's prints it. */
export async function issuedSerial(name: PeerName): Promise<string> {
  return bare((await identity(name)).x509?.serialNumber ?? "");
}

/** The keys that signed what it holds now. */
export async function keysOf(
  name: PeerName,
): Promise<{ readonly x509: string | undefined; readonly jwt: string | undefined }> {
  const { x509, jwt } = await identity(name);
  return { x509: x509?.authorityKeyID, jwt: jwt?.tokens[0]?.keyID };
}

/** By kind: the keys that sign now. */
export async function activeKeys(): Promise<Readonly<Record<string, string>>> {
  interface Domain {
    readonly status?: {
      readonly authorities?: readonly {
        readonly kind: string;
        readonly keyID: string;
        readonly state: string;
      }[];
    };
  }
  const domain = await getObject<Domain>("trustdomain", "cluster.local");
  const active = domain?.status?.authorities?.filter(({ state }) => state === "Active") ?? [];
  return Object.fromEntries(active.map(({ kind, keyID }) => [kind, keyID]));
}

const bare = (serial: string): string => serial.toLowerCase().replace(/^0+/, "");

/** Asks for a renewal and stays until meshid has honoured it. Answers the new serial number. */
export async function renew(name: PeerName, value: string, limitMs = 30_000): Promise<string> {
  const before = await issuedSerial(name);
  await kubectl(
    "-n",
    "shop",
    "annotate",
    "serviceidentity",
    name,
    `meshid.dev/renew=${value}`,
    "--overwrite",
  );
  return until(`renewal ${value} of ${name}`, limitMs, async () => {
    const { lastManualRenewal, x509 } = await identity(name);
    const serial = bare(x509?.serialNumber ?? "");
    return lastManualRenewal === value && serial !== before ? serial : undefined;
  });
}

/** Stays until the pod presents this certificate and the other one has met it. */
export async function delivered(name: PeerName, serial: string): Promise<void> {
  await kubectl("-n", "shop", "annotate", "pod", "-l", `app=${name}`, `e2e/serial=${serial}`, "--overwrite");
  await until(`${name} presents ${serial}`, DELIVERY_LIMIT_MS, async () => {
    const [own, other] = await Promise.all([stateOf(name), stateOf(otherThan(name))]);
    return bare(own.serial) === serial && bare(other.peerSerial) === serial ? true : undefined;
  });
}
