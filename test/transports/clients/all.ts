/** Every way to receive a channel: a new transport adds its own here. */
import type { Way } from "./client.ts";
import { http2Push } from "./http2-push.ts";
import {
  mergedEventSource,
  mergedEventSourceGzip,
  mergedEventSourceZstd,
  mergedPoll,
  mergedPollGzip,
} from "./merged.ts";
import { curlPoll, envelopePoll, envelopePollGzip, rawPoll, rawPollZstd } from "./long-poll.ts";
import { eventSource, eventSourceClient, eventSourceGzip, eventSourceZstd } from "./sse.ts";
import {
  frameWebSocket,
  frameWebSocketDeflate,
  manyWebSocket,
  rawWebSocket,
  rawWebSocketDeflate,
} from "./websocket.ts";

export const WAYS: readonly Way[] = [
  rawWebSocket,
  frameWebSocket,
  manyWebSocket,
  eventSource,
  eventSourceClient,
  rawPoll,
  envelopePoll,
  curlPoll,
  http2Push,
  mergedEventSource,
  mergedPoll,
];

/** The same, compressed; the server has to have `server.compression` for it. */
export const COMPRESSED_WAYS: readonly Way[] = [
  rawWebSocketDeflate,
  frameWebSocketDeflate,
  eventSourceGzip,
  eventSourceZstd,
  rawPollZstd,
  envelopePollGzip,
  mergedEventSourceGzip,
  mergedEventSourceZstd,
  mergedPollGzip,
];
