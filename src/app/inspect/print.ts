/**
 * A report as a person reads it.
 */

import { type Cell, formatFields, formatTable, type Paint, visible, wrap } from "../output.ts";
import { type Fact, type Fault, faultsOf, isGood, type Report, textOfFact } from "./report.ts";

type PlacedFault = Fault & { readonly place: string };

/** Lines longer than this are broken at words. */
const WIDTH = 100;
/** Above so many parts of one kind the rest are only counted. */
const MAX_PARTS = 40;

export function printReport(report: Report, paint: Paint): string {
  const head = `${paint("bold", visible(capital(report.title)))}${report.name === undefined ? "" : `  ${paint("dim", visible(report.name))}`}\n`;
  const body = report.kind === "output-directory" ? identityTable(report, paint) : partsOf(report, paint);
  return `${head}${factsOf(report.facts, "  ", paint)}${body}\n${verdict(report, paint)}`;
}

function partsOf(report: Report, paint: Paint): string {
  const shown = report.parts.slice(0, MAX_PARTS).map((part) => printPart(part, paint));
  const rest = report.parts.length - shown.length;
  return shown.join("") + (rest > 0 ? `\n  and ${rest} more\n` : "");
}

function printPart(part: Report, paint: Paint): string {
  const mark = isGood(part) ? "" : `  ${paint("bad", "(see below)")}`;
  const name = part.name ?? part.title;
  const title = name.startsWith(part.title) ? "" : `  ${paint("dim", visible(part.title))}`;
  const inner = part.parts
    .map((each) => `      ${paint("bold", visible(each.name ?? each.title))}  ${visible(summary(each))}\n`)
    .join("");
  return `\n  ${paint("bold", visible(name))}${title}${mark}\n${factsOf(part.facts, "    ", paint)}${inner}`;
}

function factsOf(facts: readonly Fact[], indent: string, paint: Paint): string {
  return formatFields(
    facts.map((each) => [each.label, textOfFact(each)] as const),
    indent,
    paint,
  );
}

/** What matters of a part within a part, on one line. */
function summary({ facts }: Report): string {
  const valueOf = (name: string): string | undefined => {
    const found = facts.find((each) => each.name === name);
    return found === undefined ? undefined : textOfFact(found);
  };
  const until = valueOf("notAfter");
  const texts = [
    valueOf("spiffeID"),
    valueOf("kid"),
    valueOf("alg"),
    until === undefined ? undefined : `ends ${until}`,
    valueOf("key"),
  ];
  return texts.filter((text) => text !== undefined).join(", ");
}

function identityTable({ parts }: Report, paint: Paint): string {
  if (parts.length === 0) return "";
  const rows = parts.map((part): readonly Cell[] => {
    const valueOf = (name: string): string => {
      const found = part.facts.find((each) => each.name === name);
      return found === undefined ? "" : textOfFact(found);
    };
    const [namespace = "", name = ""] = (part.name ?? "").split("/");
    const wrongs = part.faults.filter(({ severity }) => severity === "wrong").length;
    const problems: Cell =
      wrongs === 0 ? { text: "none", style: "good" } : { text: String(wrongs), style: "bad" };
    return [
      { text: namespace },
      { text: name },
      { text: valueOf("spiffeID") },
      problems,
      { text: valueOf("secrets") },
      { text: valueOf("notAfter") },
    ];
  });
  return `\n${formatTable(["NAMESPACE", "NAME", "SPIFFE-ID", "PROBLEMS", "SECRETS", "VALID UNTIL"], rows, paint)}`;
}

function verdict(report: Report, paint: Paint): string {
  const faults = faultsOf(report);
  const lines = faults.map((fault) => faultLine(fault, paint)).join("");
  return isGood(report) ? `${lines}${paint("good", "OK")}     nothing is wrong with it\n` : lines;
}

function faultLine({ severity, rule, message, place }: PlacedFault, paint: Paint): string {
  const word = severity === "wrong" ? paint("bad", "WRONG") : paint("warn", "NOTE ");
  const head = `${word}  `;
  const text = `${rule}  ${place === "" ? "" : `${place}: `}${message}`;
  return `${head}${wrap(visible(text), WIDTH - 7).join(`\n${" ".repeat(7)}`)}\n`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
