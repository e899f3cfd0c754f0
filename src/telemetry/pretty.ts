/**
 * A log record as one line for a person at a terminal.
 */

/** What decides about colours (https://no-color.org). */
export interface TerminalEnvironment {
  readonly NO_COLOR?: string | undefined;
  readonly TERM?: string | undefined;
}

/** Colours go to terminals only, and not where the user said no. */
export function usesColour(isTerminal: boolean, environment: TerminalEnvironment): boolean {
  return isTerminal && (environment.NO_COLOR ?? "") === "" && environment.TERM !== "dumb";
}

const LEVELS: Readonly<Record<string, { readonly label: string; readonly colour: string }>> = {
  debug: { label: "DEBUG", colour: "90" },
  info: { label: "INFO ", colour: "32" },
  warn: { label: "WARN ", colour: "33" },
  error: { label: "ERROR", colour: "31" },
};

const LEADING: ReadonlySet<string> = new Set(["level", "time", "msg", "err"]);

/**
 * `11:42:07 INFO  issued an X.509-SVID  serviceIdentity=shop/payments …`; the stack of an error, where there is one,
 * follows on lines of its own. Whatever could steer a terminal is written as an escape.
 */
export function formatPretty(record: Readonly<Record<string, unknown>>, colour: boolean): string {
  const paint = (code: string, text: string): string => (colour ? `\u001B[${code}m${text}\u001B[0m` : text);
  const name = textOf(record["level"]);
  const level = LEVELS[name] ?? { label: visible(name), colour: "0" };
  const time = visible(textOf(record["time"]).slice(11, 19));
  const fields = Object.entries(record)
    .filter(([field]) => !LEADING.has(field))
    .map(([field, value]) => `${paint("90", `${visible(field)}=`)}${formatValue(value)}`);
  const error = isRecord(record["err"]) ? record["err"] : undefined;
  if (error !== undefined) fields.push(...formatError(error).map((text) => paint("31", text)));
  const head = `${paint("90", time)} ${paint(level.colour, level.label)} ${visible(textOf(record["msg"]))}`;
  const line = fields.length === 0 ? head : `${head}  ${fields.join(" ")}`;
  return `${line}\n${formatStack(error)}`;
}

function formatError(error: Readonly<Record<string, unknown>>): readonly string[] {
  const { message, code, cause } = error;
  return [
    ...(typeof code === "string" ? [`code=${formatValue(code)}`] : []),
    `err=${formatValue(message)}`,
    ...(typeof cause === "string" ? [`cause=${formatValue(cause)}`] : []),
  ];
}

function formatStack(error: Readonly<Record<string, unknown>> | undefined): string {
  if (typeof error?.["stack"] !== "string") return "";
  return `${error["stack"].split("\n").slice(1).map(visible).join("\n")}\n`;
}

/** Plain where that is one word, JSON otherwise. */
function formatValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=\\]+$/.test(value)) return visible(value);
  return visible(JSON.stringify(value) ?? String(value));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Control characters and those that reverse the direction of text become `\u{…}`. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\u200E\u200F\u202A-\u202E\u2028\u2029\u2066-\u2069]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
