/** Lets other declarations hold in a running server: prepares all that can fail, then changes it in one turn. */
import type { PipelineRules } from "../channel/pipeline.ts";
import type { Params } from "../channel/directory.ts";
import type { Log } from "../log.ts";
import { within, type Clock } from "../plugin/clock.ts";
import { errorFields } from "../plugin/error-fields.ts";
import type { Prepared } from "./channel-maker.ts";
import { isOfPattern, type ChannelMatch, type Declarations, type Declared } from "./declared.ts";
import type { LiveChannel } from "./live-channel.ts";

/** Declared channels by name; what became of them. */
export interface ChannelChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: number;
}

/** What a reload does to the channels of a server. */
export interface ReloadHost {
  readonly before: Declarations;
  readonly after: Declarations;
  readonly live: Map<string, LiveChannel>;
  /** False once the server stops. */
  isOpen(): boolean;
  /** The end of an earlier life of a channel, where that is still under way. */
  ended(name: string): Promise<void> | undefined;
  /** No channel of a pattern comes to life until what this returns is called. */
  holdOpening(): () => void;
  prepare(declared: Declared, params: Params): Promise<Prepared>;
  create(prepared: Prepared): LiveChannel;
  /** From here on what is asked for is looked up in `after`. */
  commit(): void;
  rules(live: LiveChannel): PipelineRules;
  /** The rules of channels that are declared as before are others too. */
  readonly hasOtherRules: boolean;
  letGo(live: LiveChannel): Promise<void>;
  /** A pattern has a live channel more (1) or fewer (-1). */
  countPattern(change: 1 | -1): void;
  readonly clock: Clock;
  readonly log: Log;
}

/** What clients of a channel that was taken out of the config are told. */
const GONE = "this channel is no longer there: the config was changed";

/** Rounds of setups in which channels of patterns may come to life as ever. */
const FREE_ROUNDS = 3;

/** Milliseconds that `receive` hooks of plugins that are replaced may take: as one call may at the most. */
const RECEIVE_MS = 10_000;

/** Setups that run side by side: a pattern may have thousands of channels. */
const SIDE_BY_SIDE = 16;

/**
 * @returns What changed, when the plugins that were replaced have ended.
 * @throws What a `setup` throws, when all that was set up is closed again; nothing has changed then.
 */
export async function reloadChannels(host: ReloadHost): Promise<ChannelChanges> {
  const swaps = new Map<LiveChannel, Prepared>();
  const added = new Map<string, Prepared>();
  const opened = new Map<string, LiveChannel>();
  let release: (() => void) | null = null;
  try {
    // Channels that come to life meanwhile are prepared for in a further round.
    for (let round = 1; ; round++) {
      // Where some always do there would be no last round.
      if (round > FREE_ROUNDS) release ??= host.holdOpening();
      const todo = missing(host, swaps, added);
      if (todo.length === 0) {
        const ending = [...added.keys()].map(host.ended).filter((end) => end !== undefined);
        if (ending.length === 0) break;
        // One of a pattern had such a name meanwhile, and its log must be closed first.
        await Promise.all(ending);
        continue;
      }
      await eachOf(todo, async ({ live, declared, params, name }) => {
        if (!live) await host.ended(name);
        const prepared = await host.prepare(declared, params);
        if (live) swaps.set(live, prepared);
        else added.set(name, prepared);
      });
    }
    if (!host.isOpen()) throw new Error("the server stops");
    // In the turn of the commit: a log that is opened sooner would miss what one of a pattern, with the
    // same name, commits meanwhile.
    for (const [name, prepared] of added) {
      if (host.live.has(name)) continue;
      added.delete(name);
      opened.set(name, host.create(prepared));
    }
  } catch (error) {
    release?.();
    await Promise.all([
      ...Array.from([...swaps.values(), ...added.values()], ({ plugins }) => plugins.close()),
      ...Array.from(opened.values(), discard),
    ]);
    throw error;
  }
  // By another config they are of a pattern, and somebody asked for them meanwhile: those go on.
  const unused = Array.from(added.values(), ({ plugins }) => plugins.close());
  const under = [...commit(host, swaps, opened), ...unused];
  release?.();
  await Promise.all(under);
  return compare(host.before, host.after);
}

/** Lets go of a channel that nobody has seen. */
function discard({ plugins, channel }: LiveChannel): Promise<void> {
  return plugins.close(() => channel.close());
}

interface Task {
  /** null for a channel that is new. */
  readonly live: LiveChannel | null;
  readonly name: string;
  readonly declared: Declared;
  readonly params: Params;
}

