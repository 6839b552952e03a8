/** Plugins from files at work in a real channel: in this thread, or each in a worker of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryBroker } from "../../broker/memory.ts";
import { MemoryValues } from "../../broker/memory-values.ts";
import { Channel } from "../../channel/channel.ts";
import type { Message } from "../../channel/message.ts";
import type { OnError } from "../../channel/pipeline.ts";
import { systemClock, type Clock } from "../clock.ts";
import { createFakeLog, type LogLine } from "../fake-log.ts";
import { loadPlugin } from "../load.ts";
import type { Crossing } from "../other-channel.ts";
import { restartDelayMs } from "../source-runner.ts";
import { startPlugins, type PluginRuntime } from "../runtime.ts";
import { isolate } from "./isolated-plugin.ts";
import type { IsolateLimits } from "./lives.ts";

export interface StagedUse {
  /** The body of `setup`, with `options`, `channel`, `log`, `signal`, `store` and `emit` at hand. */
  readonly setup: string;
  readonly options?: unknown;
  readonly onError?: OnError;
}

export interface StageOptions {
  readonly isIsolated: boolean;
  readonly limits?: Partial<IsolateLimits>;
  readonly maxBytes?: number;
  /** Workers that ended are started again at once. */
  readonly isPrompt?: boolean;
}

const RESTARTS = new Set(Array.from({ length: 300 }, (_, i) => restartDelayMs(i + 1, () => 0.5)));

/** Delays of restarts, which are at least 100 ms, are none. */
const promptClock: Clock = {
  now: () => systemClock.now(),
  delay: (ms, signal) => systemClock.delay(RESTARTS.has(ms) ? 0 : ms, signal),
};

export const MEBIBYTE = 1024 ** 2;
/** What is not about silence must not end by it: a worker may have to wait for a core. */
const LIMITS: IsolateLimits = { timeoutMs: 60_000, memory: 256 * MEBIBYTE };

export class Stage implements AsyncDisposable {
  /** Where the plugins' files are: `plugin-0.ts` and so on. */
  readonly folder: string;
  readonly runtime: PluginRuntime;
  readonly channel: Channel;
  readonly committed: readonly Message[];
  readonly crossings: readonly Crossing[];
  readonly #log: WatchedLog;
  readonly #stop: () => Promise<void>;

  private constructor(
    parts: Pick<Stage, "folder" | "runtime" | "channel" | "committed" | "crossings">,
    log: WatchedLog,
    stop: () => Promise<void>,
  ) {
    this.folder = parts.folder;
    this.runtime = parts.runtime;
    this.channel = parts.channel;
    this.committed = parts.committed;
    this.crossings = parts.crossings;
    this.#log = log;
    this.#stop = stop;
  }

  /** @throws {PluginError} When a plugin can't be set up. */
  static async open(uses: readonly StagedUse[], options: StageOptions): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "tidewire-isolate-"));
    const log = new WatchedLog();
    const broker = new MemoryBroker();
    const committed: Message[] = [];
    const crossings: Crossing[] = [];
    let channel: Channel | null = null;
    const remove = () => rmSync(folder, { recursive: true });
    const loaded = uses.map(async ({ setup, options: given = {}, onError = "drop" }, index) => {
      const file = join(folder, `plugin-${index}.ts`);
      writeFileSync(file, sourceOf(`p${index}`, setup));
      const found = await loadPlugin(file, folder);
      const clock = options.isPrompt ? promptClock : systemClock;
      const limits = {
        ...LIMITS,
        ...options.limits,
        random: () => (options.isPrompt ? 0.5 : 0),
        clock,
      };
      const plugin = options.isIsolated ? isolate(found, limits) : found.plugin;
      return { plugin, options: given, onError };
    });
    try {
      const runtime = await startPlugins({
        uses: await Promise.all(loaded),
        channel: { name: "chat/lobby", params: { room: "lobby" } },
        directory: folder,
        log: log.log,
        publish: (drafts) => channel!.publish(drafts),
        inject: (produce, from) => channel!.inject(produce, from),
        elsewhere: async (crossing) => {
          crossings.push(crossing);
          if (crossing.to === "nowhere") throw new RangeError("there is no such channel");
          return ["other-1"];
        },
        values: new MemoryValues(),
        random: () => 0,
      });
      channel = new Channel({
        name: "chat/lobby",
        maxBytes: options.maxBytes ?? 2 * MEBIBYTE,
        maxWaiting: 10_000,
        maxBatchBytes: MEBIBYTE,
        transforms: runtime.transforms,
        onTransformError: runtime.transformFailed,
        onFanOutError: (error) => {
          throw error;
        },
        onCommit: (batch) => {
          committed.push(...batch);
          runtime.sink?.(batch);
        },
        openLog: (onCommit) =>
          broker.open("chat/lobby", { size: 100_000, ttlMs: 600_000 }, onCommit),
      });
      const stop = async () => {
        await runtime.close(() => channel!.close());
        await broker.close();
        remove();
      };
      return new Stage({ folder, runtime, channel, committed, crossings }, log, stop);
    } catch (error) {
      remove();
      throw Object.assign(error as Error, { lines: log.lines });
    }
  }

  get lines(): readonly LogLine[] {
    return this.#log.lines;
  }

  /** Data of all that was committed. */
  get data(): unknown[] {
    return this.committed.map(({ data }) => data);
  }

  /** Resolves to the `count`th line with this message, when it is there. */
  logged(message: string, count = 1): Promise<LogLine> {
    return this.#log.line((line) => line.message === message, count);
  }

  /** Fields of all lines with this message. */
  said(message: string): unknown[] {
    return this.lines
      .filter((line) => line.message === message)
      .map(({ fields: { plugin: _, channel: __, ...fields } }) => fields);
  }

  #stopping: Promise<void> | null = null;
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function sourceOf(name: string, setup: string): string {
  return `import { definePlugin, RefusedError, t } from "tidewire";
export default definePlugin({
  name: "${name}",
  options: t.Object({}, { additionalProperties: true }),
  async setup({ options, channel, directory, log, signal, store, emit }: any): Promise<any> {
${setup}
  },
});
`;
}

/** A log that can be waited for. */
class WatchedLog {
  readonly #fake = createFakeLog();
  readonly #waiting = new Set<() => void>();
  readonly log = this.#watched(this.#fake.log);

  get lines(): readonly LogLine[] {
    return this.#fake.lines;
  }

  async line(test: (line: LogLine) => boolean, count: number): Promise<LogLine> {
    for (;;) {
      const found = this.lines.filter(test)[count - 1];
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #watched(log: ReturnType<typeof createFakeLog>["log"]): typeof log {
    const level =
      (name: "debug" | "info" | "warn" | "error") =>
      (message: string, fields?: Record<string, unknown>) => {
        log[name](message, fields);
        for (const wake of this.#waiting) wake();
        this.#waiting.clear();
      };
    return {
      debug: level("debug"),
      info: level("info"),
      warn: level("warn"),
      error: level("error"),
      with: (fields) => this.#watched(log.with(fields)),
    };
  }
}
