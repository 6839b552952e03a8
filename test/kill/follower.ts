/** A subscriber that comes back with its position however often its server ends. */
import type { Received, TestClient, Way } from "../transports/clients/client.ts";
import type { Fleet, Life } from "./fleet.ts";
import type { Followed, Kept } from "./judge.ts";

export class Follower implements Followed {
  readonly name: string;
  readonly received: Kept[] = [];
  readonly gaps: string[] = [];
  readonly #way: Way;
  readonly #channel: string;
  readonly #level = Promise.withResolvers<void>();
  #last: string | null = null;
  #client: TestClient | null = null;
  #receives = Promise.withResolvers<void>();

  constructor(way: Way, channel: string) {
    this.name = `${way.name} on ${channel}`;
    this.#way = way;
    this.#channel = channel;
  }

  /** Follows the channel until it has got the message with this text. */
  async follow(fleet: Fleet, last: string): Promise<void> {
    this.#last = last;
    while (!this.#isLevel) await this.#once(await fleet.up());
    await this.#client?.close();
    this.#level.resolve();
  }

  /** Resolves when it gets one more message. */
  receives(): Promise<void> {
    this.#receives = Promise.withResolvers();
    return this.#receives.promise;
  }

  get #isLevel(): boolean {
    return this.received.at(-1)?.text === this.#last;
  }

  async #once({ publicUrl, pushUrl, over }: Life): Promise<void> {
    const url = this.#way.transport === "http2-push" ? pushUrl : publicUrl;
    const after = this.received.at(-1)?.id ?? "earliest";
    // A client may wait for ever for a server that ended while it was connecting.
    const isOver = over.then(() => null);
    const opened = this.#way.open({ url, channel: this.#channel, after }).catch(() => null);
    this.#client = await Promise.race([opened, isOver]);
    if (!this.#client) {
      void opened.then((late) => late?.close());
      return void (await Promise.race([over, Bun.sleep(20)]));
    }
    for (;;) {
      const item = await this.#client.next();
      if (item.type === "end") break;
      this.#take(item);
      if (this.#isLevel) return;
    }
    await this.#client.close();
    await Promise.race([over, Bun.sleep(20)]);
  }

  #take(item: Exclude<Received, { type: "end" }>): void {
    if (item.type === "gap") return void this.gaps.push(`${item.after} to ${item.id}`);
    const { id, text } = item;
    // JSON strings come as they are written, or as what they mean.
    this.received.push({ id: id!, text: text.replaceAll('"', "") });
    this.#receives.resolve();
  }
}
