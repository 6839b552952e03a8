/** The load process: one server, one transport; reads a LoadSpec from its argument, prints the result. */
import { cpuSeconds, settledResidentBytes } from "./measure.ts";
import { Publisher } from "./publisher.ts";
import type { FanOutResult, IdleResult, LoadSpec, Phase } from "./spec.ts";
import { Subscribers } from "./subscribers.ts";

const spec = JSON.parse(process.argv[2] ?? "null") as LoadSpec | null;
if (!spec) throw new Error("load: the first argument is a LoadSpec as JSON; run bench/main.ts");

const subscribers = new Subscribers(spec.transport, spec.subscribe);
const publisher = new Publisher(spec.publish, spec.payloadBytes, (sequence) =>
  subscribers.sent(sequence),
);
const result = spec.mode === "idle" ? await idle(spec) : await fanOut(spec);
console.log(JSON.stringify(result));
process.exit(0);

async function idle({ pid, subscribers: count, publish, quietMs }: LoadSpec): Promise<IdleResult> {
  const bytesBefore = await settledResidentBytes(pid);
  await subscribers.open(count);
  const bytesAfter = await settledResidentBytes(pid);
  const connections = subscribers.alive;
  await publisher.open(publish.port, 1);
  publisher.publish();
  await drained(count, quietMs);
  return { connections, bytesBefore, bytesAfter, reached: subscribers.reached };
}

async function fanOut(spec: LoadSpec): Promise<FanOutResult> {
  await subscribers.open(spec.subscribers);
  await publisher.open(spec.publish.port, 1);
  await reachAll(spec.subscribers);
  await phase(spec, () => paced(spec.rate, spec.warmUpSeconds));
  const first = await phase(spec, () => paced(spec.rate, spec.seconds));
  await publisher.open(spec.publish.port, spec.publishers);
  const second = await phase(spec, () => saturate(spec));
  return { paced: first, saturated: second };
}

/** Publishes until every subscriber has got something: a held request can't be seen to be held. */
async function reachAll(count: number): Promise<void> {
  for (let tries = 0; subscribers.reached < count; tries++) {
    const reason = subscribers.refusal ?? publisher.firstError;
    if (reason !== null || tries === 50) {
      const { reached, alive } = subscribers;
      throw new Error(
        `${reached} of ${count} subscribers were reached, ${alive} are connected: ${reason}`,
      );
    }
    publisher.publish();
    await Bun.sleep(200);
  }
}

async function phase(spec: LoadSpec, publishAll: () => Promise<void>): Promise<Phase> {
  const { pid } = spec;
  subscribers.resetCounts();
  const sentBefore = publisher.sent;
  const errorsBefore = publisher.errors;
  const expected = () => (publisher.sent - sentBefore) * spec.subscribers;
  const serverCpu = cpuSeconds(pid);
  const loadCpu = process.cpuUsage();
  const startMs = performance.now();
  await publishAll();
  await drained(expected(), spec.quietMs);
  const used = process.cpuUsage(loadCpu);
  return {
    published: publisher.sent - sentBefore,
    publishErrors: publisher.errors - errorsBefore,
    deliveries: subscribers.deliveries,
    lost: expected() - subscribers.deliveries,
    repeated: subscribers.repeated,
    closed: subscribers.closed,
    seconds: (subscribers.lastDeliveryMs - startMs) / 1000,
    serverCpuSeconds: cpuSeconds(pid) - serverCpu,
    loadCpuSeconds: (used.user + used.system) / 1e6,
    p50Ms: subscribers.latency.quantile(0.5),
    p99Ms: subscribers.latency.quantile(0.99),
  };
}

async function paced(rate: number, seconds: number): Promise<void> {
  const startMs = performance.now();
  for (let i = 0; i < rate * seconds; i++) {
    const waitMs = startMs + (i * 1000) / rate - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    publisher.publish();
  }
}

async function saturate({
  pipeline,
  window,
  subscribers: count,
  seconds,
}: LoadSpec): Promise<void> {
  const endMs = performance.now() + seconds * 1000;
  const sentBefore = publisher.sent;
  const { promise, resolve } = Promise.withResolvers<void>();
  const allowed = () =>
    (publisher.sent - sentBefore) * count - subscribers.deliveries < window * count;
  const fill = () => {
    if (performance.now() < endMs) publisher.fill(pipeline, allowed);
    else resolve();
  };
  subscribers.onProgress = () => {
    if (allowed()) fill();
  };
  publisher.onAnswer = fill;
  const timer = setInterval(fill, 100);
  fill();
  await promise;
  clearInterval(timer);
  subscribers.onProgress = publisher.onAnswer = () => {};
}

/** Waits until so many deliveries came, or until nothing has come for a while. */
async function drained(deliveries: number, quietMs: number): Promise<void> {
  let seen = -1;
  let quietSinceMs = performance.now();
  while (subscribers.deliveries < deliveries) {
    if (subscribers.deliveries !== seen) {
      seen = subscribers.deliveries;
      quietSinceMs = performance.now();
    } else if (performance.now() - quietSinceMs > quietMs) return;
    await Bun.sleep(5);
  }
}
