/** Channels that end together: what their plugins still have to say to one another is heard. */
import type { LiveChannel } from "./live-channel.ts";

/** Milliseconds that a channel waits for the others: less than what its own end may take (5 s). */
const OTHERS_MS = 4000;

export class Ending {
  readonly #lives = new Map<string, LiveChannel>();
  /** Channels whose plugins still run their `close`. */
  readonly #speaking = new Set<LiveChannel>();
  readonly #quiet = Promise.withResolvers<void>();
  #limit: Timer | null = null;

  /** @param lives Channels that are told to end now. */
  constructor(lives: Iterable<LiveChannel>) {
    for (const live of lives) {
      this.#lives.set(live.name, live);
      this.#speaking.add(live);
    }
  }

  /** The channel of this name, which may take messages still. */
  find(name: string): LiveChannel | null {
    return this.#lives.get(name) ?? null;
  }

  /**
   * Called when the plugins of a channel have closed, those with a sink excepted.
   *
   * @returns Resolves when those of all channels have and no message is on its way between them, after 4 s
   *   at most. Never rejects.
   */
  async quiet(live: LiveChannel): Promise<void> {
    if (!this.#lives.has(live.name)) return;
    this.#limit ??= setTimeout(() => this.#quiet.resolve(), OTHERS_MS).unref();
    if (this.#speaking.delete(live) && this.#speaking.size === 0) {
      void this.#settle().finally(() => this.#quiet.resolve());
    }
    await this.#quiet.promise;
    clearTimeout(this.#limit);
  }

  async #settle(): Promise<void> {
    const lives = [...this.#lives.values()];
    const published = () => lives.reduce((sum, { channel }) => sum + channel.published, 0);
    for (let before = -1; before !== published();) {
      before = published();
      // A sink that gets a message may publish it to a channel that was quiet a moment ago.
      await Promise.all(lives.map((live) => live.quiet()));
    }
  }
}
