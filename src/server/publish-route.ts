/** A POST to a channel's URL, from its request to its answer. */
import { textOf } from "../transport/text.ts";
import type { Config } from "../config/config.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { ChannelClient, type ClientContext, type Peer } from "./client.ts";
import { checkPublish } from "./live-channel.ts";
import { readPublish } from "./publish-request.ts";
import type { Target } from "./target.ts";

export interface PublishContext extends ClientContext {
  readonly config: Config;
  readonly channels: Channels;
}

/** A POST that arrived. */
export interface Post {
  readonly request: Request;
  readonly target: Target;
  readonly peer: Peer;
}

/**
 * Publishes a body, or gives it to `receive` hooks.
 *
 * @returns 201 with the ids, 202 when nothing came of it, or 200 with what hooks answered.
 * @throws {RequestError} When the request or its body is refused.
 */
export async function servePublish(
  context: PublishContext,
  match: ChannelMatch,
  { request, target, peer }: Post,
): Promise<Response> {
  const { channels, config } = context;
  const declared = match.value.config;
  // Refused before its body is read, and with no channel brought to life that has nobody to be asked.
  if (declared.plugins.length > 0) {
    const visit = { peer, action: "publish", transport: "post", isNew: false } as const;
    await context.admission.open(match, visit);
  } else checkPublish(declared, channels.nameOf(match), null);
  const { drafts, isMany } = await readPublish(request, target.query, config.limits.message);
  // Not before: a body may come so slowly that the channel would be let go of meanwhile.
  const live = await channels.open(match);
  const client = new ChannelClient(live, peer, "post", context);
  const answers: unknown[] = [];
  client.answerBy({ send: (data) => void answers.push(data), close: () => {} });
  try {
    const messages = await live.submit(drafts, client);
    if (answers.length > 0) return answered(answers);
    const ids = messages.map(({ id }) => id);
    const id = ids[ids.length - 1] ?? null;
    const body = isMany || ids.length > 1 ? { id, ids } : { id };
    const base = target.pathname === "/" ? "" : target.pathname;
    return Response.json(body, {
      status: id === null ? 202 : 201,
      headers: id === null ? {} : { location: `${base}/messages/${id}` },
    });
  } finally {
    client.answered();
  }
}

/** What `receive` hooks sent to a client that POSTed: one answer as it is, several as an array. */
function answered(answers: readonly unknown[]): Response {
  const [first] = answers;
  if (answers.length > 1) return Response.json(answers);
  if (first instanceof Uint8Array) return new Response(first as Uint8Array<ArrayBuffer>);
  if (typeof first === "string") return new Response(textOf(first));
  return Response.json(first);
}