/** What has to be set up and is not: of live channels that get other plugins, and new static channels. */
function missing(
  { after, live, isOpen }: ReloadHost,
  swaps: ReadonlyMap<LiveChannel, Prepared>,
  added: ReadonlyMap<string, Prepared>,
): Task[] {
  if (!isOpen()) return [];
  const tasks: Task[] = [];
  for (const one of live.values()) {
    const match = after.matchName(one.name);
    if (!match || swaps.has(one) || !getsOtherPlugins(one, match, after)) continue;
    tasks.push({ live: one, name: one.name, declared: match.value, params: match.params });
  }
  for (const declared of after.all) {
    const { name, pattern } = declared.config;
    if (pattern.params.length > 0 || live.has(name) || added.has(name)) continue;
    tasks.push({ live: null, name, declared, params: {} });
  }
  return tasks;
}

function getsOtherPlugins(
  live: LiveChannel,
  { value: declared, params }: ChannelMatch,
  after: Declarations,
): boolean {
  if (live.declared === declared) return false;
  // Whether one of the plugins has the hook is found out when they are set up.
  const isGuarded = declared.config.publish === "authorized";
  return (
    (isGuarded && live.config.publish !== "authorized") ||
    !after.keeps(live.declared.uses, declared.uses) ||
    !Bun.deepEquals(live.params, params, true)
  );
}

/** @returns What is under way: the end of plugins that were replaced, and of channels that are gone. */
function commit(
  host: ReloadHost,
  swaps: ReadonlyMap<LiveChannel, Prepared>,
  added: ReadonlyMap<string, LiveChannel>,
): Promise<unknown>[] {
  const { live, after } = host;
  const under: Promise<unknown>[] = [];
  host.commit();
  for (const one of [...live.values()]) {
    const match = after.matchName(one.name);
    const wasOfPattern = isOfPattern(one.declared);
    if (!match) {
      under.push(remove(host, one).then(() => void (wasOfPattern && host.countPattern(-1))));
      continue;
    }
    const isNowOfPattern = isOfPattern(match.value);
    if (wasOfPattern !== isNowOfPattern) host.countPattern(isNowOfPattern ? 1 : -1);
    const prepared = swaps.get(one);
    const isSame = one.declared === match.value;
    if (prepared) under.push(swap(host, one, prepared));
    else if (!isSame) {
      one.become({ declared: match.value, params: match.params, plugins: one.plugins });
    }
    if (!isSame) {
      one.channel.log.retain(one.config.history);
      one.channel.slow = one.config.slow;
    }
    if (!isSame || host.hasOtherRules) one.channel.line.update(host.rules(one));
  }
  for (const [name, one] of added) {
    live.set(name, one);
    one.plugins.startSources();
  }
  for (const [one, { plugins }] of swaps) {
    // It was let go of while its plugins were set up: nobody has seen these.
    if (live.get(one.name) !== one) under.push(plugins.close());
  }
  return under;
}

/** Ends a channel: what is under way is committed and sent, then its clients are told. */
async function remove({ letGo }: ReloadHost, live: LiveChannel): Promise<void> {
  await letGo(live);
  live.end(GONE);
}

/**
 * Gives a live channel other plugins. What the old ones have under way is committed before anything that
 * the new ones see, what they emit when they are closed included; the new ones' sources start when the
 * old ones have ended.
 */
function swap({ clock, log }: ReloadHost, live: LiveChannel, prepared: Prepared): Promise<void> {
  const { channel, plugins: old } = live;
  const oldLine = channel.line;
  const ended = Promise.withResolvers<void>();
  channel.replace(prepared.line, ended.promise);
  prepared.attach(channel.line);
  const receiving = live.become(prepared);
  const replacing = (async () => {
    // A hook that is slow with each of many messages would hold up the channel; it is let to its end.
    await within(Promise.allSettled(receiving), RECEIVE_MS, clock);
    try {
      await old.close(async () => {
        await oldLine.idle();
        ended.resolve();
      });
    } catch (error) {
      log.error("plugins that were replaced did not end", {
        channel: live.name,
        ...errorFields(error),
      });
    }
    ended.resolve();
    live.replacing = null;
    prepared.plugins.startSources();
  })();
  live.replacing = replacing;
  return replacing;
}

function compare(before: Declarations, after: Declarations): ChannelChanges {
  const old = new Map(before.all.map((declared) => [declared.config.name, declared]));
  const now = new Set(after.all.map(({ config }) => config.name));
  const name = ({ config }: Declared) => config.name;
  const kept = after.all.filter((declared) => old.has(name(declared)));
  const changed = kept.filter((declared) => old.get(name(declared)) !== declared);
  return {
    added: after.all.filter((declared) => !old.has(name(declared))).map(name),
    removed: before.all.map(name).filter((each) => !now.has(each)),
    changed: changed.map(name),
    unchanged: kept.length - changed.length,
  };
}

/** Works through the items, several side by side; when one fails no further one begins. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  let failure: { readonly error: unknown } | null = null;
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
        waiting.length = 0;
      }
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  if (failure) throw (failure as { readonly error: unknown }).error;
}
