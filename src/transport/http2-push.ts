/**
 * HTTP/2 server push: a held stream on which each message is promised as a resource of its own.
 *
 * Each message is a PUSH_PROMISE for `<channel>/messages/<id>`, answered with the data. The held stream's
 * body has lines of JSON (NDJSON): `subscribed`, `gap`, `message` (for this client alone) and `closing`.
 * One that did not arrive whole ends it: `closing` then says after which id to come back.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.4
 */
import type { Channel } from "../channel/channel.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import { CLOSE } from "./errors.ts";
import { Http2PushStream } from "./http2-push-stream.ts";
import { PageCache } from "./page-cache.ts";
import { preparePushes, type PreparedPush } from "./prepared-push.ts";
import { spreadCalls } from "./spread.ts";
import type { Exchange, Transport, TransportOptions } from "./transport.ts";

/** The media type that asks for pushes, and of the held stream's body. */
export const PUSH_TYPE = "application/vnd.tidewire.push";

export class Http2PushTransport implements Transport {
  readonly name = "http2-push";
  readonly #options: TransportOptions;
  readonly #fallback: Transport;
  readonly #streams = new Set<Http2PushStream>();
  readonly #pages = new PageCache<readonly PreparedPush[]>((pushes) =>
    pushes.reduce((sum, { cost }) => sum + cost, 0),
  );

  /** @param fallback Serves the same request where the client takes no pushes. */
  constructor(options: TransportOptions, fallback: Transport) {
    this.#options = options;
    this.#fallback = fallback;
  }

  /** Whether pushes are asked for; a client that asks and yet takes none gets the fallback. */
  matches(request: Request): boolean {
    return request.headers.get("accept")?.toLowerCase().includes(PUSH_TYPE) ?? false;
  }

  serve(exchange: Exchange): MaybePromise<Response | undefined> {
    const { listener, request, channel, subscriber, start, path } = exchange;
    const port = listener.push(request);
    if (port === null) return this.#fallback.serve(exchange);
    listener.hold(request, 0);
    const stream = new Http2PushStream({
      channel,
      subscriber,
      start,
      path,
      port,
      bufferBytes: this.#options.bufferBytes,
      pages: this.#pages,
      join: (member) => join(channel, member),
      onEnd: (ended) => this.#streams.delete(ended),
    });
    this.#streams.add(stream);
    return new Response(stream.open(), {
      headers: { "content-type": PUSH_TYPE, "cache-control": "no-store" },
    });
  }

  shutdown(spreadMs: number): Promise<void> {
    this.#pages.clear();
    return spreadCalls(this.#streams, spreadMs, (stream) =>
      stream.end(CLOSE.goingAway, "the server is going away"),
    );
  }
}

/** Subscribers of one channel: each batch's headers and bodies are made once for all of them. */
class Http2PushGroup implements FanOutGroup {
  readonly members = new Set<Http2PushStream>();

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    const pushes = preparePushes(batch);
    for (const member of this.members) if (!member.offer(pushes)) member.tooSlow(batch);
  }
}

/** Joins the channel's group; returns how to leave it. */
function join(channel: Channel, member: Http2PushStream): () => void {
  const { members } = channel.fanOut.group("http2-push", () => new Http2PushGroup());
  members.add(member);
  return () => members.delete(member);
}
