/** A POST to a channel's URL, from its request to its answer. */
import type { Terms } from "../channel/terms.ts";
import type { Config } from "../config/config.ts";
import type { Hold } from "./body.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { ChannelClient, type ClientContext, type Peer } from "./client.ts";
import { readExpectPosition } from "./expect-position.ts";
import type { Idempotency } from "./idempotency.ts";
import { keyOfClient, readIdempotencyKey } from "./idempotency-key.ts";
import { checkPublish } from "./live-channel.ts";
import { PostAnswer } from "./post-answer.ts";
import { readPublish } from "./publish-request.ts";
import type { PublishRate } from "./publish-rate.ts";
import type { Target } from "./target.ts";

export interface PublishContext extends ClientContext {
  readonly config: Config;
  readonly channels: Channels;
  readonly publishRate: PublishRate;
  readonly idempotency: Idempotency;
}

/** A POST that arrived. */
export interface Post {
  readonly request: Request;
  readonly target: Target;
  readonly peer: Peer;
  readonly hold: Hold;
}

/**
 * Publishes a body, or gives it to `receive` hooks.
 *
 * @returns 201 with the ids, 202 when nothing came of it, or 200 with what hooks answered; all of it as it
 *   was before, where the request's `Idempotency-Key` was there before.
 * @throws {RequestError} When the request or its body is refused.
 */
export async function servePublish(
  context: PublishContext,
  match: ChannelMatch,
  { request, target, peer, hold }: Post,
): Promise<Response> {
  const { channels, config, publishRate, idempotency } = context;
  const declared = match.value.config;
  const before = publishRate.ofAddress(peer.address);
  if (before) publishRate.check(before);
  const key = readIdempotencyKey(request.headers);
  const expect = readExpectPosition(request.headers) ?? undefined;
  // Refused before its body is read, and with no channel brought to life that has nobody to be asked.
  if (declared.plugins.length > 0) {
    const visit = { peer, action: "publish", transport: "post", isNew: false } as const;
    await context.admission.open(match, visit);
  } else checkPublish(declared, channels.nameOf(match), null);
  const { drafts, isMany, fingerprint } = await readPublish(request, target.query, {
    message: config.limits.message,
    body: config.limits.body,
    hold,
  });
  // Not before: how many they are is known only now. The bucket may have been forgotten meanwhile.
  const allowance = publishRate.ofAddress(peer.address);
  if (allowance) publishRate.take(allowance, drafts.length);
  // Not before: a body may come so slowly that the channel would be let go of meanwhile.
  const live = await channels.open(match);
  const client = new ChannelClient(live, peer, "post", context);
  const answer = new PostAnswer(target.pathname, isMany);
  client.answerBy({ send: (data) => answer.add(data), close: () => {} });
  const publish = async (terms?: Terms) => {
    const messages = await live.submit(drafts, client, terms);
    const first = messages[0]?.offset ?? 1;
    const { epoch } = live.channel.log;
    return answer.write({ epoch, first, last: first + messages.length - 1 });
  };
  try {
    if (key === null) return await publish(expect === undefined ? undefined : { expect });
    return await idempotency.run(live, {
      key: keyOfClient(request.headers, key),
      fingerprint: fingerprint(),
      note: () => answer.note(),
      publish: (receipt) => publish({ expect, receipt }),
      again: (kept) => answer.again(kept, kept.note),
    });
  } finally {
    client.answered();
  }
}
