/** The difference between what a test expects and what came, line by line. */
import type { Expected } from "../../config/expected.ts";
import { isMap, matches, writeExpected, writeValue } from "./match.ts";

export interface DiffLine {
  /** `-` is expected and did not come, `+` came and is not expected. */
  readonly sign: " " | "-" | "+";
  readonly text: string;
}

/** @param value What came; of what matches, only this is shown. */
export function diff(expected: Expected, value: unknown): readonly DiffLine[] {
  return compare(expected, value, "");
}

export function allOf(sign: DiffLine["sign"], lines: readonly string[], label = ""): DiffLine[] {
  return lines.map((text, i) => ({ sign, text: i === 0 ? label + text : text }));
}

function compare(expected: Expected, value: unknown, label: string): readonly DiffLine[] {
  if (matches(expected, value)) return allOf(" ", writeValue(value), label);
  if ((expected.kind === "map" || expected.kind === "partial") && isMap(value)) {
    return within(label, "{}", compareMaps(expected, value));
  }
  if (expected.kind === "value" && isMap(expected.value) && isMap(value)) {
    return within(label, "{}", compareMaps(asMap(expected.value), value));
  }
  if (expected.kind === "list" && Array.isArray(value)) {
    return within(label, "[]", compareLists(expected.items, value));
  }
  return [...allOf("-", writeExpected(expected), label), ...allOf("+", writeValue(value), label)];
}

type MapExpected = Extract<Expected, { kind: "map" | "partial" }>;

function compareMaps(
  { kind, entries }: MapExpected,
  value: Record<string, unknown>,
): readonly DiffLine[] {
  const label = (key: string) => `${JSON.stringify(key)}: `;
  const wanted = Array.from(entries).flatMap(([key, one]) =>
    Object.hasOwn(value, key)
      ? compare(one, value[key], label(key))
      : allOf("-", writeExpected(one), label(key)),
  );
  // Other keys may be there where a part is expected: they would only be in the way.
  const others = kind === "partial" ? [] : Object.keys(value).filter((key) => !entries.has(key));
  return [...wanted, ...others.flatMap((key) => allOf("+", writeValue(value[key]), label(key)))];
}

function compareLists(items: readonly Expected[], values: readonly unknown[]): readonly DiffLine[] {
  const length = Math.max(items.length, values.length);
  return Array.from({ length }).flatMap((_, i) => {
    if (i >= values.length) return allOf("-", writeExpected(items[i]!));
    if (i >= items.length) return allOf("+", writeValue(values[i]));
    return compare(items[i]!, values[i], "");
  });
}

function asMap(value: Record<string, unknown>): MapExpected {
  const entries = Object.entries(value).map(
    ([key, one]) => [key, { kind: "value", value: one } as Expected] as const,
  );
  return { kind: "map", entries: new Map(entries) };
}

function within(label: string, [open, close]: string, lines: readonly DiffLine[]): DiffLine[] {
  return [
    { sign: " ", text: `${label}${open}` },
    ...lines.map(({ sign, text }): DiffLine => ({ sign, text: `  ${text}` })),
    { sign: " ", text: close! },
  ];
}
