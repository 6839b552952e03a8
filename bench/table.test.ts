import { expect, test } from "bun:test";
import type { Phase } from "./spec.ts";
import { formatTable } from "./table.ts";

const paced: Phase = {
  ...{ published: 250, publishErrors: 0, deliveries: 250_000, lost: 0, repeated: 0, closed: 0 },
  ...{ seconds: 5, serverCpuSeconds: 1.75, loadCpuSeconds: 1, p50Ms: 3.44, p99Ms: 8 },
};
const saturated: Phase = { ...paced, deliveries: 15_000_000, serverCpuSeconds: 4.9 };
const row = { transport: "sse", server: "Tidewire", rate: 50, subscribers: 1000 } as const;
const idle = { connections: 10_000, bytesBefore: 4e7, bytesAfter: 9e7, reached: 10_000 };

test("formatTable() gives CPU, latency, rate and memory in the units that its head names", () => {
  const lines = formatTable([{ ...row, fanOut: { paced, saturated }, idle }]).split("\n");
  expect(lines[0]).toContain("| CPU µs a delivery | p50 / p99 ms | saturated deliveries/s |");
  expect(lines[2]).toBe(
    "| sse | Tidewire | 50 × 1,000 | 7.0 | 3.4 / 8.0 | 3,000,000 | 0.33 | 5.0 (10,000) | nothing |",
  );
});

test("formatTable() shows what was lost, refused, or limited by something else", () => {
  const lossy = { ...saturated, lost: 12_345, publishErrors: 2, serverCpuSeconds: 2.5 };
  const table = formatTable([
    {
      ...row,
      fanOut: { paced: { ...paced, p50Ms: 20.1 }, saturated: lossy },
      idle: { ...idle, reached: 9 },
    },
    { ...row, fanOut: new Error("0 of 9 | reached\nreason"), idle: new Error("did not start") },
  ]);
  expect(table).toContain("paced: late by more than a message");
  expect(table).toContain("saturated: 12,345 lost; saturated: 2 publish errors");
  expect(table).toContain("saturated: the server used 50 % of its core, the load 20 %");
  expect(table).toContain("idle: only 9 of 10,000 were subscribed");
  expect(table).toContain("| – | – | – | – | – | 0 of 9 \\| reached reason; did not start |");
});
