/** Runs one plugin as a channel would, for the tests of this folder. */
import { createChannelContext } from "../src/plugin/channel-context.ts";
import { createTestStore } from "../src/plugin/fake-store.ts";
import type { Static, TObject } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { OptionError } from "tidewire";
import type { Draft, Hooks, Plugin } from "tidewire";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export interface Running {
  readonly hooks: Hooks;
  readonly logs: readonly LogLine[];
  /** What came out by `emit`, in order. */
  readonly emitted: readonly Draft[];
  /** What the source yielded up to now. */
  readonly yielded: readonly Draft[];
  /** Reads the source until it ends. */
  run(): void;
  /** The transform's answer as a list. */
  transform(draft: Draft): Promise<readonly Draft[]>;
  /** Aborts, awaits the source's end, and closes: the order of a channel that stops. */
  stop(): Promise<void>;
}

/** @throws {TypeError} When the options are not what the plugin's schema says. */
export async function start<Options extends TObject>(
  plugin: Plugin<Options>,
  given: Record<string, unknown>,
  at: { name?: string; params?: Record<string, string>; directory?: string } = {},
): Promise<Running> {
  const controller = new AbortController();
  const logs: LogLine[] = [];
  const emitted: Draft[] = [];
  const yielded: Draft[] = [];
  let reading: Promise<void> = Promise.resolve();
  const line =
    (level: LogLine["level"]) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      void logs.push({ level, message, fields });
  const hooks = await plugin.setup({
    options: check(plugin, given),
    channel: createChannelContext(at.name ?? "test", at.params ?? {}, (name) => {
      throw new Error(`this plugin is run alone: there is no channel "${name}"`);
    }),
    store: createTestStore(plugin.name),
    directory: at.directory ?? import.meta.dir,
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    signal: controller.signal,
    emit(drafts) {
      const list = typeof drafts === "function" ? drafts() : drafts;
      if (list !== null) emitted.push(...(Array.isArray(list) ? list : [list as Draft]));
      return true;
    },
  });
  return {
    hooks,
    logs,
    emitted,
    yielded,
    run() {
      reading = (async () => {
        for await (const draft of hooks.source!()) yielded.push(draft);
      })();
      // `stop` awaits it; a test that fails before must not add an unhandled rejection.
      reading.catch(() => {});
    },
    async transform(draft) {
      const result = await hooks.transform!(draft);
      if (result === null) return [];
      return Array.isArray(result) ? result : [result as Draft];
    },
    async stop() {
      controller.abort();
      await reading;
      await hooks.close?.();
    },
  };
}

/** What the plugin's own check says of options that fit its schema; null when it has nothing against them. */
export function complaint<Options extends TObject>(
  plugin: Plugin<Options>,
  given: Record<string, unknown>,
): { option: string | null; message: string } | null {
  const options = check(plugin, given);
  try {
    plugin.check!(options);
    return null;
  } catch (error) {
    const { message } = error as Error;
    return { option: error instanceof OptionError ? error.option : null, message };
  }
}

function check<Options extends TObject>(
  plugin: Plugin<Options>,
  given: Record<string, unknown>,
): Static<Options> {
  const schema = plugin.options!;
  const options = Value.Default(schema, structuredClone(given));
  const first = Value.Errors(schema, options).First();
  if (first) throw new TypeError(`${first.path}: ${first.message}`);
  return options as Static<Options>;
}

/** Headers that no request can have, each with the option that is to blame and a part of what is said of it. */
export const BAD_HEADERS: readonly (readonly [Record<string, string>, string, string])[] = [
  [{ "a b": "c" }, "/headers/a b", '"a b" is not the name of a header'],
  [{ "a/b": "c" }, "/headers/a~1b", '"a/b" is not the name of a header'],
  [{ a: "b\r\nc: d" }, "/headers/a", "the header a has a line end"],
  [{ a: "→" }, "/headers/a", "no header can have"],
];

/**
 * Waits until `condition` holds, looking every few milliseconds.
 *
 * @throws {Error} When it does not within `ms` milliseconds.
 */
export async function until(condition: () => boolean, ms = 25_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${condition}`);
    await Bun.sleep(2);
  }
}
