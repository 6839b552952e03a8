/** Makes a plugin that runs in a worker thread of its own look like any other. */
import { TransformFailure, type BatchTransform } from "../../channel/pipeline.ts";
import { systemClock, type Clock } from "../clock.ts";
import type { HookName } from "../hooks.ts";
import type { LoadedPlugin } from "../load.ts";
import type {
  AccessRequest,
  Client,
  CommittedMessage,
  Hooks,
  Plugin,
  SetupContext,
} from "../sdk.ts";
import { toWireRequest } from "./host-clients.ts";
import { isolatedSource } from "./isolated-source.ts";
import { Lives, type IsolateLimits } from "./lives.ts";
import { BATCH, END } from "./private-hooks.ts";
import { WorkerEndedError } from "./worker-errors.ts";

export interface IsolateOptions extends IsolateLimits {
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Milliseconds that the `close` hook may take before its worker is ended all the same. */
const CLOSE_MS = 5000;

/**
 * Makes of a loaded plugin one whose `setup` starts a worker and sets the plugin up in there. Its hooks
 * ask the worker; the rest of the runtime does not know.
 *
 * When the worker ends, whatever ended it, it is started again after a delay that grows from 100 ms to
 * 30 s, and is set up again. Until then `transform`, `receive` and `authorize` fail; `sink` and `source`
 * wait; clients that are present are told of by `joined` again.
 */
export function isolate(loaded: LoadedPlugin, options: IsolateOptions): Plugin {
  const {
    clock = systemClock,
    random = Math.random,
    timeoutMs,
    memory,
    workers = Infinity,
    stopping,
  } = options;
  return {
    ...loaded.plugin,
    setup: async (context) => {
      const present = new Map<string, Client>();
      const lives = new Lives({
        use: loaded.file ?? loaded.use,
        plugin: loaded.plugin.name,
        context: context as SetupContext<unknown>,
        limits: { timeoutMs, memory, workers, stopping },
        version: loaded.version ?? null,
        clock,
        random,
        onRestart: () => void tellPresent(lives, present, context.log),
      });
      const names = await lives.start();
      return proxiesOf(lives, names, present, clock, context.signal);
    },
  };
}

function proxiesOf(
  lives: Lives,
  names: ReadonlySet<HookName>,
  present: Map<string, Client>,
  clock: Clock,
  signal: AbortSignal,
): Hooks {
  const all: Required<Hooks> = {
    source: () => isolatedSource(lives, signal),
    transform: async (draft) => {
      const [result] = await transformer(lives)([draft], [undefined]);
      if (result instanceof TransformFailure) throw result.error;
      return result!;
    },
    receive: async (data, client, raw) => {
      const call = () => {
        const args = typeof data !== "object" && Object.is(data, raw) ? [data, data] : [data, raw];
        return lives.now.call({ hook: "receive", client: lives.clients.toWire(client), args });
      };
      try {
        return (await call()) as never;
      } finally {
        // A POST is answered, and its client gone, when its hooks have ended.
        if (client.transport === "post") lives.clients.done(client);
      }
    },
    authorize: async (request: AccessRequest) =>
      (await lives.now.call({ hook: "authorize", request: toWireRequest(request) })) as never,
    joined: async (client) => {
      present.set(client.id, client);
      // Told when there is a worker again.
      if (lives.isUp) {
        await lives.now.call({ hook: "joined", client: lives.clients.toWire(client) });
      }
    },
    left: async (client) => {
      present.delete(client.id);
      try {
        if (lives.isUp) {
          await lives.now.call({ hook: "left", client: lives.clients.toWire(client) });
        }
      } finally {
        lives.clients.done(client);
      }
    },
    sink: async (messages: readonly CommittedMessage[]) => {
      const life = await lives.next(signal);
      if (!life) throw new WorkerEndedError("its worker is not there any more");
      await life.call({ hook: "sink", messages: messages.map((message) => ({ ...message })) });
    },
    close: () => lives.close(clock, CLOSE_MS),
  };
  const hooks: Hooks & { [BATCH]?: BatchTransform; [END]: () => void } = {
    close: all.close,
    [END]: () => lives.end(),
  };
  // Each only where the plugin has it; both of the pair that keeps count of who is there.
  const hasPresence = names.has("joined") || names.has("left");
  for (const name of Object.keys(all) as HookName[]) {
    const isPresence = name === "joined" || name === "left";
    if (names.has(name) || (isPresence && hasPresence)) Object.assign(hooks, { [name]: all[name] });
  }
  if (names.has("transform")) hooks[BATCH] = transformer(lives);
  return hooks;
}

function transformer(lives: Lives): BatchTransform {
  return (drafts, texts) => lives.now.transform(drafts, texts);
}

async function tellPresent(
  lives: Lives,
  present: ReadonlyMap<string, Client>,
  log: SetupContext<unknown>["log"],
): Promise<void> {
  const life = lives.now;
  const calls = [...present.values()].map((client) =>
    life.call({ hook: "joined", client: lives.clients.toWire(client) }).catch((error: unknown) => {
      if (!life.isOver) log.error("plugin failed in joined", { hook: "joined", error });
    }),
  );
  await Promise.all(calls);
}
