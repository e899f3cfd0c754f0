/**
 * `secret/NAME`: a Secret of the cluster in place of a file.
 */

import { OperatorError, quoted } from "../../core/errors.ts";
import { readJwt } from "../../jwt/jwt-svid.ts";
import { type KubeObject, secretContent } from "../../kubernetes/objects.ts";
import { SECRETS } from "../../kubernetes/resources.ts";
import type { FileContent } from "../files.ts";
import { recognise } from "../inspect/content.ts";
import { didYouMean } from "../suggest.ts";
import { getObject, listObjects } from "./objects.ts";
import { type ClusterSession, isForbidden } from "./session.ts";

const FORM = /^secrets?\/(.*)$/;
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const MANAGED = "app.kubernetes.io/managed-by=meshid";

/** Undefined for a path of the file system. @throws INVALID_CONFIGURATION for what cannot be a name. */
export function secretNameIn(path: string): string | undefined {
  const [, name] = FORM.exec(path) ?? [];
  if (name === undefined || NAME.test(name)) return name;
  throw new OperatorError(
    "INVALID_CONFIGURATION",
    `FILE: ${quoted(name)} cannot be the name of a Secret; expected secret/NAME, or ./${path} for a file`,
  );
}

/** @throws NOT_FOUND with what may have been meant; KubeApiError, CLUSTER_UNREACHABLE. */
export async function getSecret(session: ClusterSession, name: string): Promise<KubeObject> {
  const { namespace } = session;
  const found = await getObject(session, SECRETS, { namespace, name });
  if (found !== undefined) return found;
  const hint = didYouMean(name, await namesOfSecrets(session));
  throw new OperatorError(
    "NOT_FOUND",
    `secret/${name}: there is no such Secret in the namespace ${quoted(namespace)}; expected -n NAMESPACE and the name of one${hint}`,
  );
}

/** Its content as files; a Secret has no permission bits. */
export function filesIn(secret: KubeObject): ReadonlyMap<string, FileContent> {
  return new Map(
    Object.entries(secretContent(secret)).map(([name, bytes]) => [name, { bytes, mode: undefined }]),
  );
}

export interface NamedContent {
  /** As the user finds it: `secret/payments-tls tls.crt`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The chain and the tokens of a Secret; only the tokens for `audience` where it is given and there are such. */
export function credentialsIn(secret: KubeObject, audience: string | undefined): readonly NamedContent[] {
  const found = [...filesIn(secret)].map(([key, { bytes }]) => ({
    key,
    name: `secret/${secret.metadata.name} ${key}`,
    bytes,
    content: recognise(bytes),
  }));
  const chains = found.filter(({ key }) => key === "tls.crt");
  const tokens = found.filter(({ content }) => content.form === "token");
  const wanted = tokens.filter(({ bytes }) => isFor(bytes, audience));
  return [...chains, ...(wanted.length === 0 ? tokens : wanted)].map(({ name, bytes }) => ({ name, bytes }));
}

/** What cannot be read is looked at all the same, and refused. */
function isFor(bytes: Uint8Array, audience: string | undefined): boolean {
  if (audience === undefined) return true;
  try {
    return readJwt(Buffer.from(bytes).toString("utf8").trim()).claims.aud.includes(audience);
  } catch {
    return false;
  }
}

/** Of the Secrets that meshid wrote; nobody who may read one Secret has to be able to list them. */
async function namesOfSecrets(session: ClusterSession): Promise<readonly string[]> {
  const { namespace } = session;
  try {
    const found = await listObjects(session, SECRETS, {
      namespace,
      labelSelector: MANAGED,
      metadataOnly: true,
    });
    return found.map(({ metadata }) => metadata.name);
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}
