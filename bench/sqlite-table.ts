/** The table of publishing: what is acknowledged in a second, beside what SQLite itself inserts. */
import type { PublishLoad, PublishLoadResult } from "./sqlite-load.ts";
import type { RawResult } from "./sqlite-raw.ts";

export type Broker = "sqlite, full" | "sqlite, normal" | "memory";
export type Publishers = Pick<PublishLoad, "kind" | "publishers" | "batch">;

/** What was measured of one broker and load, a value for each round. */
export interface PublishRow {
  readonly broker: Broker;
  readonly load: Publishers;
  /** What SQLite inserts, with as many rows in a transaction as the publishers have under way; empty for memory. */
  readonly raw: readonly RawResult[];
  readonly served: readonly (PublishLoadResult | Error)[];
}

const HEAD = [
  "broker",
  "publishers",
  "acknowledged/s",
  "CPU µs a message",
  "raw bun:sqlite, rows/s",
  "of it",
  "raw CPU µs a row",
  "went wrong",
];

/** A Markdown table of the middle of the rounds. */
export function formatPublishing(rows: readonly PublishRow[]): string {
  const lines = [HEAD, HEAD.map(() => "---"), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function cells({ broker, load, raw, served }: PublishRow): string[] {
  const good = served.filter((each): each is PublishLoadResult => !(each instanceof Error));
  const rate = middle(good.map((each) => each.rate));
  const cpuUs = middle(good.map((each) => each.cpuUs));
  const rawRate = middle(raw.map((each) => each.rate));
  const rawCpuUs = middle(raw.map((each) => each.cpuUs));
  const rows = (load.publishers * load.batch).toLocaleString("en-US");
  return [
    broker,
    nameOf(load),
    rate === null ? "–" : thousands(rate),
    microseconds(cpuUs),
    rawRate === null ? "–" : `${thousands(rawRate)} (${rows} a transaction)`,
    rate === null || rawRate === null ? "–" : `${Math.round((rate / rawRate) * 100)} %`,
    microseconds(rawCpuUs),
    troubles(served).join("; ") || "nothing",
  ];
}

function nameOf({ kind, publishers, batch }: Publishers): string {
  if (kind === "posts") return `${publishers} by HTTP, ${batch} a POST`;
  return `${publishers} WebSockets, ${batch} frames under way`;
}

function troubles(served: PublishRow["served"]): string[] {
  const found: string[] = [];
  let refused = 0;
  for (const each of served) {
    if (each instanceof Error) found.push(each.message.replaceAll(/\s+/g, " "));
    else refused += each.refused;
  }
  if (refused > 0) found.push(`${thousands(refused)} refused`);
  return found;
}

function middle(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
}

function microseconds(value: number | null): string {
  return value === null ? "–" : value.toFixed(value < 10 ? 2 : 1);
}

function thousands(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
