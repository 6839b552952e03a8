/** The transports that there are, in the order in which they are asked whether a request is theirs. */
import { Http2PushTransport } from "../transport/http2-push.ts";
import { LongPollTransport } from "../transport/long-poll.ts";
import { SseTransport } from "../transport/sse.ts";
import type { Transport, TransportOptions } from "../transport/transport.ts";
import { WebSocketTransport } from "../transport/websocket.ts";

export interface Transports {
  readonly all: readonly Transport[];
  /** The one that carries many channels on one connection. */
  readonly websocket: WebSocketTransport;
  readonly sse: SseTransport;
  readonly longPoll: LongPollTransport;
}

export function createTransports(options: TransportOptions): Transports {
  const websocket = new WebSocketTransport(options);
  const sse = new SseTransport(options);
  const longPoll = new LongPollTransport(options);
  // Long-poll is last: it takes whatever asks for nothing else.
  const all = [websocket, new Http2PushTransport(options, sse), sse, longPoll];
  return { all, websocket, sse, longPoll };
}
