/** Every way to receive a channel: a new transport adds its own here. */
import type { Way } from "./client.ts";
import { http2Push } from "./http2-push.ts";
import { envelopePoll, manyPoll, rawPoll } from "./long-poll.ts";
import { sse, sseMany } from "./sse.ts";
import { frameWebSocket, manyWebSocket, rawWebSocket } from "./websocket.ts";

export const WAYS: readonly Way[] = [
  rawWebSocket,
  frameWebSocket,
  manyWebSocket,
  sse,
  sseMany,
  rawPoll,
  envelopePoll,
  manyPoll,
  http2Push,
];
