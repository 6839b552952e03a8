/** What the calls of a test have in common: each waits for what it set going, and throws what hooks threw. */
import type { PluginError } from "../../plugin/errors.ts";
import { toSent, type Sent } from "./sent.ts";
import type { Asking, Stage } from "./stage.ts";
import type { Watch } from "./watched-plugin.ts";

export class StageCalls {
  readonly #stage: Stage;
  /** Messages that no call has returned yet begin here. */
  #returned = 0;
  /** Errors before this one were thrown by a call, or looked at. */
  #heard = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Errors that nobody was told of. */
  get unheard(): readonly PluginError[] {
    return this.#stage.failures.slice(this.#heard);
  }

  /** Everything that hooks threw, oldest first. Nobody has to be told of it any more. */
  hear(): readonly PluginError[] {
    this.#heard = this.#stage.failures.length;
    return [...this.#stage.failures];
  }

  /** Runs a call, waits for what it set going, and gives what came out. */
  async during(work: () => unknown): Promise<Sent[]> {
    const { messages } = this.#stage;
    const from = messages.length;
    try {
      await work();
    } catch (error) {
      await this.#settle();
      // What the client or publisher is told says less than the hook's own error.
      this.throwFailure();
      // A client is told no reason.
      const isDenied = error instanceof Error && "code" in error && error.code === "forbidden";
      throw isDenied ? denied("publish", this.#stage.denial) : error;
    }
    await this.#settle();
    this.throwFailure();
    this.#returned = messages.length;
    return messages.slice(from).map(toSent);
  }

  /** Lets this much time pass, in milliseconds, while the sources run. */
  async advance(ms: number): Promise<Sent[]> {
    return this.during(async () => {
      this.#run(() => true);
      try {
        await this.#stage.progress.advance(ms);
      } finally {
        this.#run(() => false);
      }
    });
  }

  /** Runs the sources until so many messages have come that no call has returned yet, and returns those. */
  async take(count: number, restarts: boolean): Promise<Sent[]> {
    const { messages, progress } = this.#stage;
    const sources = this.#having("source");
    const names = sources.map(({ name }) => name).join(", ");
    const came = () => messages.length - this.#returned;
    const short = (why: string) => new Error(`${names} gave ${came()} of ${count}: ${why}`);
    this.#run(() => came() < count);
    try {
      while (came() < count) {
        const before = messages.length;
        const hasEnded = () => sources.every(({ watch }) => watch.ended);
        const isDone = () => messages.length > before || hasEnded() || this.#hasFailed(restarts);
        await progress.until(isDone, { stuck: short, restarts });
        this.throwFailure(restarts);
        if (messages.length === before && hasEnded()) throw short("its source has ended");
      }
    } finally {
      this.#run(() => false);
    }
    await this.#settle();
    this.throwFailure(restarts);
    const taken = messages.slice(this.#returned, this.#returned + count);
    this.#returned += taken.length;
    return taken.map(toSent);
  }

  /** @param what What is said to go on where it does not end. */
  async wait<T>(work: T | Promise<T>, what: string): Promise<T> {
    const stuck = (why: string) => new Error(`${what}: ${why}`);
    return this.#stage.progress.of(work, { stuck });
  }

  /** @throws {Error} When `authorize` denies a client to subscribe. */
  async admit(client: Asking): Promise<void> {
    if (!this.#stage.live.plugins.authorize) return;
    const verdict = await this.ask("subscribe", client);
    if (verdict !== "allow") throw denied("subscribe", verdict.deny);
  }

  /** Asks `authorize`. */
  async ask(action: "subscribe" | "publish", client: Asking) {
    const verdict = await this.wait(this.#stage.ask(action, client), "authorize does not end");
    this.throwFailure();
    return verdict;
  }

  /** @throws {Error} When no plugin has this hook. */
  need(hook: string): void {
    if (this.#having(hook).length > 0) return;
    const names = this.#stage.names.join(", ");
    const advice =
      hook === "receive"
        ? `; start it with { publish: "clients" } to publish what clients send`
        : "";
    throw new Error(`${names} has no ${hook}${advice}`);
  }

  /** @throws {PluginError} What a hook threw that no call has thrown before. */
  throwFailure(restarts = false): void {
    const [first] = this.unheard.filter(({ hook }) => !(restarts && hook === "source"));
    this.#heard = this.#stage.failures.length;
    if (first) throw first;
  }

  /** Waits for the calls of `sink`, `joined` and `left` that go on, and for what needs no timer. */
  async #settle(): Promise<void> {
    const { progress, watches } = this.#stage;
    const stuck = (why: string) => new Error(`a sink, joined or left does not end: ${why}`);
    const isIdle = () => watches.every(({ busy }) => busy === 0);
    do {
      await progress.until(isIdle, { stuck });
      await progress.quiet();
    } while (!isIdle());
  }

  #having(hook: string): { readonly name: string; readonly watch: Watch }[] {
    const { names, watches } = this.#stage;
    return watches.flatMap((watch, i) =>
      watch.hooks.has(hook) ? [{ name: names[i]!, watch }] : [],
    );
  }

  #run(may: () => boolean): void {
    for (const watch of this.#stage.watches) watch.let(may);
  }

  #hasFailed(restarts: boolean): boolean {
    return this.unheard.some(({ hook }) => !(restarts && hook === "source"));
  }
}

function denied(action: "subscribe" | "publish", reason: string): Error {
  return new Error(`authorize denied to ${action}: ${reason}`);
}
