/**
 * Slow subscribers: a thousand TCP clients that stop reading, for each transport and policy. What they cost the
 * server in memory, and the healthy ones in latency, and what they were told when they read on.
 *
 *     bun bench/slow.ts [--kinds sse,tidewire.v1] [--policies latest] [--stalled 1000] [--buffer 256 (KiB)]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import { count, list } from "./options.ts";
import { freePort, SERVER_CORE } from "./servers.ts";
import {
  POLICIES,
  SLOW_KINDS,
  type SlowKind,
  type SlowResult,
  type SlowSpec,
} from "./slow-spec.ts";

const { values } = parseArgs({
  options: {
    kinds: { type: "string", default: SLOW_KINDS.join() },
    policies: { type: "string", default: POLICIES.join() },
    stalled: { type: "string", default: "1000" },
    healthy: { type: "string", default: "100" },
    buffer: { type: "string", default: "256" },
    rate: { type: "string", default: "50" },
    bytes: { type: "string", default: "4096" },
    keys: { type: "string", default: "20" },
    seconds: { type: "string", default: "4" },
    executable: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const kinds = list("kinds", values.kinds, SLOW_KINDS);
const policies = list("policies", values.policies, POLICIES);
for (const name of ["stalled", "healthy", "buffer", "rate", "bytes", "keys", "seconds"] as const) {
  count(name, values[name]);
}
const bufferBytes = Number(values.buffer) * 1024;

const HEADER = `| client | slow | server's memory, MB (of limits.buffer × stalled) | healthy p99 ms: alone / filling up / stalled / reading on | by the server | and then | each was told | went wrong |
| --- | --- | --- | --- | --- | --- | --- | --- |`;

if (!values.json) console.log(HEADER);
for (const kind of kinds) {
  for (const policy of policies) {
    // Nothing lags there.
    if (kind === "raw" && policy === "drop-oldest") continue;
    if (kind === "long-poll" && policy !== "disconnect") continue;
    const result = await measure(kind, policy);
    if (values.json) console.log(JSON.stringify({ kind, policy, ...result }));
    else console.log(row(kind, policy, result));
  }
}

async function measure(kind: SlowKind, policy: string): Promise<SlowResult> {
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const [port, pushPort, controlPort] = [await freePort(), await freePort(), await freePort()];
  const config = join(directory, "slow.yaml");
  await Bun.write(
    config,
    `server: { listen: 127.0.0.1:${port}, http2_push: { listen: 127.0.0.1:${pushPort} } }
control: { listen: 127.0.0.1:${controlPort} }
limits: { buffer: ${values.buffer}KiB, publishes: { per_second: 1000000, burst: 10000000 } }
shutdown: { drain: 100ms }
log: { level: warn }
channels:
  slow: { transports: [websocket, sse, long-poll, http2-push], publish: clients, slow: ${policy} }
`,
  );
  const file = values.executable ? resolve(values.executable) : await executable();
  const server = Bun.spawn(pinned(SERVER_CORE, [file, "run", config]), {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    for (let tries = 0; ; tries++) {
      if (await fetch(`http://127.0.0.1:${port}/`).then(Boolean, () => false)) break;
      if (tries === 200) throw new Error("the server did not start");
      await Bun.sleep(20);
    }
    const spec: SlowSpec = {
      ...{ kind, pid: server.pid, port, pushPort, controlPort, channel: "slow" },
      stalled: Number(values.stalled),
      healthy: Number(values.healthy),
      // Each push is a stream of its own, and costs five times as much (bench/README.md).
      rate: Number(values.rate) / (kind === "http2-push" ? 5 : 1),
      payloadBytes: Number(values.bytes) * (kind === "http2-push" ? 4 : 1),
      keys: Number(values.keys),
      seconds: Number(values.seconds),
    };
    const load = Bun.spawn(
      pinned(SERVER_CORE + 1, [
        process.execPath,
        join(import.meta.dir, "slow-load.ts"),
        JSON.stringify(spec),
      ]),
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const output = await new Response(load.stdout).text();
    if ((await load.exited) !== 0)
      throw new Error(`the load process failed for ${kind}, ${policy}`);
    return JSON.parse(output) as SlowResult;
  } finally {
    server.kill("SIGTERM");
    await server.exited;
    await rm(directory, { recursive: true, force: true });
  }
}

function row(kind: SlowKind, policy: string, result: SlowResult): string {
  const { told, bytesBefore, bytesPeak } = result;
  const growth = bytesPeak - bytesBefore;
  const bound = bufferBytes * Number(values.stalled);
  const p99 = [result.alone, result.filling, result.stalled, result.goingOn].map(({ p99Ms }) =>
    (p99Ms ?? NaN).toFixed(1),
  );
  const ends = new Map<string, number>();
  for (const { end } of told) ends.set(end ?? "stands", (ends.get(end ?? "stands") ?? 0) + 1);
  const mean = (of: (one: SlowResult["told"][number]) => number) =>
    Math.round(told.reduce((sum, one) => sum + of(one), 0) / told.length);
  const cells = [
    kind,
    policy,
    `${(growth / 1e6).toFixed(0)} (${Math.round((growth / bound) * 100)} %)`,
    p99.join(" / "),
    `${result.lagged} lag, ${result.disconnected} disconnected`,
    [...ends].map(([end, count]) => `${count} ${end}`).join(", "),
    `${mean(({ messages }) => messages)} messages, ${mean(({ gaps }) => gaps)} gaps for ${mean(({ lost }) => lost)}`,
    told.filter(({ isBroken }) => isBroken).length + result.harmed === 0
      ? ""
      : `${told.filter(({ isBroken }) => isBroken).length} with an unannounced hole, healthy ones harmed ${result.harmed} times`,
  ];
  return `| ${cells.join(" | ")} |`;
}
