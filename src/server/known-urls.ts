/** What the URLs of late say: all who wait for the same message ask with the same one. */
import type { ChannelMatch, Channels } from "./channels.ts";
import { readUrl, type Target } from "./target.ts";

/** Where a request goes. */
export interface Destination {
  readonly target: Target;
  /** The channel at the target's path; null where there is none. */
  readonly match: ChannelMatch | null;
}

interface Known extends Destination {
  readonly host: string | null;
}

/** URLs that are remembered: those of one crowd are few, and nobody should fill the memory with others. */
const MAX_URLS = 256;
const MAX_URL_LENGTH = 1024;

export class KnownUrls {
  readonly #channels: Channels;
  readonly #known = new Map<string, Known>();

  constructor(channels: Channels) {
    this.#channels = channels;
  }

  /**
   * Reads where a request goes.
   *
   * @throws {RequestError} 400 when its URL or `Host` can't be used.
   */
  read(request: Request): Destination {
    const { url } = request;
    const host = request.headers.get("host");
    const known = this.#known.get(url);
    // Different hosts and paths can be written as the same URL, of which one host is not to be used.
    if (known && known.host === host) return known;
    const target = readUrl(url, host);
    const match = this.#channels.match(target.pathname);
    const read: Known = { host, target, match };
    if (match && url.length <= MAX_URL_LENGTH) this.#remember(url, read);
    return read;
  }

  /** To be called when other channels are declared. */
  forget(): void {
    this.#known.clear();
  }

  #remember(url: string, read: Known): void {
    if (this.#known.size >= MAX_URLS) this.#known.clear();
    this.#known.set(url, read);
  }
}
