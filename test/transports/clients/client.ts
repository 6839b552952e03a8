/** What the contract suite asks of every way to receive a channel. */

/** What a client got, one after the other. */
export type Received =
  | {
      readonly type: "message";
      /** null where the framing carries no id. */
      readonly id: string | null;
      /** The data's text; base64 for bytes where the way says so. */
      readonly text: string;
    }
  | { readonly type: "gap"; readonly after: string; readonly id: string }
  | { readonly type: "end"; readonly code: number | null };

export interface ClientOptions {
  /** Base URL of the listener: `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly channel: string;
  /** A position, `earliest` or `state`. */
  readonly after?: string;
}

export interface TestClient {
  /** The next thing that it receives. */
  next(): Promise<Received>;
  close(): Promise<void> | void;
}

/** One way to receive a channel, and what its framing can carry. */
export interface Way {
  readonly name: string;
  readonly transport: "websocket" | "sse" | "long-poll" | "http2-push";
  /** Whether messages carry their position. */
  readonly hasIds: boolean;
  /** How bytes arrive. */
  readonly bytes: "bytes" | "base64";
  /** SSE turns every kind of line end into LF. */
  readonly lineEnds: "kept" | "lf";
  /** Starts a client; resolves when the server holds its subscription, or the answer to its first poll. */
  open(options: ClientOptions): Promise<TestClient>;
}

/** A queue between events and `next`. */
export class Inbox {
  readonly #items: Received[] = [];
  readonly #waiting: ((item: Received) => void)[] = [];

  readonly push = (item: Received): void => {
    const taker = this.#waiting.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  };

  readonly next = (): Promise<Received> => {
    const item = this.#items.shift();
    if (item) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiting.push(resolve));
  };
}

/** The channel's URL with where to start. */
export function channelUrl({ url, channel, after }: ClientOptions, query = ""): string {
  const start = after === undefined ? "" : `after=${after}&`;
  return `${url}/channels/${channel}?${start}${query}`;
}
