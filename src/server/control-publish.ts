/** `POST /publish` of the control listener: one message or many, to one channel or several. */
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { KeptReceipt, Receipt } from "../channel/terms.ts";
import type { Log } from "../log.ts";
import type { RequestError } from "../transport/errors.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { orTooDeep, readTargets, type Target } from "./control-entries.ts";
import { idsOf, type Idempotency } from "./idempotency.ts";
import { keyOfControl, readIdempotencyKey } from "./idempotency-key.ts";
import type { LiveChannel } from "./live-channel.ts";
import { toRequestError, unknownChannel } from "./problem.ts";
import type { BodyLimits } from "./publish-request.ts";

/** What one message to one channel came to; `id` is null when a transform dropped it. */
export interface PublishResult {
  readonly channel: string;
  readonly id?: string | null;
  /** An earlier request with the same `Idempotency-Key` has published it. */
  readonly replayed?: true;
  readonly error?: { readonly type: string; readonly detail: string };
}

export interface ControlPublishOptions {
  readonly channels: Channels;
  readonly limits: BodyLimits;
  readonly idempotency: Idempotency;
  readonly log: Log;
}

/**
 * Publishes what a request holds: a JSON entry, an array or NDJSON of entries, or, with `?channel=`, the
 * body itself as text or bytes.
 *
 * An unreadable request or an unknown channel refuses all of it; a message that its channel refuses is
 * told of in its place, and the others are published. With an `Idempotency-Key` each message is published
 * once, however often the request is sent: what was refused, or cut off by a crash, is tried again.
 *
 * @throws {RequestError} When the request as a whole is refused.
 */
export async function controlPublish(
  request: Request,
  options: ControlPublishOptions,
): Promise<Response> {
  const key = readIdempotencyKey(request.headers);
  const { targets, fingerprint } = await readTargets(request, options.limits);
  const matches = targets.map(({ channel }) => {
    const match = options.channels.matchName(channel);
    if (match) return match;
    throw unknownChannel(channel);
  });
  if (key === null) return publishAll(targets, matches, options, () => null);
  const { idempotency } = options;
  const keyed = (index: number) => ({ key: keyOfControl(key, index), fingerprint: fingerprint() });
  return idempotency.alone(`control\0${key}`, async () => {
    // All are looked up before any is published: another request with the same key is refused whole, and
    // those of one channel stay in order.
    const kept = await Promise.all(
      matches.map(async (match, index) => {
        const live = await Promise.resolve(match)
          .then((found) => options.channels.open(found))
          .catch(() => null);
        return live && (await idempotency.find(live, keyed(index)));
      }),
    );
    return publishAll(targets, matches, options, (index) => {
      return kept[index] ?? idempotency.receipt(keyed(index), () => "");
    });
  });
}

/** @param receiptOf What was kept of a message, or is to be; null where it has no key. */
async function publishAll(
  targets: readonly Target[],
  matches: readonly ChannelMatch[],
  { channels, log }: ControlPublishOptions,
  receiptOf: (index: number) => KeptReceipt | Receipt | null,
): Promise<Response> {
  const failures: RequestError[] = [];
  const results: PublishResult[] = await Promise.all(
    targets.map(async (target, index) => {
      const { channel, expect } = target;
      try {
        const live = await channels.open(matches[index]!);
        const receipt = receiptOf(index) ?? undefined;
        if (receipt && "epoch" in receipt) {
          return { channel: live.name, id: idsOf(receipt).at(-1) ?? null, replayed: true };
        }
        const terms = receipt || expect !== undefined ? { expect, receipt } : undefined;
        const messages = await live.publish([ownDraft(target, live)], terms);
        return { channel: live.name, id: messages[messages.length - 1]?.id ?? null };
      } catch (error) {
        const told = toRequestError(error, log);
        failures.push(told);
        return {
          channel,
          error: { type: `urn:tidewire:problem:${told.code}`, detail: told.message, ...told.extra },
        };
      }
    }),
  );
  if (failures.length === results.length) throw failures[0]!;
  const isReplay = results.every(({ replayed }) => replayed);
  return Response.json(
    { results },
    {
      status: failures.length > 0 ? 207 : 201,
      headers: isReplay ? { "idempotent-replayed": "true" } : {},
    },
  );
}

/** A transform may change data in place: a channel with transforms gets a copy, when its turn comes. */
function ownDraft({ draft, isShared }: Target, { plugins }: LiveChannel): IncomingDraft {
  if (!isShared || plugins.transforms.length === 0) return draft;
  return { ...draft, data: orTooDeep(() => structuredClone(draft.data)) };
}
