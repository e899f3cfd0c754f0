/**
 * `meshid rotate root|issuing|jwt` in a cluster.
 */

import type { AuthorityKind } from "../../authority/slot.ts";
import { type Seconds, seconds } from "../../core/brand.ts";
import { OperatorError } from "../../core/errors.ts";
import { trustDomainOf } from "../../kubernetes/identity-objects.ts";
import { TRUST_DOMAINS } from "../../kubernetes/resources.ts";
import type { AuthorityStatus, TrustDomainObject } from "../../registration/service-identity.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, isSet } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import { annotate } from "./annotate.ts";
import { follow, type Progress, requestValue, timeoutOf } from "./follow.ts";
import { servedTrustDomain } from "./identities.ts";
import { getObject } from "./objects.ts";
import { type ClusterSession, OR_LOCAL, withCluster } from "./session.ts";

/** The propagation is 30 minutes by default, and consumers may take their time. */
const DEFAULT_TIMEOUT: Seconds = seconds(2 * 3600);

/** The kind of key, as the user and as status name it. */
export interface Rotation {
  readonly word: "root" | "issuing" | "jwt";
  readonly kind: AuthorityKind;
}

/** @throws INVALID_CONFIGURATION where there is no TrustDomain; KubeApiError, CLUSTER_UNREACHABLE. */
export function runClusterRotate(rotation: Rotation, options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => clusterRotate(session, rotation, { options, io }), OR_LOCAL);
}

export async function clusterRotate(
  session: ClusterSession,
  rotation: Rotation,
  { options, io }: { readonly options: GivenOptions; readonly io: Io },
): Promise<number> {
  const format = outputFormat(options);
  const timeout = timeoutOf(options, DEFAULT_TIMEOUT);
  const before = await servedTrustDomain(session);
  if (before === undefined)
    throw new OperatorError(
      "INVALID_CONFIGURATION",
      `the cluster at ${session.server} has no TrustDomain; expected one that a meshid controller serves (meshid doctor)`,
    );
  const { name } = before.metadata;
  const id = requestValue(io);
  await annotate(session, TRUST_DOMAINS, { name }, { [`meshid.dev/rotate-${rotation.word}`]: id });
  const look = async (): Promise<Progress> => {
    const object = await getObject(session, TRUST_DOMAINS, { name });
    if (object === undefined)
      throw new OperatorError("NOT_FOUND", `the TrustDomain ${name} was deleted meanwhile`);
    return rotationProgress(before, trustDomainOf(object), { ...rotation, id });
  };
  const end = isSet(options, "wait") ? await follow(look, timeout, io) : undefined;
  if (format === "json" || format === "yaml") {
    const request = { kind: "rotate", authority: rotation.kind, trustDomain: name, id };
    const done = end === undefined ? {} : { done: end.isDone, progress: end.text };
    io.stdout.write(await formatData({ request, server: session.server, ...done }, format));
  } else io.stdout.write(`${sentence(rotation, name, { end, io })}\n`);
  return end?.isDone === false ? EXIT.checkFailed : EXIT.ok;
}

/** Done when the request was honoured and another key than before signs. */
export function rotationProgress(
  before: TrustDomainObject,
  { status = {} }: TrustDomainObject,
  { word, kind, id }: Rotation & { readonly id: string },
): Progress {
  const slots = (status.authorities ?? []).filter((slot) => slot.kind === kind);
  const active = slots.find(({ state }) => state === "Active");
  const old = activeKey(before, kind);
  const isHonoured = status.lastManualRotation?.[word] === id;
  if (isHonoured && active !== undefined && active.keyID !== old)
    return { isDone: true, text: `key ${active.keyID} signs now` };
  const fault = status.conditions?.find(({ type, status: value }) => {
    return (type === "AuthorityReady" || type === "Ready") && value === "False";
  });
  if (fault !== undefined)
    return { isDone: false, text: `${fault.type} is False: ${fault.reason}: ${fault.message}` };
  return { isDone: false, text: waitText(slots, active, isHonoured) };
}

function waitText(
  slots: readonly AuthorityStatus[],
  active: AuthorityStatus | undefined,
  isHonoured: boolean,
): string {
  const prepared = slots.find(({ state }) => state === "Prepared");
  if (!isHonoured) {
    const reason = active?.waitingFor === undefined ? "" : `: ${active.waitingFor}`;
    return `asked for; the controller has not taken it up yet${reason}`;
  }
  if (prepared === undefined) return "taken up; the new key is being made, or waits for the root's";
  return `new key ${prepared.keyID}, not used yet${prepared.waitingFor === undefined ? "" : `: ${prepared.waitingFor}`}`;
}

function activeKey({ status }: TrustDomainObject, kind: AuthorityKind): string | undefined {
  return status?.authorities?.find((slot) => slot.kind === kind && slot.state === "Active")?.keyID;
}

function sentence(
  { word }: Rotation,
  name: string,
  { end, io }: { readonly end: Progress | undefined; readonly io: Io },
): string {
  const paint = painter(io);
  const what = `the rotation of the ${word === "jwt" ? "JWT" : word} key of ${name}`;
  if (end === undefined)
    return `${paint("good", "Requested")} ${what}. The new key is published, seen at every consumer, and only then used: --wait follows that, meshid status shows it.`;
  if (!end.isDone)
    return `${paint("warn", "Requested")} ${what}, and it is not done yet: ${end.text}. It goes on by itself; meshid status shows it, meshid doctor says what is wrong.`;
  return `${paint("good", "Rotated")} the ${word === "jwt" ? "JWT" : word} key of ${name}: ${end.text}; the old one stays published while anything it signed may be alive.`;
}
