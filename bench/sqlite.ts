/**
 * Publishing: messages that are acknowledged in a second, with the sqlite broker beside what `bun:sqlite`
 * inserts in one, with as many rows in a transaction as the publishers have under way, and with memory.
 *
 *     npm run bench -- --only sqlite
 *     bun bench/sqlite.ts [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import { freePort, SERVER_CORE } from "./servers.ts";
import type { PublishLoad, PublishLoadResult } from "./sqlite-load.ts";
import type { RawInserts, RawResult } from "./sqlite-raw.ts";
import { formatPublishing, type Broker, type PublishRow, type Publishers } from "./sqlite-table.ts";

const BROKERS: readonly Broker[] = ["sqlite, full", "sqlite, normal", "memory"];
const LOADS: readonly Publishers[] = [
  { kind: "posts", publishers: 64, batch: 1 },
  { kind: "posts", publishers: 64, batch: 100 },
  { kind: "frames", publishers: 64, batch: 32 },
];
const PAYLOAD_BYTES = 128;
/** Odd, so that one run is in the middle. */
const ROUNDS = 3;

/** @param seconds Of each measurement. */
export async function measurePublishing(
  seconds: number,
  progress: (text: string) => void,
): Promise<PublishRow[]> {
  const rows: PublishRow[] = [];
  for (const broker of BROKERS) {
    for (const load of LOADS) {
      const raw: RawResult[] = [];
      const served: (PublishLoadResult | Error)[] = [];
      // In turns: a disk is faster at one time than at another.
      for (let round = 1; round <= ROUNDS; round++) {
        progress(`publishing, ${broker}, ${load.batch} ${load.kind}, ${round} of ${ROUNDS}`);
        if (broker !== "memory") raw.push(await rawRate(broker, load, seconds));
        served.push(await serve(broker, load, seconds).catch((error: Error) => error));
      }
      rows.push({ broker, load, raw, served });
    }
  }
  return rows;
}

async function rawRate(broker: Broker, load: Publishers, seconds: number): Promise<RawResult> {
  const rows = load.publishers * load.batch;
  const spec: RawInserts = {
    durability: broker === "sqlite, full" ? "full" : "normal",
    ...{ rows, payloadBytes: PAYLOAD_BYTES, seconds },
  };
  return run<RawResult>(SERVER_CORE, "sqlite-raw.ts", spec);
}

/** Runs a program of this folder on one core. */
async function run<Result>(core: number, file: string, spec: object): Promise<Result> {
  const argv = [process.execPath, join(import.meta.dir, file), JSON.stringify(spec)];
  const child = Bun.spawn(pinned(core, argv), { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${file} ended with code ${child.exitCode}`);
  return JSON.parse(text) as Result;
}

async function serve(
  broker: Broker,
  load: Publishers,
  seconds: number,
): Promise<PublishLoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-bench-"));
  const port = await freePort();
  const config = join(folder, "tidewire.yaml");
  await Bun.write(config, configOf(broker, port));
  const server = Bun.spawn(pinned(SERVER_CORE, [await executable(), "run", config]), {
    stderr: "pipe",
  });
  try {
    await server.stderr.getReader().read();
    const spec: PublishLoad = {
      ...{ ...load, port, channel: "bench", pid: server.pid, seconds },
      payloadBytes: PAYLOAD_BYTES,
      warmUpSeconds: 1,
    };
    return await run<PublishLoadResult>(1 - SERVER_CORE, "sqlite-load.ts", spec);
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

function configOf(broker: Broker, port: number): string {
  const [use, durability] = broker.split(", ");
  // In the file all that comes is kept, as the raw rows are.
  const history = durability ? "{ size: 10000000, ttl: 1d, bytes: 64GiB }" : "{ size: 100 }";
  return `server: { listen: "127.0.0.1:${port}" }
broker: { use: ${use}${durability ? `, durability: ${durability}` : ""} }
limits: { publishes: { per_second: 1000000, burst: 10000000 } }
defaults: { publish: clients, history: ${history} }
log: { format: json }
channels: { bench: {} }
`;
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 1);
  console.log(formatPublishing(await measurePublishing(seconds, console.error)));
}
