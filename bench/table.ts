/** One Markdown table of what was measured. A cell that something went wrong in says so. */
import type { FanOutResult, IdleResult, Phase, Transport } from "./spec.ts";

/** What was measured of one server and transport; an error in place of what could not be. */
export interface Row {
  readonly transport: Transport;
  readonly server: string;
  readonly rate: number;
  readonly subscribers: number;
  readonly fanOut: FanOutResult | Error;
  readonly idle: IdleResult | Error;
}

const HEAD = [
  "transport",
  "server",
  "rate × subscribers",
  "CPU µs a delivery",
  "p50 / p99 ms",
  "saturated deliveries/s",
  "CPU µs then",
  "idle kB a connection",
  "went wrong",
];

export function formatTable(rows: readonly Row[]): string {
  const lines = [HEAD, HEAD.map(() => "---"), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function cells({ transport, server, rate, subscribers, fanOut, idle }: Row): string[] {
  const flow = fanOut instanceof Error ? ["–", "–", "–", "–"] : flowCells(fanOut);
  const memory = idle instanceof Error ? "–" : idleCell(idle);
  const wrong = troubles(fanOut, idle, rate).join("; ") || "nothing";
  return [transport, server, `${rate} × ${thousands(subscribers)}`, ...flow, memory, wrong];
}

function flowCells({ paced, saturated }: FanOutResult): string[] {
  return [
    cpuMicroseconds(paced),
    `${paced.p50Ms.toFixed(1)} / ${paced.p99Ms.toFixed(1)}`,
    thousands(saturated.deliveries / saturated.seconds),
    cpuMicroseconds(saturated),
  ];
}

/** The server's CPU time for one delivery. */
function cpuMicroseconds({ serverCpuSeconds, deliveries }: Phase): string {
  const microseconds = (serverCpuSeconds * 1e6) / deliveries;
  return microseconds.toFixed(microseconds < 1 ? 2 : 1);
}

function idleCell({ connections, bytesBefore, bytesAfter }: IdleResult): string {
  const kilobytes = (bytesAfter - bytesBefore) / connections / 1000;
  return `${kilobytes.toFixed(1)} (${thousands(connections)})`;
}

function troubles(fanOut: FanOutResult | Error, idle: IdleResult | Error, rate: number): string[] {
  const found: string[] = [];
  if (fanOut instanceof Error) found.push(fanOut.message);
  else {
    found.push(...phaseTroubles("paced", fanOut.paced));
    found.push(...lateness(fanOut.paced, rate));
    found.push(...phaseTroubles("saturated", fanOut.saturated));
    found.push(...bottleneck(fanOut.saturated));
  }
  if (idle instanceof Error) found.push(idle.message);
  else if (idle.reached < idle.connections) {
    found.push(
      `idle: only ${thousands(idle.reached)} of ${thousands(idle.connections)} were subscribed`,
    );
  }
  return found.map((text) => text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|"));
}

function phaseTroubles(name: string, phase: Phase): string[] {
  const { lost, repeated, closed, publishErrors } = phase;
  const counts = { lost, repeated, closed, "publish errors": publishErrors };
  return Object.entries(counts)
    .filter(([, count]) => count !== 0)
    .map(([what, count]) => `${name}: ${thousands(count)} ${what}`);
}

/** Says so where messages waited for each other: what goes out as one batch looks cheaper than it is. */
function lateness({ p50Ms }: Phase, rate: number): string[] {
  if (p50Ms <= 1000 / rate) return [];
  return [`paced: late by more than a message, so that several went out as one batch`];
}

/** Says so where it was not the server that set the rate: another program had a core, or the load was full. */
function bottleneck({ serverCpuSeconds, loadCpuSeconds, seconds }: Phase): string[] {
  const server = Math.round((serverCpuSeconds / seconds) * 100);
  const load = Math.round((loadCpuSeconds / seconds) * 100);
  if (server >= 90) return [];
  return [`saturated: the server used ${server} % of its core, the load ${load} %`];
}

function thousands(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
