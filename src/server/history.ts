/** A channel's history by GET: one message, or a page. */
import { Cursor, type Step } from "../channel/cursor.ts";
import type { Channel } from "../channel/channel.ts";
import type { Message } from "../channel/message.ts";
import {
  createEpoch,
  formatPosition,
  formatStatePlace,
  parsePosition,
  type Position,
  type Start,
} from "../channel/position.ts";
import { encodePage, ENVELOPE_TYPE } from "../transport/envelope.ts";
import { RequestError } from "../transport/errors.ts";
import { readLimit } from "../transport/poll-query.ts";
import { messageHeaders } from "../transport/message-response.ts";

/** Bytes of data after which a page ends. */
const PAGE_BYTES = 4 * 1024 * 1024;

/**
 * Answers `GET <channel>/messages`: what comes after the start, the oldest first.
 *
 * @param channel null when it is not alive: then nothing is kept, and what came after a position is lost.
 */
export async function servePage(
  channel: Channel | null,
  start: Start,
  query: URLSearchParams,
): Promise<Response> {
  const limit = readLimit(query);
  if (channel === null) {
    // Where the client does not know a position, one of a life that never was: who goes on from either
    // is told of a gap, for there is no telling what was published meanwhile.
    if (start.from === "state" && start.place) return page([], formatStatePlace(start.place), true);
    const shown = start.from === "after" ? start.position : { epoch: createEpoch(), offset: 0 };
    return page([], formatPosition(shown.epoch, shown.offset), start.from === "after");
  }
  // With no start given a page begins with the oldest: "live" has no history to show.
  const cursor = new Cursor(channel, start.from === "live" ? { from: "earliest" } : start);
  let step: Step;
  // An empty page is the end for whoever reads page by page: one where the state ends may have nothing in it.
  do step = await cursor.read({ count: limit, bytes: PAGE_BYTES });
  while (step.messages.length === 0 && step.gap === null && !cursor.isLevel);
  return page(step.messages, cursor.position, step.gap !== null);
}

function page(messages: readonly Message[], next: string, gap: boolean): Response {
  return new Response(encodePage(messages, next, gap), {
    headers: { "content-type": ENVELOPE_TYPE, "cache-control": "no-cache" },
  });
}

/**
 * Answers `GET <channel>/messages/<id>` with the message's data as it was published.
 *
 * @param channel null when it is not alive.
 */
export async function serveMessage(
  channel: Channel | null,
  name: string,
  id: string,
): Promise<Response> {
  const position = parsePosition(id);
  if (!position) {
    throw new RequestError(
      400,
      "bad-position",
      `${JSON.stringify(id.slice(0, 80))} is not the id of a message, such as "mfz3k9-42"`,
    );
  }
  const message = channel && (await findMessage(channel, position));
  if (!message) {
    throw new RequestError(
      404,
      "unknown-message",
      `channel "${name}" does not keep message ${id}: it is too old, or never was`,
    );
  }
  return new Response(message.bytes as Uint8Array<ArrayBuffer>, {
    headers: messageHeaders(message),
  });
}

async function findMessage(channel: Channel, position: Position): Promise<Message | null> {
  const { log } = channel;
  if (position.epoch !== log.epoch || position.offset < 1 || position.offset > log.top) return null;
  const { offset } = position;
  const limit = { through: offset, count: 1, bytes: 0 };
  const page = await log.read(offset - 1, limit);
  if (page.messages[0]) return page.messages[0];
  if (!log.keepsState) return null;
  // Through all that there is: a state that was built of a part of the history goes no less far.
  const state = await log.readState(offset - 1, { ...limit, through: log.top });
  return state?.messages.find((message) => message.offset === offset) ?? null;
}
