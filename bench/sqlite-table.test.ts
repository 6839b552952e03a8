import { expect, test } from "bun:test";
import { formatPublishing, type Publishers } from "./sqlite-table.ts";

const posts: Publishers = { kind: "posts", publishers: 64, batch: 100 };
const frames: Publishers = { kind: "frames", publishers: 64, batch: 32 };
const run = (rate: number, refused = 0) => ({ rate, cpuUs: 2e6 / rate, refused });

const raw = (rate: number) => ({ rate, cpuUs: 1e6 / rate });

test("formatPublishing() gives the middle run, and its part of what SQLite inserts", () => {
  const served = [run(400_000), run(100_000), run(500_000)];
  const lines = formatPublishing([
    { broker: "sqlite, full", load: posts, raw: [9e5, 8e5, 1e5].map(raw), served },
    { broker: "memory", load: frames, raw: [], served: [run(1_000_000)] },
  ]).split("\n");
  expect(lines[0]).toContain(
    "| acknowledged/s | CPU µs a message | raw bun:sqlite, rows/s | of it |",
  );
  expect(lines[2]).toBe(
    "| sqlite, full | 64 by HTTP, 100 a POST | 400,000 | 5.00 | 800,000 (6,400 a transaction) | 50 % | 1.25 | nothing |",
  );
  expect(lines[3]).toBe(
    "| memory | 64 WebSockets, 32 frames under way | 1,000,000 | 2.00 | – | – | – | nothing |",
  );
});

test("formatPublishing() says what was refused, and what could not be measured", () => {
  const served = [run(1, 1500), new Error("the load\nended")];
  const table = formatPublishing([
    { broker: "sqlite, normal", load: posts, raw: [raw(1)], served },
  ]);
  expect(table).toContain("the load ended; 1,500 refused |");
  const none = formatPublishing([
    { broker: "memory", load: posts, raw: [], served: [new Error("x")] },
  ]);
  expect(none).toContain("| – | – | – | – | – | x |");
});
