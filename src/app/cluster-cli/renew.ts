/**
 * `meshid renew NAME` in a cluster.
 */

import { type Seconds, seconds } from "../../core/brand.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import { OperatorError } from "../../core/errors.ts";
import { identityOf } from "../../kubernetes/identity-objects.ts";
import { SERVICE_IDENTITIES } from "../../kubernetes/resources.ts";
import { RENEW_ANNOTATION, type ServiceIdentity } from "../../registration/service-identity.ts";
import { EXIT, type Io } from "../io.ts";
import { type GivenOptions, isSet, textOf } from "../options.ts";
import { formatData, outputFormat, painter } from "../output.ts";
import { describeInstant } from "../times.ts";
import { unknownIdentity } from "../unknown-identity.ts";
import { annotate } from "./annotate.ts";
import { follow, type Progress, requestValue, timeoutOf } from "./follow.ts";
import { listClusterIdentities } from "./identities.ts";
import { getObject, isUnknownKind, notInstalled } from "./objects.ts";
import { type ClusterSession, isForbidden, OR_LOCAL, withCluster } from "./session.ts";

const DEFAULT_TIMEOUT: Seconds = seconds(60);

/** @throws INVALID_CONFIGURATION for an unknown identity; KubeApiError, CLUSTER_UNREACHABLE. */
export function runClusterRenew(options: GivenOptions, io: Io): Promise<number> {
  return withCluster(options, io, (session) => clusterRenew(session, options, io), OR_LOCAL);
}

export async function clusterRenew(session: ClusterSession, options: GivenOptions, io: Io): Promise<number> {
  const format = outputFormat(options);
  const timeout = timeoutOf(options, DEFAULT_TIMEOUT);
  const at = { namespace: session.namespace, name: textOf(options, "NAME") ?? "" };
  const before = await getIdentity(session, at);
  if (before === undefined) throw await unknown(session, at);
  const id = requestValue(io);
  await annotate(session, SERVICE_IDENTITIES, at, { [RENEW_ANNOTATION]: id });
  const seen: { last?: ServiceIdentity } = {};
  const look = async (): Promise<Progress> => {
    const now = await getIdentity(session, at);
    if (now === undefined || now.metadata.uid !== before.metadata.uid)
      throw new OperatorError("NOT_FOUND", `the identity ${at.namespace}/${at.name} was deleted meanwhile`);
    seen.last = now;
    return progressOf(now, id);
  };
  const end = isSet(options, "wait") ? await follow(look, timeout, io) : undefined;
  const isData = format === "json" || format === "yaml";
  if (isData) {
    const done = end === undefined ? {} : { done: end.isDone, x509: seen.last?.status?.x509 };
    const request = { kind: "renew", ...at, id };
    io.stdout.write(await formatData({ request, server: session.server, ...done }, format));
  } else io.stdout.write(`${sentence(`${at.namespace}/${at.name}`, { end, last: seen.last }, io)}\n`);
  return end?.isDone === false ? EXIT.checkFailed : EXIT.ok;
}

/** Done when the controller says that this very request was honoured. */
function progressOf({ status = {} }: ServiceIdentity, id: string): Progress {
  if (status.lastManualRenewal === id) return { isDone: true, text: "renewed" };
  const fault = status.conditions?.find(({ type, status: value }) => type !== "Ready" && value === "False");
  const text =
    fault === undefined || fault.type === "MTLSApplied"
      ? "asked for; the controller has not taken it up yet"
      : `${fault.type} is False: ${fault.reason}: ${fault.message}`;
  return { isDone: false, text };
}

function sentence(
  name: string,
  { end, last }: { readonly end: Progress | undefined; readonly last: ServiceIdentity | undefined },
  io: Io,
): string {
  const paint = painter(io);
  if (end === undefined)
    return `${paint("good", "Requested")} the renewal of ${name}. The controller carries it out; --wait waits for it, meshid status shows it.`;
  if (!end.isDone)
    return `${paint("warn", "Requested")} the renewal of ${name}, and it is not done yet: ${end.text}. meshid doctor says what is wrong.`;
  const x509 = last?.status?.x509;
  const notAfter = parseRfc3339(x509?.notAfter ?? "");
  const until = notAfter === undefined ? "" : `, valid until ${describeInstant(notAfter, io.clock.now())}`;
  return `${paint("good", "Renewed")} ${name}: serial ${x509?.serialNumber ?? "unknown"}${until}.`;
}

async function getIdentity(
  session: ClusterSession,
  at: { readonly namespace: string; readonly name: string },
): Promise<ServiceIdentity | undefined> {
  try {
    const object = await getObject(session, SERVICE_IDENTITIES, at);
    return object === undefined ? undefined : identityOf(object);
  } catch (error) {
    throw isUnknownKind(error) ? notInstalled(session.server, error) : error;
  }
}

/** With what the user may have meant, as far as the user may see it. */
async function unknown(
  session: ClusterSession,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<OperatorError> {
  let known: readonly ServiceIdentity[] = [];
  for (const scope of [undefined, namespace]) {
    try {
      known = await listClusterIdentities(session, scope);
      break;
    } catch (error) {
      if (!isForbidden(error)) throw error;
    }
  }
  return unknownIdentity(
    name,
    namespace,
    known.map(({ metadata }) => metadata),
  );
}
