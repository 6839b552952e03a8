/** A plugin at work in a worker: takes calls of its hooks from the server's thread and answers them. */
import { checkResult } from "../../channel/pipeline.ts";
import { currentTrail, withTrail } from "../../channel/trail.ts";
import { HookResultError } from "../errors.ts";
import { checkHooks, type BoundHooks } from "../hooks.ts";
import { kindOf } from "../kind-of.ts";
import { loadPlugin, type LoadedPlugin } from "../load.ts";
import { readGraph } from "../module-graph.ts";
import type { Client } from "../sdk.ts";
import { openIterator, type AnyIterator } from "../source-runner.ts";
import { isThenable } from "../thenable.ts";
import { Said } from "./flow.ts";
import { GuestClients, toAccessRequest } from "./guest-clients.ts";
import { createGuestContext, Emissions } from "./guest-context.ts";
import type { Ask, Call, Start, ToGuest, ToHost } from "./wire.ts";
import {
  decodeDrafts,
  encodeResults,
  givenOf,
  toWireResult,
  type Given,
  type WireResult,
} from "./wire-drafts.ts";
import { fromWireError, timeoutError, toWireError } from "./wire-error.ts";

export class Guest {
  readonly #send: (message: ToHost) => void;
  readonly #controller = new AbortController();
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #clients: GuestClients;
  readonly #emissions: Emissions;
  readonly #runs = new Map<number, AnyIterator>();
  #lastAsked = 0;
  #start: Start | null = null;
  #said: Said | null = null;
  #name = "";
  #hooks: BoundHooks = {};
  /** Of what setup gave: the only hook that is there where setup is refused. */
  #close: (() => unknown) | null = null;
  #lastSignMs = 0;

  /** @param send Posts a message to the server's thread; throws where it can't be cloned. */
  constructor(send: (message: ToHost) => void) {
    this.#send = send;
    this.#clients = new GuestClients(this.#post);
    this.#emissions = new Emissions(this.#post);
  }

