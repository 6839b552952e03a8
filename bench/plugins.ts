/** What plugins cost: a transform in the server's thread and in a worker, and one that loops without end. */
import { join } from "node:path";
import { measureNeighbour } from "./plugin-neighbour.ts";
import type { Cost, CostResult, CostSpec, Load, QuietResult } from "./plugin-spec.ts";

export interface PluginResults {
  readonly costs: readonly CostResult[];
  readonly neighbour: readonly QuietResult[];
}

const SUBSCRIBERS = [1, 1000];
/** Odd, so that one run is in the middle. */
const ROUNDS = 5;

/** @param seconds Of each run beside a neighbour; a measurement of cost takes a fifth. */
export async function measurePlugins(
  seconds: number,
  progress: (text: string) => void,
): Promise<PluginResults> {
  const costs: CostResult[] = [];
  for (const subscribers of SUBSCRIBERS) {
    progress(`plugins: cost of a message, ${subscribers} subscribers`);
    costs.push(await runCost({ subscribers, seconds: seconds / 5 }));
  }
  const kinds = ["rests", "spins", "allocates"] as const;
  const runs: QuietResult[] = [];
  // In turns: whoever else is on the machine then comes to all of them.
  for (let round = 1; round <= ROUNDS; round++) {
    for (const what of kinds) {
      progress(`plugins: another channel while an isolated plugin ${what}, ${round} of ${ROUNDS}`);
      runs.push(await measureNeighbour(what, seconds));
    }
  }
  const neighbour = kinds.map((kind) => together(runs.filter(({ what }) => what === kind)));
  return { costs, neighbour };
}

/** The run whose 99th percentile is the middle one, with what went wrong in any of them. */
function together(runs: readonly QuietResult[]): QuietResult {
  const sorted = runs.toSorted((a, b) => a.p99Ms - b.p99Ms);
  const sum = (key: "messages" | "lost" | "ended") => runs.reduce((all, run) => all + run[key], 0);
  const [messages, lost, ended] = [sum("messages"), sum("lost"), sum("ended")];
  return { ...sorted[Math.floor(sorted.length / 2)]!, messages, lost, ended };
}

async function runCost(spec: CostSpec): Promise<CostResult> {
  const command = [process.execPath, join(import.meta.dir, "plugin-cost.ts"), JSON.stringify(spec)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the measurement of plugins failed");
  return JSON.parse(text) as CostResult;
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
    `an isolated plugin ${each.what}`,
    `${each.p50Ms.toFixed(2)} / ${each.p99Ms.toFixed(2)} / ${each.slowestMs.toFixed(1)}`,
    `${each.lost} of ${each.messages}`,
    String(each.ended),
  ]);
  const bare = costs[0]!.bare.wallUs;
  return [
    `µs a message over a channel without plugins and the bare call of the transform (${micro(bare)} µs), wall / CPU of all threads:`,
    "",
    table(["load", "no plugin", "+ synchronous", "+ asynchronous", "+ isolated"], costRows),
    "",
    `Another channel meanwhile, 200 messages a second, from POST to WebSocket frame; the middle one of ${ROUNDS} runs:`,
    "",
    table(["meanwhile", "p50 / p99 / slowest ms", "lost", "workers ended"], neighbourRows),
  ].join("\n");
}

function micro(microseconds: number): string {
  return microseconds.toFixed(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
