/** `npm run bench`: measures each transport of each server and prints one table. */
import { canPin } from "./measure.ts";
import { parseOptions, USAGE, type Options } from "./options.ts";
import { formatPlugins, measurePlugins, type PluginResults } from "./plugins.ts";
import { runLoad } from "./run-load.ts";
import { SERVERS, type BenchServer } from "./servers.ts";
import type { FanOutResult, IdleResult, LoadSpec, Transport } from "./spec.ts";
import { measurePublishing } from "./sqlite.ts";
import { formatPublishing, type PublishRow } from "./sqlite-table.ts";
import { startUpMs } from "./start-up.ts";
import { formatTable, type Row } from "./table.ts";

const PAYLOAD_BYTES = 128;
const START_UPS = 10;

/** Messages that subscribers may be behind, saturated: long-poll has to stay within 100 of history. */
const WINDOW: Readonly<Record<Transport, number>> = {
  websocket: 512,
  sse: 512,
  "long-poll": 32,
  "http2-push": 32,
};

function progress(text: string): void {
  console.error(text);
}

async function measure(server: BenchServer, transport: Transport, options: Options): Promise<Row> {
  // A push is a stream of its own, and a connection a session: both weigh ten times what others do.
  const isPush = transport === "http2-push";
  const rate = isPush ? Math.max(1, options.rate / 5) : options.rate;
  const { subscribers, seconds, publishers, pipeline } = options;
  const run = async <Result>(mode: LoadSpec["mode"], count: number): Promise<Result | Error> => {
    const running = await server.start().catch((error: Error) => error);
    if (running instanceof Error) return running;
    const { pid, publish } = running;
    try {
      return await runLoad<Result>({
        ...{ mode, transport, pid, publish, rate, seconds, publishers, pipeline },
        subscribe: running.subscribe(transport),
        subscribers: count,
        payloadBytes: PAYLOAD_BYTES,
        warmUpSeconds: 1,
        quietMs: 1500,
        window: WINDOW[transport],
      });
    } finally {
      await running.stop();
    }
  };
  progress(`${server.name}, ${transport}: ${subscribers} subscribers`);
  const fanOut = await run<FanOutResult>("fan-out", subscribers);
  const connections = isPush ? Math.ceil(options.connections / 10) : options.connections;
  progress(`${server.name}, ${transport}: ${connections} idle connections`);
  const idle = await run<IdleResult>("idle", connections);
  return { transport, server: server.name, rate, subscribers, fanOut, idle };
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (process.platform !== "linux") {
    console.error("bench: CPU and memory are read from /proc, which only Linux has");
    return 1;
  }
  if (!canPin()) progress("no taskset or only one core: server and load share cores");
  const servers: BenchServer[] = [];
  for (const server of options.servers.map((name): BenchServer => SERVERS[name])) {
    const missing = server.missing();
    if (missing === null) servers.push(server);
    else progress(`skipped: ${missing}`);
  }
  const rows: Row[] = [];
  for (const transport of options.transports) {
    for (const server of servers) {
      if (!server.transports.includes(transport)) continue;
      rows.push(await measure(server, transport, options));
    }
  }
  const isOwn = options.servers.includes("tidewire");
  const startUp = isOwn && options.transports.length > 0 ? await startUpMs(START_UPS) : null;
  const plugins = isOwn && options.plugins ? await measurePlugins(options.seconds, progress) : null;
  // Short ones, and the middle of three: what else is on the machine comes and goes.
  const publishing =
    isOwn && options.sqlite ? await measurePublishing(options.seconds / 5, progress) : null;
  print({ rows, startUpMs: startUp, plugins, publishing }, options.json);
  return rows.some((row) => row.fanOut instanceof Error || row.idle instanceof Error) ? 1 : 0;
}

/** All that was measured. */
interface Results {
  readonly rows: readonly Row[];
  readonly startUpMs: readonly number[] | null;
  readonly plugins: PluginResults | null;
  readonly publishing: readonly PublishRow[] | null;
}

function print(results: Results, asJson: boolean): void {
  if (asJson) {
    const plain = (_key: string, value: unknown) =>
      value instanceof Error ? { error: value.message } : value;
    console.log(JSON.stringify(results, plain, 2));
    return;
  }
  const { rows, startUpMs: startUp, plugins, publishing } = results;
  const tables: string[] = [];
  if (rows.length > 0) tables.push(formatTable(rows));
  if (publishing) tables.push(formatPublishing(publishing));
  if (plugins) tables.push(formatPlugins(plugins));
  if (tables.length > 0) console.log(tables.join("\n\n"));
  if (!startUp) return;
  const [median, slowest] = [startUp[Math.floor(startUp.length / 2)]!, startUp.at(-1)!];
  console.log(
    `\nstart to first request, executable: median ${median.toFixed(0)} ms, ` +
      `slowest ${slowest.toFixed(0)} ms, of ${startUp.length}`,
  );
}

process.exitCode = await main(process.argv.slice(2));
