/**
 * Resume at scale: thousands of clients come back at once, each a hundred messages behind.
 *
 *     bun bench/resume.ts [--clients 10000] [--behind 100] [--transport sse,websocket] [--broker sqlite --restart]
 */
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { canPin, cpuSeconds, pinned, residentBytes, settledResidentBytes } from "./measure.ts";
import { parseResumeOptions, USAGE, type ResumeOptions } from "./resume-options.ts";
import { LoadProcess } from "./resume-process.ts";
import { PAYLOAD_BYTES, type Level, type ResumeTransport, type Rush } from "./resume-spec.ts";
import { formatRushes, type ResumeResult } from "./resume-table.ts";
import { freePort, SERVER_CORE } from "./servers.ts";

const LEVEL_CLIENTS = 10;
const QUIET_SECONDS = 3;
const HELLO = 1;

async function startServer(
  { isDurable, executable: given }: ResumeOptions,
  directory: string,
  port: number,
): Promise<Bun.Subprocess> {
  const config = join(directory, "resume.yaml");
  await Bun.write(
    config,
    `server: { listen: 127.0.0.1:${port} }
broker: ${isDurable ? "{ use: sqlite, path: ./resume.db, durability: normal }" : "{ use: memory }"}
limits: { publishes: { per_second: 1000000, burst: 10000000 } }
shutdown: { drain: 100ms }
log: { level: warn }
defaults: { publish: clients, history: { size: 100000 } }
channels: { rush: {}, steady: {} }
`,
  );
  const file = given ?? (await executable());
  const child = Bun.spawn(pinned(SERVER_CORE, [file, "run", config]), {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
  });
  for (const deadlineMs = performance.now() + 10_000; performance.now() < deadlineMs;) {
    if (child.exitCode !== null) break;
    const isUp = await fetch(`http://127.0.0.1:${port}/`).then(Boolean, () => false);
    if (isUp) return child;
    await Bun.sleep(20);
  }
  child.kill("SIGKILL");
  throw new Error("the server did not start");
}

/** The most memory in RAM since the last call, in bytes. */
function peakBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

async function measure(transport: ResumeTransport, options: ResumeOptions): Promise<ResumeResult> {
  const { clients: count, behind, spread, atOnce, rate, live, restart, isDurable } = options;
  // A durable publish is answered later: Bun closes a connection on which the next request comes before that.
  const connections = isDurable ? 1000 : 1;
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const port = await freePort();
  let server = await startServer(options, directory, port);
  const steady = {
    transport: transport === "websocket-v1" ? "websocket" : transport,
    port,
  } as const;
  let level = new LoadProcess();
  const clients = new LoadProcess();
  try {
    const idle = await settledResidentBytes(server.pid);
    await level.do({ do: "level", ...steady, clients: LEVEL_CLIENTS, connections, sent: [0, 0] });
    await clients.do({ do: "clients", transport, port, count, atOnce });
    await level.do({ do: "publish", count: HELLO });
    await clients.do({ do: "reach", target: HELLO });
    const connected = await settledResidentBytes(server.pid);

    await level.do({ do: "pace", rate, live: 0 });
    await Bun.sleep(1000);
    await level.do({ do: "count" });
    await Bun.sleep(QUIET_SECONDS * 1000);
    const before = await level.do<Level>({ do: "rest" });
    check(before);

    await clients.do({ do: "cut" });
    await settledResidentBytes(server.pid);
    const missed = behind + spread - 1;
    const target = await level.do<number>({ do: "publish", count: missed });
    if (restart) {
      level.stop();
      server.kill("SIGTERM");
      await server.exited;
      server = await startServer(options, directory, port);
      level = new LoadProcess();
      const sent: [number, number] = [target, before.sent[1]];
      await level.do({ do: "level", ...steady, clients: LEVEL_CLIENTS, connections, sent });
    }
    const epoch = await epochOf(port);
    await level.do({ do: "pace", rate, live });
    await Bun.sleep(1000);
    await settledResidentBytes(server.pid, 1500);

    // Counts the peak from here (proc_pid_clear_refs(5)).
    writeFileSync(`/proc/${server.pid}/clear_refs`, "5");
    await level.do({ do: "count" });
    const cpu = cpuSeconds(server.pid);
    const from = target - behind;
    const order = { epoch, target, from, spread, atOnce };
    const rush = await clients.do<Rush>({ do: "resume", ...order });
    const serverCpuSeconds = cpuSeconds(server.pid) - cpu;
    const peak = peakBytes(server.pid);
    const during = await level.do<Level>({ do: "rest" });
    check(during);
    // All that was published meanwhile came to each of them too, once and in order.
    await clients.do({ do: "reach", target: during.sent[0] });
    await Bun.sleep(3000);
    const after = residentBytes(server.pid);
    return {
      transport,
      clients: count,
      rush,
      serverCpuSeconds,
      before,
      during,
      memory: { idle, connected, peak, after },
    };
  } finally {
    clients.stop();
    level.stop();
    server.kill("SIGKILL");
    await server.exited;
    await rm(directory, { recursive: true, force: true });
  }
}

async function epochOf(port: number): Promise<string> {
  const url = `http://127.0.0.1:${port}/channels/rush/messages?after=earliest&limit=1`;
  const { messages } = (await (await fetch(url)).json()) as { messages: { id: string }[] };
  return messages[0]!.id.split("-")[0]!;
}

/** @throws {Error} When the clients that were level all the time did not get everything, once. */
function check({ lost, repeated, error }: Level): void {
  if (lost === 0 && repeated === 0 && error === null) return;
  throw new Error(`level clients: ${lost} lost, ${repeated} repeated; ${error}`);
}

async function main(args: readonly string[]): Promise<number> {
  let options: ResumeOptions;
  try {
    options = parseResumeOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const { transports, clients, behind, spread, isDurable, restart } = options;
  if (!canPin()) console.error("no taskset or only one core: server and load share cores");
  console.log(
    `${clients} clients come back at once, each ${behind} messages of ${PAYLOAD_BYTES} bytes behind` +
      `${spread > 1 ? `, or up to ${spread - 1} more` : ""}; broker: ${isDurable ? "sqlite" : "memory"}` +
      `${restart ? "; the server was restarted" : ""}\n`,
  );
  let failed = false;
  const results: ResumeResult[] = [];
  for (const transport of transports) {
    try {
      results.push(await measure(transport, options));
    } catch (error) {
      failed = true;
      console.error(`${transport}: ${(error as Error).message}`);
    }
  }
  console.log(formatRushes(results));
  return failed ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
