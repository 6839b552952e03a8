/**
 * Pages of history in the form in which they are sent: encoded once for all who ask at about the same time.
 *
 * After a lost network, or a restart, thousands of clients come back at once and want the same messages.
 * Where a page ends is the cursor's choice, the same for all (`CursorLimit.isAligned`).
 */
import type { Channel } from "../channel/channel.ts";
import type { Message } from "../channel/message.ts";

/** Bytes that one transport's pages take at most: those that were asked for least of late go first. */
const MAX_BYTES = 16 * 1024 ** 2;

/** A page that nobody asks for is let go of after once to twice this time, in milliseconds. */
const SWEEP_MS = 1000;

/** What a page takes beside itself and its key, about. */
const OVERHEAD_BYTES = 512;

interface Page<T> {
  /** The pages of its channel. */
  readonly among: Map<string, Page<T>>;
  readonly key: string;
  readonly encoded: T;
  readonly bytes: number;
  /** Asked for since the last sweep. */
  isFresh: boolean;
}

/** @typeParam T One page, encoded: immutable, as all who ask for it share it. */
export class PageCache<T> {
  readonly #bytesOf: (encoded: T) => number;
  readonly #maxBytes: number;
  /** By the channel itself, which is not kept for it: one of the same name may have another history. */
  readonly #channels = new WeakMap<Channel, Map<string, Page<T>>>();
  /** In order of use. */
  readonly #pages = new Set<Page<T>>();
  #bytes = 0;
  /** Runs only while there are pages. */
  #sweeper: Timer | null = null;

  /** @param bytesOf Memory that a page takes, about; its key, which a client may have a say in, is added. */
  constructor(bytesOf: (encoded: T) => number, maxBytes = MAX_BYTES) {
    this.#bytesOf = bytesOf;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the pages that it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * @param form All that the encoded page depends on beside its messages: framing, content coding.
   * @param batch Messages of the channel's history, or of its state, in order.
   * @returns What `encode` made of these messages, now or for another.
   */
  get(
    channel: Channel,
    form: string,
    batch: readonly Message[],
    encode: (batch: readonly Message[]) => T,
  ): T {
    const key = `${rangeOf(batch)} ${form}`;
    const known = this.#channels.get(channel)?.get(key);
    if (known) {
      known.isFresh = true;
      this.#pages.delete(known);
      this.#pages.add(known);
      return known.encoded;
    }
    const encoded = encode(batch);
    const bytes = this.#bytesOf(encoded) + 2 * key.length + OVERHEAD_BYTES;
    // It would drive out all others, and not stay.
    if (bytes > this.#maxBytes) return encoded;
    let among = this.#channels.get(channel);
    if (!among) this.#channels.set(channel, (among = new Map()));
    this.#keep({ among, key, encoded, bytes, isFresh: true });
    return encoded;
  }

  /** Lets go of all. */
  clear(): void {
    for (const page of this.#pages) this.#drop(page);
  }

  #keep(page: Page<T>): void {
    page.among.set(page.key, page);
    this.#pages.add(page);
    this.#bytes += page.bytes;
    for (const oldest of this.#pages) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  #sweep(): void {
    for (const page of this.#pages) {
      if (page.isFresh) page.isFresh = false;
      else this.#drop(page);
    }
  }

  #drop(page: Page<T>): void {
    this.#pages.delete(page);
    this.#bytes -= page.bytes;
    page.among.delete(page.key);
    if (this.#pages.size > 0 || this.#sweeper === null) return;
    clearInterval(this.#sweeper);
    this.#sweeper = null;
  }
}

/** Says which messages these are. Those of a state have holes between them, and others when keys change. */
function rangeOf(batch: readonly Message[]): string {
  const first = batch[0]!.offset;
  const last = batch[batch.length - 1]!.offset;
  if (last - first + 1 === batch.length) return `${first}-${last}`;
  let offsets = "";
  for (const { offset } of batch) offsets += `${offset},`;
  return offsets;
}
