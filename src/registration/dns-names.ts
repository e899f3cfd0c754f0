/**
 * DNS names of Services in the identity's own namespace.
 */

import { quoted } from "../core/errors.ts";
import type { Report } from "./field-path.ts";
import { isLabel, MAX_SUBDOMAIN } from "./names.ts";

export interface DnsScope {
  readonly namespace: string;
  readonly clusterDomain: string;
}

/**
 * `payments.shop.svc` and `payments.shop.svc.<clusterDomain>`; none where the name has dots or more than 63 characters, for
 * no Service can have it.
 */
export function defaultDnsNames(name: string, { namespace, clusterDomain }: DnsScope): readonly string[] {
  const service = `${name}.${namespace}.svc`;
  return isLabel(name) ? [service, `${service}.${clusterDomain}`] : [];
}

/** Reports what is not `[<label>.]<service>.<own namespace>.svc[.<clusterDomain>]`: lower-case RFC 1123, no wildcard. */
export function checkDnsName(report: Report, field: string, name: string, scope: DnsScope): void {
  const { namespace, clusterDomain } = scope;
  const expected = `[<label>.]<service>.${namespace}.svc[.${clusterDomain}]`;
  if (name.includes("*")) {
    return report(
      field,
      `${quoted(name)} has a wildcard`,
      `a lower-case DNS name without wildcard: ${expected}`,
    );
  }
  if (name.length > MAX_SUBDOMAIN || !name.split(".").every(isLabel)) {
    return report(
      field,
      `${quoted(name)} is not a lower-case DNS name`,
      `a lower-case DNS name: ${expected}`,
    );
  }
  if (!isInScope(name, scope)) {
    report(
      field,
      `${quoted(name)} is not a Service of namespace ${namespace}`,
      `a DNS name of the form ${expected}`,
    );
  }
}

function isInScope(name: string, { namespace, clusterDomain }: DnsScope): boolean {
  const suffixes = [`.${namespace}.svc`, `.${namespace}.svc.${clusterDomain}`];
  return suffixes.some((suffix) => {
    if (!name.endsWith(suffix)) return false;
    const labels = name.slice(0, -suffix.length).split(".");
    return labels.length <= 2;
  });
}
