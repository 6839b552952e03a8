/** One Markdown table of what came of each rush. */
import type { Level, ResumeTransport, Rush } from "./resume-spec.ts";

export interface ResumeResult {
  readonly transport: ResumeTransport;
  readonly clients: number;
  readonly rush: Rush;
  readonly serverCpuSeconds: number;
  readonly before: Level;
  readonly during: Level;
  /** Bytes. */
  readonly memory: { idle: number; connected: number; peak: number; after: number };
}

const HEAD = [
  "transport",
  "half level, ms",
  "all level, ms",
  "all answered, ms",
  "server CPU, ms",
  "CPU µs a client",
  "level client p99 / worst before, ms",
  "during, ms",
  "RSS MB idle / connected",
  "peak",
  "after",
];

export function formatRushes(results: readonly ResumeResult[]): string {
  const lines = [HEAD, HEAD.map(() => "---"), ...results.map(cells)];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function cells(result: ResumeResult): string[] {
  const { transport, clients, rush, serverCpuSeconds, before, during, memory } = result;
  const ms = (value: number) => value.toFixed(0);
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
  const latency = ({ p99Ms, worstMs }: Level) => `${p99Ms.toFixed(1)} / ${worstMs.toFixed(1)}`;
  return [
    transport,
    ms(rush.halfMs),
    ms(rush.levelMs),
    ms(rush.answeredMs),
    ms(serverCpuSeconds * 1000),
    ((serverCpuSeconds * 1e6) / clients).toFixed(0),
    latency(before),
    latency(during),
    `${megabytes(memory.idle)} / ${megabytes(memory.connected)}`,
    megabytes(memory.peak),
    megabytes(memory.after),
  ];
}
