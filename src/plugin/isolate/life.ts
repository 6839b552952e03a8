/** One life of a worker: from its start to its end, with what is asked of it meanwhile. */
import type { Draft } from "../../channel/message.ts";
import { TransformFailure, type BatchResult } from "../../channel/pipeline.ts";
import { currentTrail } from "../../channel/trail.ts";
import type { Clock } from "../clock.ts";
import { Taken } from "./flow.ts";
import { Watch } from "./watch.ts";
import type { Call, ToGuest, ToHost } from "./wire.ts";
import { decodeResults, encodeDrafts, fromWireResult, type WireResult } from "./wire-drafts.ts";
import { fromWireError, type Where } from "./wire-error.ts";
import { WorkerEndedError } from "./worker-errors.ts";
import { WORKER_URL } from "./worker-url.ts";

export interface LifeOptions {
  readonly plugin: string;
  readonly channel: string;
  readonly timeoutMs: number;
  readonly memory: number;
  readonly clock: Clock;
  /** Takes what the worker says by itself. MUST NOT throw. */
  readonly onMessage: (message: Exclude<ToHost, string>) => void;
}

interface Pending {
  readonly where: Where;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Life {
  /** Resolves with the reason when the worker has ended. */
  readonly ended: Promise<string>;
  readonly taken = new Taken();
  readonly #options: LifeOptions;
  readonly #worker: Worker;
  readonly #watch: Watch;
  readonly #pending = new Map<number, Pending>();
  readonly #end: (reason: string) => void;
  #lastId = 0;
  #reason: string | null = null;

  constructor(options: LifeOptions) {
    const { plugin, timeoutMs, memory, clock } = options;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    this.#end = resolve;
    this.#worker = new Worker(WORKER_URL, { name: `plugin ${plugin}` });
    this.#watch = new Watch({
      timeoutMs,
      memory,
      clock,
      ping: () => this.post({ say: "ping" }),
      isBusy: () => this.#pending.size > 0,
      onBad: (reason) => this.end(reason),
    });
    this.#worker.onmessage = ({ data }: { data: ToHost }) => {
      try {
        this.#take(data);
      } catch {
        // The plugin, or a package of its own, has posted it past `Guest`.
        this.end("posted a message that is no answer of a plugin");
      }
    };
    this.#worker.addEventListener("messageerror", () => this.end("said what can't be read"));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      // Bun gives it with the lines of the source around it.
      const [line] = /^\w*Error: .*/m.exec(event.message) ?? [event.message];
      this.end(`failed: ${line}`);
    });
    this.#worker.addEventListener("close", (event) => {
      const { code } = event as unknown as { code?: number };
      this.end(`ended by itself with exit code ${code ?? 0} (process.exit)`);
    });
  }

  get isOver(): boolean {
    return this.#reason !== null;
  }

  /** Setup is done: from here on the worker has to give signs of life. */
  ready(): void {
    this.#watch.ready();
  }

  /** It is to stop: from here on it may not be silent for longer than so many milliseconds. */
  hurry(silenceMs: number): void {
    this.#watch.hurry(silenceMs);
  }

  /** Ends the worker, whatever it does. What it held is answered with an error. */
  end(reason: string): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#watch.stop();
    this.#worker.onmessage = null;
    this.#worker.terminate();
    const error = new WorkerEndedError(`its worker ${reason}`);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#end(reason);
  }

  post(message: ToGuest): void {
    if (this.#reason === null) this.#worker.postMessage(message);
  }

  /**
   * Calls a hook.
   *
   * @throws What the hook throws; `WorkerEndedError` when the worker ends first; a `DataCloneError` when
   *   what it is given can't be cloned.
   */
  call(call: Call): Promise<unknown> {
    const { promise, id } = this.#ask(call.hook);
    try {
      this.post({ say: "call", id, trail: currentTrail(), call });
    } catch (error) {
      this.#settle(id)?.reject(error);
    }
    return promise;
  }

  /** Gives a batch to the `transform` hook. Never rejects. */
  async transform(
    drafts: readonly Draft[],
    texts: readonly (string | undefined)[],
  ): Promise<BatchResult[]> {
    const { promise, id, where } = this.#ask("transform");
    try {
      const trail = currentTrail();
      const text = encodeDrafts(id, trail, drafts, texts);
      const call = { hook: "transform" as const, drafts };
      this.post(text ?? { say: "call", id, trail, call });
      const results = (await promise) as readonly WireResult[];
      return drafts.map((draft, i) => fromWireResult(results[i]!, draft, where));
    } catch (error) {
      this.#settle(id);
      // One draft that can't be cloned is no matter of the others.
      if (drafts.length > 1 && isUncloneable(error)) return this.#oneByOne(drafts, texts);
      return drafts.map(() => new TransformFailure(error));
    }
  }

  async #oneByOne(
    drafts: readonly Draft[],
    texts: readonly (string | undefined)[],
  ): Promise<BatchResult[]> {
    const results: BatchResult[] = [];
    for (const [i, draft] of drafts.entries()) {
      results.push(...(await this.transform([draft], [texts[i]])));
    }
    return results;
  }

  #ask(hook: string) {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const { plugin, channel } = this.#options;
    const where: Where = { plugin, hook, channel };
    if (this.#reason !== null) reject(new WorkerEndedError(`its worker ${this.#reason}`));
    else this.#pending.set(id, { where, resolve, reject });
    if (this.#lastId === 1) this.#watch.start();
    else this.#watch.wake();
    return { promise, id, where };
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #take(message: ToHost): void {
    if (typeof message === "string") {
      this.#watch.sign();
      const { id, results } = decodeResults(message);
      this.#settle(id)?.resolve(results);
      return;
    }
    switch (message.say) {
      case "answer":
        this.#watch.sign();
        this.#settle(message.id)?.resolve(message.value);
        break;
      case "transformed":
        this.#watch.sign();
        this.#settle(message.id)?.resolve(message.results);
        break;
      case "failure": {
        this.#watch.sign();
        const pending = this.#settle(message.id);
        pending?.reject(fromWireError(message.error, pending.where));
        break;
      }
      case "loaded":
        this.#watch.loaded();
        break;
      case "alive":
        this.#watch.sign();
        this.#watch.report(message.heap);
        break;
      default:
        // No sign of life: an endless loop may log, or send, and answers nobody all the same.
        this.taken.take(message);
        this.#options.onMessage(message);
    }
  }
}

function isUncloneable(error: unknown): boolean {
  return error instanceof DOMException && error.name === "DataCloneError";
}
