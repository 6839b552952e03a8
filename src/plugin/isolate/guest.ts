/** A plugin at work in a worker: takes calls of its hooks from the server's thread and answers them. */
import { currentTrail, withTrail } from "../../channel/trail.ts";
import { checkHooks, type BoundHooks } from "../hooks.ts";
import { loadPlugin, type LoadedPlugin } from "../load.ts";
import { readGraph } from "../module-graph.ts";
import type { Client } from "../sdk.ts";
import { openIterator, type AnyIterator } from "../source-runner.ts";
import { Said } from "./flow.ts";
import { GuestClients, toAccessRequest } from "./guest-clients.ts";
import { createGuestContext, Emissions } from "./guest-context.ts";
import { Signs } from "./guest-signs.ts";
import { GuestTransform } from "./guest-transform.ts";
import { uncloneable } from "./uncloneable.ts";
import type { Ask, Call, Start, ToGuest, ToHost } from "./wire.ts";
import { decodeDrafts, givenOf } from "./wire-drafts.ts";
import { fromWireError, toWireError } from "./wire-error.ts";

export class Guest {
  readonly #send: (message: ToHost) => void;
  readonly #controller = new AbortController();
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #clients: GuestClients;
  readonly #emissions: Emissions;
  readonly #signs: Signs;
  readonly #transform: GuestTransform;
  readonly #runs = new Map<number, AnyIterator>();
  #lastAsked = 0;
  #start: Start | null = null;
  #said: Said | null = null;
  #name = "";
  #hooks: BoundHooks = {};
  /** Of what setup gave: the only hook that is there where setup is refused. */
  #close: (() => unknown) | null = null;

  /** @param send Posts a message to the server's thread; throws where it can't be cloned. */
  constructor(send: (message: ToHost) => void) {
    this.#send = send;
    this.#clients = new GuestClients(this.#post);
    this.#emissions = new Emissions(this.#post);
    this.#signs = new Signs(send);
    this.#transform = new GuestTransform({
      send,
      hook: () => this.#hook("transform"),
      timeoutMs: () => this.#start!.timeoutMs,
      signs: this.#signs,
    });
  }

  readonly take = (message: ToGuest): void => {
    if (typeof message === "string") {
      const { id, trail, read } = decodeDrafts(message);
      void withTrail(trail, () => this.#transform.run(id, read));
      return;
    }
    switch (message.say) {
      case "call":
        void withTrail(message.trail, () => this.#answer(message.id, message.call));
        break;
      case "ping":
        this.#signs.give();
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
    if (call.hook === "transform") return this.#transform.run(id, () => call.drafts.map(givenOf));
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
    this.#signs.start(start);
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
}
