/** A plugin as a harness runs it: its own hooks, with an eye on those that go on by themselves. */
import type { CommittedMessage, Plugin } from "../../plugin/sdk.ts";
import { isThenable } from "../../plugin/thenable.ts";

type Hook = (...args: unknown[]) => unknown;

/** What the hooks of one plugin are at. */
export class Watch {
  /** Names of the hooks that `setup` returned. */
  hooks: ReadonlySet<string> = new Set();
  /** Calls of `sink`, `joined` and `left` that have not ended. */
  busy = 0;
  /** The source has returned. */
  ended = false;
  /** What `sink` got. */
  readonly sunk: CommittedMessage[] = [];
  /** Whether the source may be asked for its next draft. */
  #may: () => boolean = () => false;
  #waiting: (() => void)[] = [];

  /** Lets the source run as long as `may` holds, which is asked before each draft. */
  let(may: () => boolean): void {
    this.#may = may;
    for (const look of this.#waiting.splice(0)) look();
  }

  async allowed(signal: AbortSignal): Promise<void> {
    while (!this.#may() && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
}

/** The same plugin, whose source stands still between two drafts until `watch` lets it go on. */
export function watchPlugin(plugin: Plugin, watch: Watch): Plugin {
  return {
    ...plugin,
    async setup(context) {
      const hooks: unknown = await plugin.setup(context);
      return typeof hooks === "object" && hooks !== null && !Array.isArray(hooks)
        ? (watchHooks(hooks, watch, context.signal) as never)
        : (hooks as never);
    },
  };
}

/** A proxy rather than a copy: `setup` may return an instance of a class, with private members. */
function watchHooks(hooks: object, watch: Watch, signal: AbortSignal): object {
  const names = ["source", "transform", "receive", "authorize", "joined", "left", "sink"];
  watch.hooks = new Set(names.filter((name) => typeof Reflect.get(hooks, name) === "function"));
  return new Proxy(hooks, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const hook = value.bind(target) as Hook;
      if (name === "source") return () => watchSource(hook(), watch, signal);
      if (name === "joined" || name === "left") return watchCalls(hook, watch);
      if (name !== "sink") return hook;
      const sink = watchCalls(hook, watch);
      return (messages: readonly CommittedMessage[]) => {
        watch.sunk.push(...messages);
        return sink(messages);
      };
    },
  });
}

function watchCalls(hook: Hook, watch: Watch): Hook {
  return (...args) => {
    const result = hook(...args);
    if (!isThenable(result)) return result;
    watch.busy++;
    return Promise.resolve(result).finally(() => watch.busy--);
  };
}

function watchSource(made: unknown, watch: Watch, signal: AbortSignal): unknown {
  const iterator = iteratorOf(made);
  // What is no iterable is the runtime's to complain of.
  if (!iterator) return made;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      await watch.allowed(signal);
      if (signal.aborted) return { done: true, value: undefined };
      const result = await iterator.next();
      if (result.done) watch.ended = true;
      return result;
    },
    async return(value: unknown) {
      await iterator.return?.(value);
      return { done: true, value: undefined };
    },
  };
}

function iteratorOf(made: unknown): AsyncIterator<unknown> | Iterator<unknown> | null {
  if (typeof made !== "object" || made === null) return null;
  const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } = made as Partial<
    AsyncIterable<unknown> & Iterable<unknown>
  >;
  if (typeof asynchronous === "function") return asynchronous.call(made);
  return typeof synchronous === "function" ? synchronous.call(made) : null;
}