  readonly take = (message: ToGuest): void => {
    if (typeof message === "string") {
      const { id, trail, read } = decodeDrafts(message);
      void withTrail(trail, () => this.#transform(id, read));
      return;
    }
    switch (message.say) {
      case "call":
        void withTrail(message.trail, () => this.#answer(message.id, message.call));
        break;
      case "ping":
        this.#sign();
        break;
      case "abort":
        this.#controller.abort();
        break;
      case "credit":
        this.#emissions.taken();
        break;
      case "forget":
        this.#clients.forget(message.handle);
        break;
      case "answer":
        this.#asked.get(message.id)?.resolve(message.value);
        this.#asked.delete(message.id);
        break;
      case "failure": {
        const where = { plugin: this.#name, hook: "setup", channel: this.#start!.channel.name };
        this.#asked.get(message.id)?.reject(fromWireError(message.error, where));
        this.#asked.delete(message.id);
      }
    }
  };

  /** What happens outside of any hook is logged, as in the server's own thread. */
  stray(what: "unhandled rejection" | "uncaught exception", error: unknown): void {
    const errors = { error: toWireError(error) };
    this.#post({ say: "log", level: "error", message: what, fields: {}, errors });
  }

  readonly #post = (message: ToHost): void => {
    this.#said?.wait(message);
    try {
      this.#send(message);
    } catch (error) {
      throw uncloneable(error);
    }
  };

  async #answer(id: number, call: Call): Promise<void> {
    if (call.hook === "transform") return this.#transform(id, () => call.drafts.map(givenOf));
    try {
      const value = await this.#call(call);
      try {
        this.#send({ say: "answer", id, value });
      } catch (error) {
        throw uncloneable(error, call.hook, value);
      }
    } catch (error) {
      this.#send({ say: "failure", id, error: toWireError(error) });
    }
  }

  #call(call: Exclude<Call, { hook: "transform" }>): unknown {
    switch (call.hook) {
      case "setup":
        return this.#setup(call.start);
      case "receive":
        return this.#hook("receive")(call.args[0], this.#client(call), ...call.args.slice(1));
      case "joined":
      case "left": {
        const hook = this.#hooks[call.hook];
        const client = this.#client(call);
        return this.#clients.inTurn(call.client.handle, async () => {
          await hook?.(client);
        });
      }
      case "authorize":
        return this.#hook("authorize")(toAccessRequest(call.request));
      case "sink":
        return this.#sink(call.messages);
      case "source":
        return call.step === "next" ? this.#next(call.run) : this.#return(call.run);
      case "emit":
        return this.#emissions.produce(call.produce);
      case "close":
        return this.#end();
    }
  }

  async #setup(start: Start): Promise<string[]> {
    this.#start = start;
    this.#said = new Said(start.taken);
    const { plugin } = await this.#load(start);
    this.#name = plugin.name;
    this.#send({ say: "loaded" });
    const { signal } = this.#controller;
    const context = createGuestContext(
      { start, post: this.#post, ask: this.#ask, signal },
      this.#emissions,
    );
    const returned: unknown = await plugin.setup(context);
    const close: unknown =
      typeof returned === "object" && returned !== null ? Reflect.get(returned, "close") : null;
    if (typeof close === "function") this.#close = close.bind(returned) as () => unknown;
    this.#hooks = checkHooks(returned, plugin.name, start.channel.name);
    return Object.keys(this.#hooks);
  }

  /** A worker reads the file itself, which may have been written since the server did. */
  async #load({ use, directory, version }: Start): Promise<LoadedPlugin> {
    const compare = (now: string | null | undefined) => {
      if (version !== null && now !== version) this.#send({ say: "changed" });
    };
    try {
      const loaded = await loadPlugin(use, directory);
      compare(loaded.version);
      return loaded;
    } catch (error) {
      if (version !== null) compare(readGraph(use).hash);
      throw error;
    }
  }

  #hook(name: "receive" | "authorize" | "transform" | "source") {
    const hook = this.#hooks[name];
    if (hook) return hook;
    throw new Error(`since its restart the plugin has no hook ${name}`);
  }

  #client(call: Extract<Call, { client: unknown }>): Client {
    return this.#clients.of(call.client);
  }

  async #sink(messages: readonly unknown[]): Promise<void> {
    await this.#hooks.sink?.(messages);
  }

  async #next(run: number): Promise<{ done: boolean; value: unknown }> {
    let iterator = this.#runs.get(run);
    if (!iterator) {
      iterator = openIterator(this.#hook("source")());
      this.#runs.set(run, iterator);
    }
    const { done = false, value } = await iterator.next();
    if (done) this.#runs.delete(run);
    return { done, value: done ? undefined : value };
  }

  async #return(run: number): Promise<void> {
    const iterator = this.#runs.get(run);
    this.#runs.delete(run);
    await iterator?.return?.();
  }

  async #end(): Promise<void> {
    const close = this.#close;
    this.#close = null;
    try {
      await close?.();
    } finally {
      this.#emissions.isClosed = true;
    }
  }

  readonly #ask = (ask: Ask): Promise<unknown> => {
    const id = ++this.#lastAsked;
    const answer = Promise.withResolvers<unknown>();
    try {
      this.#post({ say: "ask", id, trail: currentTrail(), ask });
      this.#asked.set(id, answer);
    } catch (error) {
      answer.reject(error);
    }
    return answer.promise;
  };

  /** Answers in any case: the channel waits for it. */
  async #transform(id: number, read: () => readonly Given[]): Promise<void> {
    try {
      await this.#transformAll(id, read());
    } catch (error) {
      this.#send({ say: "failure", id, error: toWireError(error) });
    }
  }

  async #transformAll(id: number, given: readonly Given[]): Promise<void> {
    const results: WireResult[] = [];
    for (const each of given) {
      let result: WireResult | Promise<WireResult>;
      try {
        const made = this.#hook("transform")(each.draft);
        result = isThenable(made)
          ? this.#limited(made, each)
          : toWireResult(checkResult(made), each);
      } catch (error) {
        result = { error: toWireError(error) };
      }
      results.push(result instanceof Promise ? await result : result);
      this.#signInBatch();
    }
    const text = encodeResults(id, results);
    if (text !== null) return this.#send(text);
    try {
      this.#send({ say: "transformed", id, results });
    } catch {
      this.#send({ say: "transformed", id, results: results.map(orUncloneable) });
    }
  }

  /** A transform that never settles would hold up its channel for ever. */
  #limited(made: PromiseLike<unknown>, given: Given): Promise<WireResult> {
    const { timeoutMs } = this.#start!;
    return new Promise((resolve) => {
      const late = `transform did not end within ${timeoutMs / 1000} s, its "timeout:"`;
      const timer = setTimeout(() => resolve({ error: timeoutError(late) }), timeoutMs);
      const settle = (result: () => WireResult) => {
        clearTimeout(timer);
        try {
          resolve(result());
        } catch (error) {
          resolve({ error: toWireError(error) });
        }
      };
      made.then(
        (value) => settle(() => toWireResult(checkResult(value), given)),
        (error) => settle(() => ({ error: toWireError(error) })),
      );
    });
  }

  /** A long batch is no endless loop: each draft that is done is a sign of life. */
  #signInBatch(): void {
    const now = performance.now();
    if (now - this.#lastSignMs > this.#start!.timeoutMs / 8) this.#sign(now);
  }

  #sign(now = performance.now()): void {
    this.#lastSignMs = now;
    this.#send({ say: "alive", heap: this.#heap() });
  }

  #heap(): number {
    const { heapUsed } = process.memoryUsage();
    if (this.#start === null || heapUsed <= this.#start.memory) return heapUsed;
    // Much of it may be garbage that nobody has looked for yet.
    Bun.gc(true);
    return process.memoryUsage().heapUsed;
  }
}

function uncloneable(error: unknown, hook?: string, value?: unknown): unknown {
  if (!(error instanceof DOMException && error.name === "DataCloneError")) return error;
  return new HookResultError(
    hook === undefined
      ? `what the plugin gave can't leave its worker: ${error.message}`
      : `${hook} gave ${kindOf(value)} that can't leave its worker: ${error.message}`,
    "give JSON, text or bytes: no functions, and no objects with a life of their own",
  );
}

function orUncloneable(result: WireResult): WireResult {
  try {
    structuredClone(result);
    return result;
  } catch (error) {
    return { error: toWireError(uncloneable(error, "transform", {})) };
  }
}
