/** The config and the plugins of the server that is soaked, in each of the states that it is reloaded into. */
import { ROOM_TTL_MS } from "./rooms.ts";
import type { ChannelRules } from "./ledger.ts";

export interface FileOptions {
  readonly broker: "memory" | "sqlite";
  /** Milliseconds between two looks at the memory that is in use. */
  readonly gaugeMs: number;
  /** Bytes a second that a plugin leaks on purpose. */
  readonly leak: number;
}

/** What a reload changes. */
export interface State {
  /** Version of the transform, in a file that its plugin imports. */
  readonly version: number;
  readonly sourceMs: number;
  readonly retryMs: number;
  readonly hasExtra: boolean;
}

export interface LoadedChannel extends ChannelRules {
  readonly everyMs: number;
  readonly padBytes: number;
}

/** The channels that are there all the time. */
export const CHANNELS: readonly LoadedChannel[] = [
  { name: "plain", history: 500, everyMs: 150, padBytes: 0 },
  // So short that those who are away come back too late.
  { name: "short", history: 40, everyMs: 200, padBytes: 0 },
  // So large that those who do not read are too slow.
  { name: "bulk", history: 100, everyMs: 250, padBytes: 60_000 },
  { name: "marked", history: 500, everyMs: 150, padBytes: 0 },
  { name: "sourced", history: 500, everyMs: 250, padBytes: 0, hasSource: true },
];

const MORE: Readonly<Record<string, (state: State) => string>> = {
  marked: () => ", plugins: [{ use: ./plugins/mark.ts }]",
  sourced: ({ sourceMs }) =>
    `, plugins: [{ use: ./plugins/count.ts, with: { every_ms: ${sourceMs} } }]`,
};

export function configOf({ broker, gaugeMs, leak }: FileOptions, state: State): string {
  const { retryMs, hasExtra } = state;
  const channels = CHANNELS.map(
    ({ name, history }) =>
      `  ${name}: { history: { size: ${history}, ttl: 1d, bytes: 1GiB }${MORE[name]?.(state) ?? ""} }\n`,
  );
  return `server: { listen: "127.0.0.1:0", http2_push: { listen: "127.0.0.1:0" } }
control: { listen: "127.0.0.1:0" }
broker: { use: ${broker} }
limits: { publishes: { per_second: 100000, burst: 1000000 } }
# Receipts are kept for so long: they have to stop becoming more before the second half of a run.
idempotency: { window: 30s }
sse: { retry: ${retryMs}ms, heartbeat: 2s }
log: { level: info, format: json }
defaults: { transports: [websocket, sse, long-poll, http2-push], publish: clients }
channels:
${channels.join("")}  room/{id}: { history: { size: 1000, ttl: ${ROOM_TTL_MS}ms } }
${hasExtra ? "  extra: {}\n" : ""}  gauge:
    publish: nobody
    history: { size: 10 }
    plugins: [{ use: ./plugins/gauge.ts, with: { every_ms: ${gaugeMs}, leak: ${leak} } }]
`;
}

export function versionOf({ version }: State): string {
  return `export const version = ${version};\n`;
}

/** All but the config and the version. */
export const PLUGINS: Readonly<Record<string, string>> = {
  "plugins/mark.ts": `import { definePlugin } from "tidewire";
import { version } from "./lib/version.ts";
export default definePlugin({
  name: "mark",
  setup: () => ({
    // Now and then it takes its time, so that what comes after it waits.
    async transform(draft) {
      if (Math.random() < 0.1) await Bun.sleep(Math.random() * 20);
      return { ...draft, data: { ...draft.data, version } };
    },
  }),
});
`,
  "plugins/count.ts": `import { definePlugin, t } from "tidewire";
export default definePlugin({
  name: "count",
  options: t.Object({ every_ms: t.Integer({ minimum: 1 }) }),
  setup({ options, signal }) {
    const life = crypto.randomUUID().slice(0, 8);
    return {
      async *source() {
        for (let n = 1; !signal.aborted; n++) {
          yield { data: { p: "source", life, n, t: performance.timeOrigin + performance.now() } };
          await Bun.sleep(options.every_ms);
        }
      },
    };
  },
});
`,
  // A plugin runs in the server's own thread, so it can do what nobody outside can: collect, then look.
  "plugins/gauge.ts": `import { heapStats } from "bun:jsc";
import { definePlugin, t } from "tidewire";
// Where no reload takes it away.
const leaked = (globalThis.leaked ??= []);
export default definePlugin({
  name: "gauge",
  options: t.Object({ every_ms: t.Integer({ minimum: 1 }), leak: t.Number({ minimum: 0 }) }),
  setup({ options, signal }) {
    return {
      async *source() {
        while (!signal.aborted) {
          await Bun.sleep(options.every_ms);
          if (options.leak > 0) leaked.push(new Uint8Array((options.leak * options.every_ms) / 1000).fill(1));
          const startedMs = performance.now();
          Bun.gc(true);
          const { heapSize, objectTypeCounts } = heapStats();
          const kinds = Object.entries(objectTypeCounts).filter(([, count]) => count > 20);
          const tookMs = performance.now() - startedMs;
          yield { data: { heap: heapSize, tookMs, kinds: Object.fromEntries(kinds) } };
        }
      },
    };
  },
});
`,
};
