/** The load process of the bench of slow subscribers: one kind of client, one policy. */
import { join } from "node:path";
import { formatMarker } from "./marker.ts";
import { residentBytes, settledResidentBytes } from "./measure.ts";
import { TRANSPORT_OF, type SlowResult, type SlowSpec, type Stretch } from "./slow-spec.ts";
import type { Told } from "./slow-told.ts";
import { Subscribers } from "./subscribers.ts";

/** Filling up may take so long. */
const FILL_LIMIT_S = 60;
const spec = JSON.parse(process.argv[2] ?? "null") as SlowSpec | null;
if (!spec)
  throw new Error("slow-load: the first argument is a SlowSpec as JSON; run bench/slow.ts");
console.log(JSON.stringify(await run(spec)));
process.exit(0);

async function run(spec: SlowSpec): Promise<SlowResult> {
  const { kind, pid, channel } = spec;
  const isPush = kind === "http2-push";
  const path = `/channels/${channel}${isPush ? "?transport=http2-push" : ""}`;
  const port = isPush ? spec.pushPort : spec.port;
  const healthy = new Subscribers(TRANSPORT_OF[kind], { port, path });
  await healthy.open(spec.healthy);
  const publish = await publisher(spec, (sequence) => healthy.sent(sequence));
  const stretch = async (isOver: () => boolean): Promise<Stretch> => {
    healthy.latency.reset();
    const before = publish.sent;
    await paced(spec.rate, isOver, publish.next);
    return {
      published: publish.sent - before,
      p50Ms: healthy.latency.quantile(0.5),
      p99Ms: healthy.latency.quantile(0.99),
    };
  };
  const after = (seconds: number) => {
    const end = performance.now() + seconds * 1000;
    return () => performance.now() >= end;
  };
  // Both sides compile what they run.
  await stretch(after(2));
  const alone = await stretch(after(spec.seconds));
  const clients = await startClients({ ...spec, port, path });
  const bytesBefore = await settledResidentBytes(pid);
  let bytesPeak = bytesBefore;
  const watch = setInterval(() => (bytesPeak = Math.max(bytesPeak, residentBytes(pid))), 50);
  let now = await report(spec);
  const held = spec.stalled + spec.healthy;
  const reporting = setInterval(async () => (now = await report(spec)), 200);
  const limit = after(FILL_LIMIT_S);
  const isFull = () => now.lagging + (held - now.connections) >= spec.stalled || limit();
  const filling = await stretch(kind === "long-poll" ? after(spec.seconds) : isFull);
  const stalled = await stretch(after(spec.seconds));
  const { lagging: lagged, connections } = await report(spec);
  clients.read();
  const goingOn = await stretch(after(spec.seconds));
  const told = await clients.told();
  clearInterval(watch);
  clearInterval(reporting);
  const bytesAfter = await settledResidentBytes(pid);
  const { dropped } = await report(spec);
  const lost = publish.sent * spec.healthy - healthy.deliveries;
  return {
    ...{
      alone,
      filling,
      stalled,
      goingOn,
      bytesBefore,
      bytesPeak,
      bytesAfter,
      lagged,
      dropped,
      told,
    },
    disconnected: held - connections,
    harmed: lost + healthy.repeated + healthy.closed,
  };
}

interface Report {
  readonly connections: number;
  readonly lagging: number;
  readonly dropped: number;
}

async function report({ controlPort, channel, kind, stalled, healthy }: SlowSpec): Promise<Report> {
  const response = await fetch(`http://127.0.0.1:${controlPort}/channels/${channel}`);
  const { connections, slow } = (await response.json()) as {
    connections: Record<string, number>;
    slow: { lagging: number; dropped: number };
  };
  // A poll is answered, whether or not its client reads the answer.
  if (kind === "long-poll") return { connections: stalled + healthy, ...slow };
  return { connections: Object.values(connections).reduce((sum, each) => sum + each, 0), ...slow };
}

interface Clients {
  read(): void;
  told(): Promise<readonly Told[]>;
}

/** The stalled clients, in a process that has what CPU the healthy ones leave. */
async function startClients(spec: SlowSpec & { path: string }): Promise<Clients> {
  const opened = Promise.withResolvers<void>();
  const told = Promise.withResolvers<readonly Told[]>();
  const file = join(import.meta.dir, "slow-clients.ts");
  const child = Bun.spawn(["nice", "-n", "19", process.execPath, file, JSON.stringify(spec)], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (said: "open" | readonly Told[]) => {
      if (said === "open") opened.resolve();
      else told.resolve(said);
    },
    onExit: () => {
      const error = new Error("the process of the stalled clients ended");
      opened.reject(error);
      told.reject(error);
    },
  });
  await opened.promise;
  return {
    read: () => child.send("read"),
    told: () => {
      child.send("told");
      return told.promise;
    },
  };
}

interface Publish {
  sent: number;
  next(): void;
}

async function publisher(spec: SlowSpec, onSend: (sequence: number) => void): Promise<Publish> {
  const { port, channel, keys, payloadBytes } = spec;
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  const pad = "x".repeat(payloadBytes - 28);
  const publish: Publish = {
    sent: 0,
    next() {
      const sequence = publish.sent++;
      const body = `{"t":"${formatMarker(sequence)}","pad":"${pad}"}`;
      onSend(sequence);
      socket.write(
        `POST /channels/${channel}?key=k${(sequence * sequence) % keys} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    },
  };
  return publish;
}

/** Calls `publish` at this rate until it is over. */
async function paced(rate: number, isOver: () => boolean, publish: () => void): Promise<void> {
  const start = performance.now();
  for (let sent = 0; !isOver();) {
    const due = Math.floor(((performance.now() - start) / 1000) * rate);
    for (; sent < due; sent++) publish();
    await Bun.sleep(1);
  }
  // What is on its way belongs to it.
  await Bun.sleep(200);
}
