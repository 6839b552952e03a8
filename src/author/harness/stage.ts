/** Sets up a channel and its plugins for a test: of the very parts that a server makes one of. */
import { MemoryValues } from "../../broker/memory-values.ts";
import { MemoryBroker } from "../../broker/memory.ts";
import { Channel } from "../../channel/channel.ts";
import { formatName, parsePattern } from "../../channel/directory.ts";
import { Message, sealDraft } from "../../channel/message.ts";
import { TRANSPORT_NAMES, type ChannelConfig } from "../../config/config.ts";
import { DenialLog, type Denial } from "../../plugin/authorize-log.ts";
import type { Asker } from "../../plugin/authorize-request.ts";
import type { PluginError } from "../../plugin/errors.ts";
import { CrossingError, type Crossing } from "../../plugin/other-channel.ts";
import { Reports } from "../../plugin/reports.ts";
import { startPlugins } from "../../plugin/runtime.ts";
import type { Plugin, Store } from "../../plugin/sdk.ts";
import { createStore, useName } from "../../plugin/store.ts";
import { LiveChannel } from "../../server/live-channel.ts";
import type { Progress } from "./progress.ts";
import { createRecordedLog, type LogLine } from "./recorded-log.ts";
import type { Time } from "./time.ts";
import { Watch, watchPlugin } from "./watched-plugin.ts";

/** Who asks to subscribe or to publish. */
export type Asking = Omit<Asker, "action">;

/** What a test can see and drive. */
export interface Stage {
  readonly live: LiveChannel;
  readonly progress: Progress;
  /** Names of the plugins, in order. */
  readonly names: readonly string[];
  readonly watches: readonly Watch[];
  /** What was committed. */
  readonly messages: readonly Message[];
  /** What was published to other channels, by their names. */
  readonly elsewhere: ReadonlyMap<string, readonly Message[]>;
  readonly lines: readonly LogLine[];
  readonly failures: readonly PluginError[];
  readonly store: Store;
  /** Why somebody was denied last. */
  readonly denial: string;
  ask(action: Asker["action"], who: Asking): Promise<"allow" | { readonly deny: string }>;
  /** Ends the channel and its plugins. Never throws. */
  end(): Promise<void>;
}

export interface StageOptions {
  readonly uses: readonly { readonly plugin: Plugin; readonly options: unknown }[];
  readonly channel: string;
  readonly params: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly publish: ChannelConfig["publish"];
  /** What the first plugin kept before. */
  readonly kept: Readonly<Record<string, unknown>>;
  readonly time: Time;
  readonly progress: Progress;
}

/** As a config's `limits:` are by default. */
const LIMITS = { message: 1024 ** 2, waiting: 1024, buffer: 1024 ** 2 };
const HISTORY = { size: 10_000, ttlMs: Infinity };

