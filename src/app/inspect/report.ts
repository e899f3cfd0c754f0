/**
 * What `meshid inspect` has found out: the same data for a person and for a program.
 */

export type Data = string | number | boolean | readonly Data[] | { readonly [name: string]: Data };

/** `name` is its name in JSON; `shown`, where given, is what a person reads in place of `value`. */
export interface Fact {
  readonly name: string;
  readonly label: string;
  readonly value: Data;
  readonly shown?: string;
}

/** `wrong`: a peer refuses it, or it does not do what it is for. `note`: worth knowing. */
type Severity = "wrong" | "note";

export interface Fault {
  readonly severity: Severity;
  /** A row of the SPIFFE conformance tables (`X-02`), or a word where no standard has a rule. */
  readonly rule: string;
  readonly message: string;
}

type ReportKind =
  | "chain"
  | "certificate"
  | "private-key"
  | "public-key"
  | "combined"
  | "token"
  | "pem-bundle"
  | "spiffe-bundle"
  | "jwks"
  | "jwk"
  | "discovery"
  | "keystore"
  | "secret"
  | "secret-directory"
  | "bundle-directory"
  | "output-directory"
  | "identity"
  | "object";

export interface Report {
  readonly kind: ReportKind;
  /** In a few words: `X.509-SVID with 1 intermediate`. */
  readonly title: string;
  /** A file, or a place within one; absent for the thing that was asked about. */
  readonly name?: string;
  readonly facts: readonly Fact[];
  readonly faults: readonly Fault[];
  readonly parts: readonly Report[];
}

export function wrong(rule: string, message: string): Fault {
  return { severity: "wrong", rule, message };
}

export function note(rule: string, message: string): Fault {
  return { severity: "note", rule, message };
}

export function fact(name: string, label: string, value: Data, shown?: string): Fact {
  return shown === undefined ? { name, label, value } : { name, label, value, shown };
}

/** As a person reads it. */
export function textOfFact({ value, shown }: Fact): string {
  if (shown !== undefined) return shown;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Of the report and all its parts. */
export function isGood(report: Report): boolean {
  return report.faults.every(({ severity }) => severity !== "wrong") && report.parts.every(isGood);
}

/** All faults, those of parts with the name of their part. */
export function faultsOf(report: Report, place = ""): readonly (Fault & { readonly place: string })[] {
  const own = report.faults.map((fault) => ({ ...fault, place }));
  const below = report.parts.flatMap((part) =>
    faultsOf(part, [place, part.name ?? ""].filter((text) => text !== "").join(" › ")),
  );
  return [...own, ...below];
}

/** Every text of the report through `change`. */
export function mapTexts(report: Report, change: (text: string) => string): Report {
  return {
    ...report,
    title: change(report.title),
    ...(report.name === undefined ? {} : { name: change(report.name) }),
    facts: report.facts.map((each) => ({
      ...each,
      value: mapData(each.value, change),
      ...(each.shown === undefined ? {} : { shown: change(each.shown) }),
    })),
    faults: report.faults.map((fault) => ({ ...fault, message: change(fault.message) })),
    parts: report.parts.map((part) => mapTexts(part, change)),
  };
}

function mapData(data: Data, change: (text: string) => string): Data {
  if (typeof data === "string") return change(data);
  if (typeof data !== "object") return data;
  if (isList(data)) return data.map((each) => mapData(each, change));
  return Object.fromEntries(
    Object.entries(data).map(([name, each]) => [change(name), mapData(each, change)]),
  );
}

function isList(data: Data): data is readonly Data[] {
  return Array.isArray(data);
}

/** The report as JSON shows it. */
export function toData(report: Report): Data {
  return {
    kind: report.kind,
    title: report.title,
    ...(report.name === undefined ? {} : { name: report.name }),
    ok: isGood(report),
    ...Object.fromEntries(report.facts.map(({ name, value }) => [name, value])),
    faults: report.faults.map(({ severity, rule, message }) => ({ severity, rule, message })),
    ...(report.parts.length === 0 ? {} : { parts: report.parts.map(toData) }),
  };
}
