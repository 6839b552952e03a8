/** The load process of the bench of compression: reads its spec from its argument, prints the result. */
import { Clients } from "./compression-client.ts";
import { message } from "./compression-data.ts";
import type { CompressionLoad, CompressionResult } from "./compression-spec.ts";
import { cpuSeconds } from "./measure.ts";

const WARM_UP = 5;
const QUIET_MS = 400;

const load = JSON.parse(process.argv[2]!) as CompressionLoad;
const { subscribers, messages, messageBytes, batches, rate, pid } = load;
const url = `http://127.0.0.1:${load.port}/channels/bench`;
const clients = new Clients(load);

await clients.open(subscribers);
// A poll that is held can't be seen to be: the first batches reach whoever is there.
while (load.transport !== "long-poll" && clients.opened < subscribers) await Bun.sleep(5);
if (load.transport === "long-poll") await Bun.sleep(500);
await publishAll(WARM_UP);
await quiet();
clients.reset();
const before = cpuSeconds(pid);
await publishAll(batches);
await quiet();
const cpu = cpuSeconds(pid) - before;
const result: CompressionResult = {
  wireBytes: clients.sampleBytes / batches,
  cpuUs: (cpu * 1e6) / batches / subscribers,
  decoded: clients.decoded(),
  published: batches * messages,
  uneven: clients.uneven,
};
console.log(JSON.stringify(result));
process.exit(0);

async function publishAll(count: number): Promise<void> {
  const startMs = performance.now();
  for (let i = 0; i < count; i++) {
    const lines = Array.from({ length: messages }, () => message(messageBytes)).join("\n");
    const waitMs = startMs + (i * 1000) / rate - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    const response = await fetch(url, {
      method: "POST",
      body: lines,
      headers: { "content-type": "application/x-ndjson" },
    });
    if (!response.ok) throw new Error(await response.text());
  }
}

/** Waits until nothing has come for a while. */
async function quiet(): Promise<void> {
  const startMs = performance.now();
  while (performance.now() - Math.max(startMs, clients.lastMs) < QUIET_MS) await Bun.sleep(20);
}