/** @throws {PluginError} When a plugin can't be set up. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const { uses, time, progress, directory, publish } = options;
  const pattern = parsePattern(options.channel);
  const params = checkParams(options);
  const name = formatName(pattern, params);
  const lines: LogLine[] = [];
  const log = createRecordedLog(lines);
  const failures: PluginError[] = [];
  const messages: Message[] = [];
  const elsewhere = new Map<string, Message[]>();
  const watches = uses.map(() => new Watch());
  const values = new MemoryValues();
  const broker = new MemoryBroker();
  // Its timer, which lets go of what is old, would be one more that held time has to run.
  void broker.close();
  const written = uses.map(({ plugin }) => plugin.name);
  const first = written[0] ?? "";
  const reports = new Reports({ plugin: first, channel: name, log, clock: time.clock });
  const store = createStore({ values, use: useName(name, first, 0), reports });
  for (const [key, value] of Object.entries(options.kept)) await store.set(key, value);
  const denials = new LastDenial(log, time.clock);
  let channel: Channel | null = null;
  const stuck = (why: string) => new Error(`setup of ${written.join(", ")} does not end: ${why}`);
  const starting = startPlugins({
    uses: uses.map(({ plugin, options }, i) => ({
      plugin: watchPlugin(plugin, watches[i]!),
      options,
      written: written[i]!,
      ordinal: written.slice(0, i).filter((before) => before === written[i]).length,
    })),
    mustAuthorize: publish === "authorized",
    channel: { name, params },
    directory,
    log,
    clock: time.clock,
    // Restarts take the full delay, so that a test can count on it.
    random: () => 0,
    denials,
    values,
    onFailure: (error) => void failures.push(error),
    elsewhere: async (crossing) => publishElsewhere(crossing, elsewhere),
    publish: (drafts) => channel!.publish(drafts),
    inject: (produce, from) => channel!.inject(produce, from),
  });
  const plugins = await progress.of(starting, { stuck });
  channel = new Channel({
    name,
    maxBytes: LIMITS.message,
    maxWaiting: LIMITS.waiting,
    maxBatchBytes: LIMITS.buffer / 4,
    transforms: plugins.transforms,
    onTransformError: plugins.transformFailed,
    onFanOutError: (error) => log.error("a fan-out group failed", { error }),
    onCommit: (batch) => {
      messages.push(...batch);
      plugins.sink?.(batch);
    },
    openLog: (onCommit) => broker.open(name, HISTORY, onCommit),
  });
  const config: ChannelConfig = {
    name: options.channel,
    pattern,
    path: pattern,
    transports: TRANSPORT_NAMES,
    history: HISTORY,
    publish,
    slow: "disconnect",
    schema: null,
    plugins: [],
  };
  const live = new LiveChannel({ config, validate: null, uses: [] }, params, channel, plugins);
  plugins.startSources();
  return {
    live,
    progress,
    names: written,
    watches,
    messages,
    elsewhere,
    lines,
    failures,
    store,
    ask: async (action, { transport, headers, query, address }) => {
      const outcome = await plugins.authorize?.({ action, transport, headers, query, address });
      if (outcome === undefined || outcome === "allowed") return "allow";
      return { deny: denials.reason };
    },
    get denial() {
      return denials.reason;
    },
    end: () => end(live, progress),
  };
}

async function end({ plugins, channel }: LiveChannel, progress: Progress): Promise<void> {
  const ending = plugins.close(() => channel.close()).catch(() => {});
  const stuck = () => new Error("the channel does not end");
  try {
    await progress.of(ending, { stuck });
  } catch {
    // What is left are the runtime's own limits, which end it.
    await progress.of(ending, { stuck, restarts: true }).catch(() => {});
  }
}

/** @throws {TypeError} When the parameters are not those of the channel's name. */
function checkParams({ channel, params }: StageOptions): Readonly<Record<string, string>> {
  const wanted = parsePattern(channel).params;
  const given = Object.keys(params);
  const isRight =
    wanted.length === given.length && wanted.every((name) => Object.hasOwn(params, name));
  if (isRight) return params;
  const list = (names: readonly string[]) => names.join(", ") || "none";
  throw new TypeError(
    `channel "${channel}" has the parameters ${list(wanted)}; params has ${list(given)}`,
  );
}

/** Takes what goes to other channels, of which there are none in a test, as they would. */
function publishElsewhere(
  crossing: Crossing,
  elsewhere: Map<string, Message[]>,
): readonly string[] {
  const { from, to, drafts } = crossing;
  if (to === from) throw new CrossingError("loop", to, "the message comes from that channel");
  const before = elsewhere.get(to) ?? [];
  const sealed = drafts.map((draft) => sealDraft(draft, LIMITS.message));
  const messages = sealed.map(
    (draft, i) => new Message(to, "test", before.length + i + 1, Date.now(), draft),
  );
  elsewhere.set(to, [...before, ...messages]);
  return messages.map(({ id }) => id);
}

/** Knows why somebody was denied last, which is never told to clients. */
class LastDenial extends DenialLog {
  reason = "";

  override denied(denial: Denial, isFailure = false): boolean {
    this.reason = denial.reason;
    return super.denied(denial, isFailure);
  }
}
