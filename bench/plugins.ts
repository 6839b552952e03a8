/** What plugins cost: a transform in the server's thread and in a worker, and one that loops without end. */
import { join } from "node:path";
import { pinned } from "./measure.ts";
import type {
  Cost,
  CostResult,
  CostSpec,
  Load,
  QuietResult,
  QuietRun,
  QuietSpec,
} from "./plugin-spec.ts";

export interface PluginResults {
  readonly costs: readonly CostResult[];
  readonly neighbour: readonly QuietResult[];
}

const SUBSCRIBERS = [1, 1000];
const ROUNDS = 5;
/** Where the server and what the plugin does. */
const NEIGHBOURS: readonly Omit<QuietSpec, "seconds">[] = [
  { what: "rests", hasOneCore: false },
  { what: "spins", hasOneCore: false },
  { what: "allocates", hasOneCore: false },
  { what: "rests", hasOneCore: true },
  { what: "spins", hasOneCore: true },
];

/** @param seconds Of each run beside a neighbour; a measurement of cost takes a fifth. */
export async function measurePlugins(
  seconds: number,
  progress: (text: string) => void,
): Promise<PluginResults> {
  const costs: CostResult[] = [];
  for (const subscribers of SUBSCRIBERS) {
    progress(`plugins: cost of a message, ${subscribers} subscribers`);
    costs.push(await run<CostResult>("plugin-cost.ts", { subscribers, seconds: seconds / 5 }));
  }
  const runs = NEIGHBOURS.map((): QuietRun[] => []);
  // In turns: whoever else is on the machine then comes to all of them.
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [i, neighbour] of NEIGHBOURS.entries()) {
      progress(`plugins: ${nameOf(neighbour)}, ${round} of ${ROUNDS}`);
      const spec: QuietSpec = { ...neighbour, seconds };
      // The server's own threads may come to this core too, unless it has one to itself.
      runs[i]!.push(await run<QuietRun>("plugin-neighbour.ts", spec, (all) => pinned(1, all)));
    }
  }
  return { costs, neighbour: NEIGHBOURS.map((each, i) => together(each, runs[i]!)) };
}

function nameOf({ what, hasOneCore }: Omit<QuietSpec, "seconds">): string {
  return `an isolated plugin ${what}${hasOneCore ? ", the server on one core with it" : ""}`;
}

function together(neighbour: Omit<QuietSpec, "seconds">, runs: readonly QuietRun[]): QuietResult {
  const all = sorted(runs.flatMap(({ latencies }) => latencies));
  const p99s = sorted(runs.map(({ latencies }) => quantile(sorted(latencies), 0.99)));
  return {
    ...neighbour,
    messages: all.length,
    lost: runs.reduce((sum, { lost }) => sum + lost, 0),
    ended: runs.reduce((sum, { ended }) => sum + ended, 0),
    p50Ms: quantile(all, 0.5),
    p99Ms: quantile(all, 0.99),
    p999Ms: quantile(all, 0.999),
    slowestMs: all.at(-1) ?? NaN,
    p99RangeMs: [p99s[0]!, p99s.at(-1)!],
  };
}

function sorted(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((a, b) => a - b);
}

function quantile(numbers: readonly number[], share: number): number {
  return numbers[Math.min(numbers.length - 1, Math.floor(numbers.length * share))] ?? NaN;
}

async function run<Result>(
  file: string,
  spec: CostSpec | QuietSpec,
  place: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<Result> {
  const command = [process.execPath, join(import.meta.dir, file), JSON.stringify(spec)];
  const child = Bun.spawn([...place(command)], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the measurement of plugins failed");
  return JSON.parse(text) as Result;
}

/** Two Markdown tables. */
export function formatPlugins({ costs, neighbour }: PluginResults): string {
  const costRows = costs.flatMap(({ subscribers, bare, costs: loads }) =>
    (Object.keys(loads) as Load[]).map((load) => {
      const { none, synchronous, asynchronous, isolated } = loads[load]!;
      const over = (cost: Cost) =>
        `${micro(cost.wallUs - none!.wallUs - bare.wallUs)} / ${micro(cost.cpuUs - none!.cpuUs - bare.cpuUs)}`;
      return [
        `${subscribers} subscriber${subscribers === 1 ? "" : "s"}, ${load}`,
        `${micro(none!.wallUs)} / ${micro(none!.cpuUs)}`,
        over(synchronous!),
        over(asynchronous!),
        over(isolated!),
      ];
    }),
  );
  const neighbourRows = neighbour.map((each) => [
    nameOf(each),
    [each.p50Ms, each.p99Ms, each.p999Ms, each.slowestMs].map((ms) => ms.toFixed(2)).join(" / "),
    each.p99RangeMs.map((ms) => ms.toFixed(2)).join(" to "),
    `${each.lost} of ${each.messages}`,
    String(each.ended),
  ]);
  const bare = costs[0]!.bare.wallUs;
  return [
    `µs a message over a channel without plugins and the bare call of the transform (${micro(bare)} µs), wall / CPU of all threads:`,
    "",
    table(["load", "no plugin", "+ synchronous", "+ asynchronous", "+ isolated"], costRows),
    "",
    `Another channel meanwhile, 500 messages a second, from POST to WebSocket frame, ${ROUNDS} runs in turns; the load on core 1, the server where it likes, but for the last two:`,
    "",
    table(
      ["meanwhile", "p50 / p99 / p99.9 / slowest ms", "p99 of one run", "lost", "workers ended"],
      neighbourRows,
    ),
  ].join("\n");
}

function micro(microseconds: number): string {
  return microseconds.toFixed(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
