/** What a soak prints: a line every ten seconds, and tables at its end. */
import type { Faults } from "./faults.ts";
import type { Figures, WayFigures } from "./figures.ts";
import type { Gauges } from "./gauges.ts";
import type { Options } from "./options.ts";
import { grows, slopeBeside, slopeOfMinima, type Slope } from "./slope.ts";

/**
 * What may be more at the end of a run than at its middle, by its slope: memory in bytes, and descriptors.
 * What healthy runs come to, and what these find, is in bench/README.md.
 */
const ALLOWED = { heap: 6e6, resident: 20e6, descriptors: 12 } as const;

/** Runs of hours have noise of their own: a slope is not held against less than this share of a minute's. */
const LEAST_SHARE = 0.02;

/** @returns Growth a minute that fails a run of so long, when it is no chance either. */
function thresholdOf(name: keyof typeof ALLOWED, seconds: number): number {
  return ALLOWED[name] * Math.max(LEAST_SHARE, 120 / seconds);
}

export interface Trend {
  readonly name: keyof typeof ALLOWED;
  readonly slope: Slope;
  /** Growth a minute that fails the run. */
  readonly threshold: number;
  readonly isFailed: boolean;
}

export function trendsOf(gauges: Gauges, seconds: number): Trend[] {
  const slopes = {
    heap: slopeOfMinima(gauges.heap),
    resident: slopeOfMinima(gauges.resident),
    descriptors: slopeBeside(gauges.descriptors),
  };
  const names = ["heap", "resident", "descriptors"] as const;
  return names.map((name) => {
    const slope = slopes[name];
    const threshold = thresholdOf(name, seconds);
    return { name, slope, threshold, isFailed: grows(slope, threshold) };
  });
}

const megabytes = (bytes: number | undefined) => ((bytes ?? NaN) / 1e6).toFixed(1);

export function progressLine(seconds: number, figures: Figures, gauges: Gauges, faults: Faults) {
  const { deliveries, joins, kills } = totals(figures);
  const last = gauges.descriptors.at(-1);
  return [
    `${seconds.toFixed(0).padStart(5)} s`,
    `${figures.published} messages`,
    `${deliveries} deliveries`,
    `${figures.sum(({ open }) => open)} clients (${joins} joined, ${kills} killed)`,
    `${figures.reloads}+${figures.refused} reloads`,
    `heap ${megabytes(gauges.heap.at(-1)?.value)} MB`,
    `RSS ${megabytes(gauges.resident.at(-1)?.value)} MB`,
    `${last?.value ?? 0} descriptors`,
    `${faults.total} faults`,
  ].join(", ");
}

const COUNTED = [
  ["deliveries", "deliveries"],
  ["joins", "joins"],
  ["resumes", "resumes"],
  ["crossed", "from another"],
  ["leaves", "leaves"],
  ["kills", "kills"],
  ["pauses", "stalls"],
  ["slow", "too slow"],
  ["gaps", "gaps"],
  ["gapsExpected", "expected"],
] as const satisfies readonly (readonly [keyof WayFigures, string])[];

function totals(figures: Figures) {
  const entries = COUNTED.map(([field]) => [field, figures.sum((way) => way[field])] as const);
  return Object.fromEntries(entries) as Record<(typeof COUNTED)[number][0], number>;
}

function latencies({ latency, maxMs }: WayFigures): string[] {
  const quantiles = [0.5, 0.99, 0.999].map((share) => latency.quantile(share));
  return [...quantiles, maxMs].map((ms) => (Number.isNaN(ms) ? "–" : ms.toFixed(1)));
}

/** What a run came to; all of it is in the JSON. */
export interface Outcome {
  readonly options: Options;
  readonly seconds: number;
  readonly figures: Figures;
  readonly gauges: Gauges;
  readonly faults: Faults;
  readonly trends: readonly Trend[];
  /** Descriptors of the server before the first client, and after the last. */
  readonly descriptors: { readonly before: number; readonly after: number };
  /** Memory of the soak itself. */
  readonly ownBytes: number;
}

