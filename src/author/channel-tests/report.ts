/** Writes what came of the tests of a config: for a terminal, and for scripts. */
import { codeFrame, type FrameColors } from "../../diagnostic/code-frame.ts";
import { visibleText } from "../../diagnostic/visible-text.ts";
import { LogBlock } from "../../log.ts";
import type { LogLine } from "../harness/recorded-log.ts";
import type { DiffLine } from "./diff.ts";
import type { Failure } from "./failure.ts";
import type { Outcome } from "./run-one.ts";

export interface FormatOptions {
  /** Write ANSI colours: for a terminal alone. */
  readonly color?: boolean;
}

/** Lines of one difference that are shown. */
const MAX_LINES = 60;
/** Log lines of one test that are shown. */
const MAX_LOGGED = 5;

/** One test's line, and, where it failed, why; what hooks threw is shown of any, which may pass by it. */
export function formatOutcome(outcome: Outcome, { color = false }: FormatOptions = {}): string {
  const paint = (style: string) => (text: string) =>
    color ? `\u001b[${style}m${text}\u001b[0m` : text;
  const [red, green, blue, bold] = [paint("31"), paint("32"), paint("1;34"), paint("1")];
  const { test, failures } = outcome;
  const name = visibleText(test.name);
  if (failures.length === 0) {
    return [`${green("ok")}      ${name}`, ...formatLog(worthTelling(outcome)), ""].join("\n");
  }
  const colors: FrameColors = { gutter: blue, caret: paint("1;31") };
  const parts = failures.map((failure) => {
    const { place } = failure;
    const where = `${visibleText(test.file)}:${place.line}:${place.column}`;
    const message = visibleText(failure.message);
    const lines = [`  ${blue("-->")} ${where}`, codeFrame({ ...place, note: message }, colors)];
    const signs = new Set(failure.diff.map(({ sign }) => sign));
    if (signs.has("-") && signs.has("+")) lines.push(red("  - expected"), green("  + came"));
    for (const { sign, text } of failure.diff.slice(0, MAX_LINES)) {
      const style = sign === "-" ? red : sign === "+" ? green : paint("2");
      lines.push(style(`  ${sign} ${visibleText(text)}`.trimEnd()));
    }
    const more = failure.diff.length - MAX_LINES;
    if (more > 0) lines.push(`  … and ${more} lines more`);
    return lines.join("\n");
  });
  parts.push(...formatLog(worthTelling(outcome)));
  return `${red("FAILED")}  ${bold(name)}\n${parts.join("\n")}\n\n`;
}

/** `3 passed, 1 failed`, after an empty line. */
export function sumUp(outcomes: readonly Outcome[]): string {
  const failed = outcomes.filter(hasFailed).length;
  const passed = `${outcomes.length - failed} passed`;
  const last = outcomes.at(-1);
  // What is told of a failure ends with an empty line already.
  const gap = last && hasFailed(last) ? "" : "\n";
  return `${gap}${failed === 0 ? passed : `${passed}, ${failed} failed`}\n`;
}

export function hasFailed({ failures }: Outcome): boolean {
  return failures.length > 0;
}

/** An outcome for scripts. */
export function outcomeJson(outcome: Outcome) {
  const { test, failures } = outcome;
  return {
    name: test.name,
    file: test.file,
    line: test.place.line,
    ok: failures.length === 0,
    failures: failures.map(({ place, message, diff }: Failure) => ({
      message,
      line: place.line,
      column: place.column,
      diff: diff.map(({ sign, text }: DiffLine) => `${sign} ${text}`),
    })),
    logged: worthTelling(outcome).map(toText),
  };
}

/** A refusal that a test asks for is logged too: of one that passed only what hooks threw is told. */
function worthTelling({ failures, logged }: Outcome): readonly LogLine[] {
  return failures.length > 0 ? logged : logged.filter(({ level }) => level === "error");
}

function formatLog(logged: readonly LogLine[]): string[] {
  const lines = logged.slice(0, MAX_LOGGED).map(formatLogged);
  const more = logged.length - MAX_LOGGED;
  return more > 0 ? [...lines, `  … and ${more} log lines more`] : lines;
}

function formatLogged(line: LogLine): string {
  const frames = Object.values(line.fields).filter((value) => value instanceof LogBlock);
  const blocks = frames.flatMap(({ text }) => text.split("\n").map((one) => `    ${one}`));
  return [`  log: ${visibleText(toText(line))}`, ...blocks].join("\n");
}

/** A line and what its error says. */
function toText({ level, message, plugin, fields }: LogLine): string {
  const { error } = fields;
  const of = plugin === "" ? "" : ` (${plugin})`;
  const cause =
    error instanceof Error && !message.includes(error.message) ? `: ${error.message}` : "";
  return `${level}${of}: ${message}${cause}`;
}
