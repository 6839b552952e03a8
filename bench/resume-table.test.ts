import { expect, test } from "bun:test";
import { formatRushes } from "./resume-table.ts";

test("formatRushes() gives times, CPU time of one client, and memory", () => {
  const level = { p50Ms: 1, p99Ms: 2.04, worstMs: 3, deliveries: 1, lost: 0, repeated: 0 };
  const [head, , row] = formatRushes([
    {
      transport: "sse",
      clients: 10_000,
      rush: { halfMs: 400.4, levelMs: 800.6, answeredMs: 700 },
      serverCpuSeconds: 0.75,
      before: { ...level, sent: [0, 0], error: null },
      during: { ...level, p99Ms: 50, worstMs: 60.25, sent: [0, 0], error: null },
      memory: { idle: 60e6, connected: 100e6, peak: 140e6, after: 120e6 },
    },
  ]).split("\n");
  expect(row).toBe(
    "| sse | 400 | 801 | 700 | 750 | 75 | 2.0 / 3.0 | 50.0 / 60.3 | 60 / 100 | 140 | 120 |",
  );
  expect(head!.split("|")).toHaveLength(row!.split("|").length);
});
