/** Every way to receive a channel: a new transport adds its own here. */
import type { Way } from "./client.ts";
import { http2Push } from "./http2-push.ts";
import { mergedEventSource, mergedPoll } from "./merged.ts";
import { curlPoll, envelopePoll, rawPoll } from "./long-poll.ts";
import { eventSource, eventSourceClient } from "./sse.ts";
import { frameWebSocket, manyWebSocket, rawWebSocket } from "./websocket.ts";

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
