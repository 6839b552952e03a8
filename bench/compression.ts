/**
 * Compression: what it saves of the bytes that each subscriber is sent, and what it costs the server.
 *
 *     bun bench/compression.ts [--transports sse,websocket] [--codings none,zstd] [--subscribers 1000] [--seconds 3]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  CODINGS,
  type CompressedTransport,
  type CompressionLoad,
  type CompressionResult,
  type WireCoding,
} from "./compression-spec.ts";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import { freePort, SERVER_CORE } from "./servers.ts";

const MESSAGES = [1, 10, 100];
const MESSAGE_BYTES = [128, 1024];
/** Bytes a second to all subscribers: a core can copy more. */
const MAX_BYTES_PER_SECOND = 150e6;
const MAX_RATE = 20;
const MIN_BATCHES = 10;

const { values } = parseArgs({
  options: {
    transports: { type: "string", default: "sse,long-poll,websocket" },
    subscribers: { type: "string", default: "1000" },
    codings: { type: "string", default: "none,gzip,zstd,deflate" },
    seconds: { type: "string", default: "3" },
    executable: { type: "string" },
  },
});
const subscribers = Number(values.subscribers);

console.log("| transport | batch | coding | bytes a subscriber | of plain | CPU µs | went wrong |");
console.log("|---|---|---|---|---|---|---|");
for (const transport of values.transports.split(",") as CompressedTransport[]) {
  for (const messageBytes of MESSAGE_BYTES) {
    for (const messages of MESSAGES) await measureAll(transport, messages, messageBytes);
  }
}

async function measureAll(
  transport: CompressedTransport,
  messages: number,
  messageBytes: number,
): Promise<void> {
  let plainBytes = 0;
  const asked = values.codings.split(",");
  for (const coding of CODINGS[transport].filter((one) => asked.includes(one))) {
    console.error(`${transport}, ${messages} × ${messageBytes} B, ${coding}`);
    const result = await measure(transport, coding, messages, messageBytes);
    if (coding === "none") plainBytes = result.wireBytes;
    const share = plainBytes === 0 ? "–" : `${Math.round((result.wireBytes / plainBytes) * 100)} %`;
    const cells = [
      ...[transport, `${messages} × ${messageBytes} B`, coding],
      ...[Math.round(result.wireBytes).toLocaleString("en"), share, result.cpuUs.toFixed(1)],
      wrong(transport, result),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

function wrong(
  transport: CompressedTransport,
  { decoded, published, uneven }: CompressionResult,
): string {
  const notes: string[] = [];
  if (decoded !== published) notes.push(`the sample got ${decoded} of ${published}`);
  // Polls that are late get several batches as one page.
  if (uneven > 0 && transport !== "long-poll") notes.push(`${uneven} got other bytes`);
  return notes.join("; ") || "nothing";
}

async function measure(
  transport: CompressedTransport,
  coding: WireCoding,
  messages: number,
  messageBytes: number,
): Promise<CompressionResult> {
  const directory = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
  const port = await freePort();
  const config = join(directory, "compression.yaml");
  // Frames are of one message each: for permessage-deflate the smaller ones count too.
  const compression = coding === "deflate" ? ", compression: { websocket: true, min: 100B }" : "";
  await Bun.write(
    config,
    `server: { listen: "127.0.0.1:${port}"${compression} }
limits: { connections: 20000, publishes: { per_second: 1000000, burst: 10000000 } }
shutdown: { drain: 100ms }
log: { format: json }
channels: { bench: { publish: clients, history: { size: 10000 } } }
`,
  );
  const file = values.executable ? resolve(values.executable) : await executable();
  const server = Bun.spawn(pinned(SERVER_CORE, [file, "run", config]), { stderr: "pipe" });
  try {
    await server.stderr.getReader().read();
    const bytes = messages * messageBytes * subscribers;
    const rate = Math.max(1, Math.min(MAX_RATE, MAX_BYTES_PER_SECOND / bytes));
    const batches = Math.max(MIN_BATCHES, Math.round(rate * Number(values.seconds)));
    const load: CompressionLoad = {
      ...{ transport, coding, port, pid: server.pid, subscribers, messages, messageBytes },
      ...{ batches, rate },
    };
    const script = join(import.meta.dir, "compression-load.ts");
    const command = pinned(1 - SERVER_CORE, [process.execPath, script, JSON.stringify(load)]);
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    return JSON.parse(await new Response(child.stdout).text()) as CompressionResult;
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    await rm(directory, { recursive: true, force: true });
  }
}
