/** What a transform costs a message: in a process of its own, for one number of subscribers. Prints JSON. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryBroker } from "../src/broker/memory.ts";
import { MemoryValues } from "../src/broker/memory-values.ts";
import { Channel } from "../src/channel/channel.ts";
import type { FanOutGroup } from "../src/channel/fan-out.ts";
import type { Draft, Message } from "../src/channel/message.ts";
import type { IncomingDraft } from "../src/channel/pipeline.ts";
import { createLog } from "../src/log.ts";
import { isolate } from "../src/plugin/isolate/isolated-plugin.ts";
import { loadPlugin } from "../src/plugin/load.ts";
import { startPlugins } from "../src/plugin/runtime.ts";
import type { CostResult, Cost, CostSpec, Kind, Load } from "./plugin-spec.ts";

const spec = JSON.parse(process.argv[2] ?? "null") as CostSpec | null;
if (!spec)
  throw new Error("plugin-cost: the first argument is a CostSpec as JSON; run bench/main.ts");

/** The transform whose call is the bare one: it reads the data and gives other data. */
const SYNC = `(draft) => ({ ...draft, data: { ...draft.data, price: Math.round(draft.data.price) } })`;
const SOURCE = (transform: string) => `import { definePlugin } from "tidewire";
export default definePlugin({ name: "bench", setup: () => ({ transform: ${transform} }) });`;
const TRANSFORMS: Readonly<Record<Exclude<Kind, "none">, string>> = {
  synchronous: SYNC,
  asynchronous: SYNC.replace("(draft)", "async (draft)"),
  isolated: SYNC,
};

const LIMITS = { timeoutMs: 1000, memory: 256 * 1024 ** 2 };
/** Messages to warm up with, and then to learn how long one takes. */
const FIRST = 10_000;

const raw = JSON.stringify({ symbol: "ACME", price: 101.25, volume: 1200, note: "x".repeat(64) });
const incoming = (): IncomingDraft => ({ data: JSON.parse(raw) as unknown, event: undefined, raw });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Subscribers that cost what counting costs: the same for every kind of plugin. */
class Counters implements FanOutGroup {
  readonly #counts: Float64Array;
  constructor(size: number) {
    this.#counts = new Float64Array(size);
  }
  get size(): number {
    return this.#counts.length;
  }
  deliver(batch: readonly Message[]): void {
    for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! += batch.length;
  }
}

async function open(kind: Kind, folder: string) {
  const broker = new MemoryBroker();
  let channel: Channel | null = null;
  const uses = [];
  if (kind !== "none") {
    const file = join(folder, `${kind}.ts`);
    await Bun.write(file, SOURCE(TRANSFORMS[kind]));
    const loaded = await loadPlugin(file, folder);
    uses.push({
      plugin: kind === "isolated" ? isolate(loaded, LIMITS) : loaded.plugin,
      options: {},
    });
  }
  const runtime = await startPlugins({
    uses,
    channel: { name: "bench", params: {} },
    directory: folder,
    log: createLog({ level: "warn", format: "text", write: (line) => process.stderr.write(line) }),
    publish: (drafts) => channel!.publish(drafts),
    inject: (produce, from) => channel!.inject(produce, from),
    elsewhere: async () => [],
    values: new MemoryValues(),
  });
  channel = new Channel({
    name: "bench",
    maxBytes: 1024 ** 2,
    maxWaiting: 1024,
    maxBatchBytes: 64 * 1024 ** 2,
    transforms: runtime.transforms,
    onTransformError: (error) => {
      throw error;
    },
    onFanOutError: (error) => {
      throw error;
    },
    openLog: (onCommit) => broker.open("bench", { size: 100, ttlMs: 60_000 }, onCommit),
  });
  channel.fanOut.group("bench", () => new Counters(spec!.subscribers));
  const close = async () => {
    await runtime.close(() => channel!.close());
    await broker.close();
  };
  return { channel, close };
}

/** Publishes `count` messages in the way of the load. */
const LOADS: Readonly<Record<Load, (channel: Channel, count: number) => Promise<void>>> = {
  async "one after the other"(channel, count) {
    for (let i = 0; i < count; i++) {
      const published = channel.publish([incoming()]);
      if (published instanceof Promise) await published;
      // Each is a request of its own: the loop turns between two, whatever the plugin.
      await turn();
    }
  },
  async "64 at a time"(channel, count) {
    for (let i = 0; i < count; i += 64) {
      const all = [];
      for (let j = 0; j < 64; j++) {
        const published = channel.publish([incoming()]);
        if (published instanceof Promise) all.push(published);
      }
      if (all.length > 0) await Promise.all(all);
      await turn();
    }
  },
  async "batches of 1000"(channel, count) {
    for (let i = 0; i < count; i += 1000) {
      await channel.publish(Array.from({ length: 1000 }, incoming));
      await turn();
    }
  },
};

async function measure(work: (count: number) => Promise<void>, seconds: number): Promise<Cost> {
  await work(FIRST);
  const startedMs = performance.now();
  await work(FIRST);
  const count = Math.max(
    FIRST,
    Math.ceil((seconds * 1000 * FIRST) / (performance.now() - startedMs) / 1000) * 1000,
  );
  const beforeMs = performance.now();
  const before = process.cpuUsage();
  await work(count);
  const cpu = process.cpuUsage(before);
  return {
    wallUs: ((performance.now() - beforeMs) * 1000) / count,
    cpuUs: (cpu.user + cpu.system) / count,
  };
}

/** The transform called as a function, with nothing around it. */
async function bareCall(): Promise<Cost> {
  const transform = (0, eval)(SYNC) as (draft: Draft) => Draft;
  const draft = incoming();
  let sum = 0;
  const cost = await measure(async (count) => {
    for (let i = 0; i < count; i++) sum += (transform(draft).data as { price: number }).price;
  }, spec!.seconds);
  if (sum === 0) throw new Error("the transform was not run");
  return cost;
}

const folder = await mkdtemp(join(tmpdir(), "tidewire-bench-"));
try {
  const costs: CostResult["costs"] = {};
  const kinds: readonly Kind[] = ["none", "synchronous", "asynchronous", "isolated"];
  for (const load of Object.keys(LOADS) as Load[]) {
    for (const kind of kinds) {
      const { channel, close } = await open(kind, folder);
      const cost = await measure((count) => LOADS[load](channel, count), spec.seconds);
      (costs[load] ??= {})[kind] = cost;
      await close();
    }
  }
  const result: CostResult = { subscribers: spec.subscribers, bare: await bareCall(), costs };
  console.log(JSON.stringify(result));
} finally {
  await rm(folder, { recursive: true });
}
process.exit(0);
