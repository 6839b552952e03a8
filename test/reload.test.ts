/** A hundred reloads of a server under load, with a client on each transport: nobody misses anything. */
import { heapStats } from "bun:jsc";
import { readdirSync, readlinkSync } from "node:fs";
import { expect, test } from "bun:test";
import { createLog } from "../src/log.ts";
import { Reader } from "../src/server/reader.ts";
import { Reloader } from "../src/server/reloader.ts";
import { startServer } from "../src/server/server.ts";
import type { Whole } from "../src/server/reader.ts";
import { Folder } from "./executable.ts";
import { WAYS } from "./transports/clients/all.ts";
import type { TestClient, Way } from "./transports/clients/client.ts";

const RELOADS = 100;
/** How long a transport keeps pages of history that nobody asks for, half of it at least; milliseconds. */
const PAGES_KEPT_MS = 1000;
/** Reloads of which those before have been through each kind once. */
const WARM = 20;
/** Typed arrays that each version of the plugin's files holds: of a type that nothing else has. */
const BALLAST = 50;

const PLUGIN = `import { definePlugin, t } from "tidewire";
import { version, ballast } from "./lib/version.ts";
export default definePlugin({
  name: "versioned",
  options: t.Object({ mark: t.Integer({ default: 0 }) }),
  setup({ options, emit }) {
    const own = ballast.map(() => new BigInt64Array(8));
    return {
      async transform(draft) {
        if (draft.data.n % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        return { ...draft, data: { ...draft.data, version: own.length && version, mark: options.mark } };
      },
    };
  },
});
`;

/** Of a channel that comes and goes. */
const EXTRA = PLUGIN.replace("./lib/version.ts", "./lib/extra-version.ts");

const version = (number: number) =>
  `export const version = ${number};
export const ballast = Array.from({ length: ${BALLAST} }, () => new BigInt64Array(8));
`;

interface State {
  readonly version: number;
  readonly mark: number;
  readonly extra: boolean;
  readonly size: number;
}

function config({ mark, extra, size }: State): string {
  return `server: { listen: 127.0.0.1:0, http2_push: { listen: 127.0.0.1:0 } }
defaults: { transports: [websocket, sse, long-poll, http2-push], publish: clients, history: { size: 500 } }
channels:
  steady: {}
  changing: { history: { size: ${size} }, plugins: [{ use: ./plugin.ts }] }
  room/{name}: { plugins: [{ use: ./plugin.ts, with: { mark: ${mark} } }] }
${extra ? "  extra: { plugins: [{ use: ./extra.ts }] }\n" : ""}`;
}

/** What is done before each reload, one after the other; true where the new state is invalid. */
const STEPS: readonly ((folder: Folder, state: State) => State | "invalid")[] = [
  (_folder, state) => ({ ...state, version: state.version + 1 }),
  (_folder, state) => ({ ...state, mark: state.mark + 1 }),
  (_folder, state) => ({ ...state, extra: true }),
  (folder, state) => {
    folder.write("tidewire.yaml", config(state).replace("steady: {}", "steady: { histroy: 1 }"));
    return "invalid";
  },
  (folder) => {
    folder.write("lib/version.ts", "export const version = ;");
    return "invalid";
  },
  (folder) => {
    folder.write("lib/version.ts", "export const ballast = [];");
    return "invalid";
  },
  (folder) => {
    folder.write("plugin.ts", PLUGIN.replace("const own", `throw new Error("no"); const own`));
    return "invalid";
  },
  (_folder, state) => ({ ...state, version: state.version + 1, extra: false }),
  (_folder, state) => ({ ...state, size: state.size === 500 ? 400 : 500 }),
  (_folder, state) => state,
];

test("a hundred reloads under load lose nothing, repeat nothing and leave nothing behind", async () => {
  let state: State = { version: 1, mark: 1, extra: false, size: 500 };
  using folder = new Folder();
  const write = () => {
    folder.write("tidewire.yaml", config(state));
    folder.write("plugin.ts", PLUGIN);
    folder.write("extra.ts", EXTRA);
    folder.write("lib/extra-version.ts", version(0));
    folder.write("lib/version.ts", version(state.version));
  };
  write();
  const { server, reloader, counts } = await start(folder);
  const channels = ["steady", "changing", "room/x"].map((name) => new Load(server.urls, name));
  // The node of HTTP/2 push is a process of its own: one of them is enough.
  for (const [index, channel] of channels.entries()) {
    for (const way of WAYS) {
      if (way.name.includes("curl") || (way.transport === "http2-push" && index !== 1)) continue;
      await channel.join(way);
    }
  }
  const held = () => channels.map(({ name }) => server.channels.peek(name)?.held ?? 0).join();
  const joined = channels.map(({ clients }) => clients.length).join();
  await until(() => held() === joined);

  let before: Measured | null = null;
  for (let i = 0; i < RELOADS; i++) {
    const next = STEPS[i % STEPS.length]!(folder, state);
    if (next !== "invalid") {
      state = next;
      write();
    }
    await Promise.all([...channels.map((channel) => channel.publish(6)), reloader.ask("test")]);
    if (next === "invalid") write();
    // A poll with raw framing takes one message each: it must not fall behind by a whole history.
    for (const channel of channels) await channel.caughtUp();
    if (i + 1 === WARM) before = await measure(channels);
  }
  expect(counts.other).toEqual([]);
  expect(counts).toMatchObject({ reloaded: RELOADS * 0.6, failed: RELOADS * 0.4 });
  for (const channel of channels) await channel.publish(1);
  const after = await measure(channels);
  for (const channel of channels) {
    expect(channel.published).toBe(RELOADS * 30 + 5);
    expect(channel.clients.every(({ last }) => last === channel.published - 1)).toBeTrue();
  }
  // What was published last went through the newest version, on each client.
  const versions = channels[1]!.clients.map(({ version: seen }) => seen);
  expect(new Set(versions)).toEqual(new Set([state.version]));
  const marks = channels[2]!.clients.map(({ mark }) => mark);
  expect(new Set(marks)).toEqual(new Set([state.mark]));
  // A poll is between two requests at times.
  await until(() => held() === joined);

  // One module, and the channels that use it.
  const users = [...server.channels.live].filter(({ name }) => /^(changing|room\/.*)$/.test(name));
  expect(after.ballast).toBe(BALLAST * (1 + users.length));
  expect(before!.ballast).toBe(after.ballast);
  expect(after.files).toBe(before!.files);
  expect(after.objects).toBeLessThan(before!.objects * 1.02);
  await Promise.all(channels.map((channel) => channel.close()));
  await server.stop();
});

