/** `start` and `startChannel`: put plugins to work for a test. */
import type { Static, TObject } from "@sinclair/typebox";
import { checkPlugin } from "../../plugin/check-plugin.ts";
import { systemClock } from "../../plugin/clock.ts";
import { loadPlugin } from "../../plugin/load.ts";
import type { Plugin } from "../../plugin/sdk.ts";
import { parseDuration } from "../../units.ts";
import { fromCaller } from "./call-site.ts";
import { watchFetches } from "./fetches.ts";
import { hold } from "./forgotten.ts";
import { checkOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { setStage } from "./stage.ts";
import { TestChannel } from "./test-channel.ts";
import { holdTime, RealTime } from "./time.ts";

/** What is given of a plugin's options: those that have a default may be left out. */
export type Given<T> = T extends readonly (infer Item)[]
  ? readonly Given<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]?: Given<T[Name]> | undefined }
    : T;

/** How a test's channel is made. */
export interface ChannelOptions {
  /** Its name, or a pattern such as `chat/{room}`, with `params`. Default: `test`. */
  readonly channel?: string;
  /** Values of the pattern's parameters: `{ room: "lobby" }`. */
  readonly params?: Readonly<Record<string, string>>;
  /** Folder that relative paths in options start from. Default: the one the tests run in. */
  readonly directory?: string;
  /**
   * Who may publish where no plugin has `receive`, as the config says it. Default: `nobody`. With
   * `authorized` a plugin has to have the hook `authorize`.
   */
  readonly publish?: "nobody" | "clients" | "authorized";
  /** What the plugin's `store` has from before, by key; with several plugins, that of the first. */
  readonly store?: Readonly<Record<string, unknown>>;
  /** What time it is at first. Default: 2026-01-01T00:00:00.000Z. */
  readonly now?: string | number | Date;
  /**
   * `held` (the default): time stands still but for what the test waits for; `Date`, timers,
   * `node:timers/promises`, `Bun.sleep` and `AbortSignal.timeout` all follow it. `real`: time is the
   * machine's own, for a plugin that uses a database or a socket and limits its time by a timer.
   */
  readonly clock?: "held" | "real";
  /** Real time that one call waits for something outside, such as a file. Default: `4s`. */
  readonly limit?: string;
}

/** How a test's plugin is started. */
export interface StartOptions<Options extends TObject = TObject> extends ChannelOptions {
  /** What the config has in `with:`; checked as it is there. */
  readonly options?: Given<Static<Options>>;
}

/** A plugin with its options, for `startChannel`. */
export interface Use {
  /** The plugin, or what a config's `use:` says: the name of one that ships, or a path. */
  readonly plugin: Plugin | string;
  readonly options: unknown;
}

/**
 * Puts a plugin to work in a channel of its own, as a server does.
 *
 * The process's clock is held while a plugin runs (see `ChannelOptions.clock`), and shared by all that
 * run at the same moment: tests that are concurrent move each other's. End it with `await using`, or
 * `close()`; what a test forgets is ended after it.
 *
 * @param plugin What the plugin's file default-exports; or, as a config says it, the name of a plugin that
 *   ships or a path from `directory`.
 * @throws {TypeError} When a config would refuse the options; it shows the same lines.
 * @throws {PluginError} When `setup` fails.
 * @example
 * ```ts
 * import { expect, test } from "bun:test";
 * import { start } from "tidewire/testing";
 * import round from "./round.ts";
 *
 * test("rounds to one decimal", async () => {
 *   await using plugin = await start(round, { options: { decimals: 1 } });
 *   expect(await plugin.feed({ data: 1.26 })).toEqual([{ data: 1.3 }]);
 * });
 * ```
 */
export async function start<Options extends TObject>(
  plugin: Plugin<Options> | string,
  options: StartOptions<Options> = {},
): Promise<TestChannel> {
  const { options: given, ...channel } = options;
  const uses = [{ plugin: plugin as Plugin | string, options: given }];
  return fromCaller(start, (caller) => open(uses, channel, caller));
}

/**
 * Names a plugin and its options for `startChannel`.
 *
 * @example `use(round, { decimals: 1 })`
 */
export function use<Options extends TObject>(
  plugin: Plugin<Options> | string,
  options?: Given<Static<Options>>,
): Use {
  return { plugin: plugin as Plugin | string, options };
}

/**
 * Puts several plugins to work in one channel, in this order.
 *
 * @throws As `start`.
 * @example
 * ```ts
 * await using channel = await startChannel([
 *   use("filter", { where: "data > 1" }),
 *   use(round, { decimals: 1 }),
 * ]);
 * expect(await channel.feed([{ data: 0.5 }, { data: 1.26 }])).toEqual([{ data: 1.3 }]);
 * ```
 */
export async function startChannel(
  uses: readonly Use[],
  options: ChannelOptions = {},
): Promise<TestChannel> {
  return fromCaller(startChannel, (caller) => open(uses, options, caller));
}

async function open(
  uses: readonly Use[],
  options: ChannelOptions,
  caller: readonly string[],
): Promise<TestChannel> {
  const { channel = "test", params = {}, directory = process.cwd(), publish = "nobody" } = options;
  const limitMs = parseDuration(options.limit ?? "4s");
  const loaded = await Promise.all(uses.map((one) => load(one, directory)));
  const time = options.clock === "real" ? new RealTime(systemClock) : holdTime(options.now);
  const stopWatching = watchFetches();
  const release = () => {
    stopWatching();
    time.release();
  };
  try {
    const progress = new Progress(time, limitMs);
    const kept = options.store ?? {};
    const at = { channel, params, directory, publish, kept, time, progress };
    const stage = await setStage({ uses: loaded, ...at });
    const end = () => stage.end().finally(release);
    return hold(new TestChannel(stage, end), caller);
  } catch (error) {
    release();
    throw error;
  }
}

async function load({ plugin: asked, options }: Use, directory: string) {
  const plugin =
    typeof asked === "string"
      ? (await loadPlugin(asked, directory)).plugin
      : checkPlugin({ default: asked }, "start", "what start was given");
  return { plugin, options: await checkOptions(plugin, options) };
}