export function formatOutcome(outcome: Outcome): string {
  const { options, seconds, figures, gauges, faults, trends, descriptors } = outcome;
  const head = ["way", ...COUNTED.map(([, name]) => name), "p50", "p99", "p99.9", "max ms"];
  const rows = [...figures.ways].map(([name, way]) => [
    name,
    ...COUNTED.map(([field]) => String(way[field])),
    ...latencies(way),
  ]);
  const sums = totals(figures);
  rows.push(["all", ...COUNTED.map(([field]) => String(sums[field])), "", "", "", ""]);
  const { loss, duplicate, disorder, gap, other } = faults.counts;
  const [heap, resident, fds] = trends.map(({ name, slope, threshold, isFailed }) => {
    const unit = name === "descriptors" ? 1 : 1e6;
    const [of, error] = [slope.perMinute / unit, slope.error / unit].map((n) => n.toFixed(2));
    const verdict = isFailed ? `: GROWS (by more than ${(threshold / unit).toFixed(2)})` : "";
    return `${of} ± ${error} a minute${verdict}`;
  });
  const most = (samples: readonly { value: number }[]) =>
    samples.reduce((top, { value }) => Math.max(top, value), 0);
  const lines = [
    table([head, ...rows]),
    "",
    `${seconds.toFixed(0)} s, seed ${options.seed}, broker ${options.broker}: ${figures.published} messages, ${sums.deliveries} deliveries`,
    `${figures.rooms} rooms; ${figures.reloads} reloads, ${figures.refused} refused; ${figures.retries} publishes sent again, ${figures.replayed} answered as before`,
    `losses ${loss}, duplicates ${duplicate}, disorder ${disorder}, gaps not told of or not due ${gap}, other faults ${other}`,
    `memory in use, MB: ${overTime(gauges.heap)}; ${heap}`,
    `RSS, MB: ${overTime(gauges.resident)}, most ${megabytes(most(gauges.resident))}; ${resident}`,
    `descriptors: ${descriptors.before} before, at most ${most(gauges.descriptors)}, ${descriptors.after} after; beside the clients ${fds}`,
    `threads ${gauges.threads}; the soak itself has ${megabytes(outcome.ownBytes)} MB`,
  ];
  if (trends.some(({ name, isFailed }) => isFailed && name !== "descriptors")) {
    const grown = gauges.grown().map(([kind, before, after]) => `${kind} ${before} → ${after}`);
    lines.push(`objects in use that became more in the second half: ${grown.join(", ")}`);
  }
  for (const { kind, s, who, text } of faults.kept)
    lines.push(`${kind} at ${s} s: ${who}: ${text}`);
  return lines.join("\n");
}

/** At the quarters of a run. */
function overTime(samples: readonly { readonly value: number }[]): string {
  const at = (share: number) => samples[Math.floor((samples.length - 1) * share)]?.value;
  return [0, 0.25, 0.5, 0.75, 1].map((share) => megabytes(at(share))).join(" ");
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join("  "),
    )
    .join("\n");
}

export function outcomeJson(outcome: Outcome): string {
  const { options, seconds, figures, gauges, faults, trends, descriptors, ownBytes } = outcome;
  const { published, retries, replayed, reloads, refused, rooms } = figures;
  const ways = [...figures.ways].map(([way, counts]) => {
    const [p50, p99, p999, max] = latencies(counts).map(Number);
    const counted = Object.fromEntries(COUNTED.map(([field]) => [field, counts[field]]));
    return { way, ...counted, latencyMs: { p50, p99, p999, max } };
  });
  const { heap, resident, threads } = gauges;
  return JSON.stringify({
    ...{ options, seconds, published, retries, replayed, reloads, refused, rooms, ways },
    ...{ faults: { counts: faults.counts, kept: faults.kept }, trends },
    ...{ descriptors, threads, ownBytes, heap, resident, grown: gauges.grown() },
  });
}
