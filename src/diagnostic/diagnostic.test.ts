import { describe, expect, test } from "bun:test";
import { formatDiagnostic, formatDiagnostics, type Diagnostic } from "./diagnostic.ts";

const UNKNOWN_KEY: Diagnostic = {
  code: "unknown-key",
  message: '"histroy" is not a key of a channel',
  file: "tidewire.yaml",
  place: { line: 12, column: 5, text: "    histroy: 100", index: 4, length: 7 },
  help: 'did you mean "history"?',
};

describe("formatDiagnostic()", () => {
  test("writes what DESIGN §6 shows", () => {
    expect(formatDiagnostic(UNKNOWN_KEY)).toBe(
      `error[unknown-key]: "histroy" is not a key of a channel
  --> tidewire.yaml:12:5
12 |     histroy: 100
   |     ^^^^^^^ did you mean "history"?`,
    );
  });

  test("has colours when asked, and the same text", () => {
    const colored = formatDiagnostic(UNKNOWN_KEY, { color: true });
    expect(colored).toContain("\u001b[1;31merror[unknown-key]\u001b[0m");
    expect(Bun.stripANSI(colored)).toBe(formatDiagnostic(UNKNOWN_KEY));
  });

  test("indents further lines of a message, and lets none of it steer the terminal", () => {
    const message = "first\nsecond \u001b[2J";
    const text = formatDiagnostic({ ...UNKNOWN_KEY, message, file: "a\u001b.yaml", place: null });
    expect(text).toBe(
      `error[unknown-key]: first\n  second ␛[2J\n  --> a␛.yaml\n   = did you mean "history"?`,
    );
  });
});

test("formatDiagnostic() writes each note on a line below the frame, made visible", () => {
  const notes = ["used at a\u001b.yaml:1:2", "and at 2 more places"];
  expect(
    formatDiagnostic({ ...UNKNOWN_KEY, notes })
      .split("\n")
      .slice(4),
  ).toEqual(["   = used at a␛.yaml:1:2", "   = and at 2 more places"]);
});

describe("formatDiagnostics()", () => {
  test("sums up mistakes of several files", () => {
    const other = { ...UNKNOWN_KEY, file: "plugins/round.ts" };
    expect(formatDiagnostics([UNKNOWN_KEY, other])).toEndWith("\n\n2 errors in 2 files\n");
  });

  test("prints a hundred in full, tells how many more there are, and sums up", () => {
    const text = formatDiagnostics(Array.from({ length: 123 }, () => UNKNOWN_KEY));
    expect(text.match(/error\[unknown-key\]/g)).toHaveLength(100);
    expect(text).toEndWith("\n\n… and 23 more errors, not shown\n\n123 errors in tidewire.yaml\n");
  });

  test("one is one error", () => {
    expect(formatDiagnostics([UNKNOWN_KEY])).toEndWith("\n\n1 error in tidewire.yaml\n");
  });
});