/** Not in the test itself, whose variables would keep the first version of the plugin. */
async function start(folder: Folder) {
  const counts = { reloaded: 0, failed: 0, other: [] as string[] };
  const log = createLog({
    level: "warn",
    format: "json",
    write: (line) => {
      if (line.includes("reload failed")) counts.failed++;
      else counts.other.push(line);
    },
  });
  const reader = new Reader(`${folder.path}/tidewire.yaml`, {});
  const whole = (await reader.read()) as Whole;
  const server = await startServer({ ...whole, log });
  const reloader = new Reloader({
    server,
    reader,
    log,
    config: whole.config,
    report: () => {},
    onConfig: () => void counts.reloaded++,
  });
  return { server, reloader, counts };
}

/** One channel with a publisher and its clients. */
class Load {
  readonly clients: Checked[] = [];
  published = 0;

  constructor(
    readonly urls: { readonly public: string; readonly http2Push: string | null },
    readonly name: string,
  ) {}

  async join(way: Way): Promise<void> {
    const url = way.transport === "http2-push" ? this.urls.http2Push! : this.urls.public;
    this.clients.push(new Checked(way, await way.open({ url, channel: this.name })));
  }

  /** Publishes batches of five, each when the one before was acknowledged. */
  async publish(batches: number): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const lines = Array.from({ length: 5 }, (_, j) => JSON.stringify({ n: this.published + j }));
      const response = await fetch(`${this.urls.public}/channels/${this.name}`, {
        method: "POST",
        headers: { "content-type": "application/x-ndjson" },
        body: lines.join("\n"),
      });
      if (response.status !== 201) throw new Error(await response.text());
      this.published += 5;
    }
  }

  async caughtUp(): Promise<void> {
    for (const client of this.clients) await client.upTo(this.published - 1);
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}

/** A client that has to get the numbers from 0 on, each once and in order. */
class Checked {
  last = -1;
  version = 0;
  mark = 0;
  readonly #way: Way;
  readonly #client: TestClient;

  constructor(way: Way, client: TestClient) {
    this.#way = way;
    this.#client = client;
  }

  async upTo(last: number): Promise<void> {
    while (this.last < last) {
      const item = await this.#client.next();
      const data = item.type === "message" ? (JSON.parse(item.text) as Data) : null;
      if (data?.n !== this.last + 1 || (data.version ?? 0) < this.version) {
        const expected = `number ${this.last + 1} of version ${this.version} or later`;
        throw new Error(`${this.#way.name}: ${expected}, but got ${JSON.stringify(item)}`);
      }
      this.last++;
      this.version = data.version ?? 0;
      this.mark = data.mark ?? 0;
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

interface Data {
  readonly n: number;
  readonly version?: number;
  readonly mark?: number;
}

interface Measured {
  readonly objects: number;
  readonly ballast: number;
  /** Open descriptors that are no sockets: those of a `fetch` come and go. */
  readonly files: number;
}

/** Measures when every client has all, so that nothing is under way. */
async function measure(channels: readonly Load[]): Promise<Measured> {
  for (const channel of channels) await channel.caughtUp();
  // Pages of history that are kept for others who may ask are let go of within two sweeps.
  await Bun.sleep(2 * PAGES_KEPT_MS);
  for (let i = 0; i < 5; i++) {
    Bun.gc(true);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { objectCount, objectTypeCounts } = heapStats();
  return {
    objects: objectCount,
    ballast: objectTypeCounts["BigInt64Array"] ?? 0,
    files: openFiles(),
  };
}

function openFiles(): number {
  if (process.platform !== "linux") return 0;
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return !readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      // The one of the listing itself.
      return false;
    }
  }).length;
}

async function until(test: () => boolean): Promise<void> {
  while (!test()) await new Promise((resolve) => setImmediate(resolve));
}
