/** A publish frame of `tidewire.v1`: what it asks for, and what it is answered with. */
import type { MaybePromise } from "../channel/log.ts";
import { inTurn, type Taken } from "./frame-queue.ts";
import type { ClientFrame, Ref } from "./frame.ts";
import type { Access, Submitted, SubmitTerms } from "./transport.ts";

export type PublishFrame = ClientFrame & { type: "publish" };

/** How a socket answers. */
export interface FrameAnswers {
  acknowledge(submitted: Submitted, ref: Ref): void;
  /** As `acknowledge`, when others may be known in the same turn. */
  acknowledgeLate(submitted: Submitted, ref: Ref): void;
  refuse(error: unknown, ref: Ref): void;
}

/**
 * Publishes a frame.
 *
 * @param before When those before it are answered, which it is after.
 * @throws {RequestError} When it is refused at once.
 */
export function publishFrame(
  frame: PublishFrame,
  access: Access,
  answers: FrameAnswers,
  before: Promise<void> | null,
): MaybePromise<Taken> {
  const { data, ref } = frame;
  const event = frame.event as string | undefined;
  const draft = { data, event, key: frame.key as string | undefined };
  const terms = termsOf(frame);
  const isPlaced = !terms && access.subscriber.takesAtOnce === true;
  const submitted = access.submit(draft, terms);
  if (!(submitted instanceof Promise)) return answers.acknowledge(submitted, ref);
  // What has its place is committed after those before it, so it is answered after them by itself.
  const turn = isPlaced ? null : before;
  const answered = submitted.then(
    (late) => inTurn(turn, () => answers.acknowledgeLate(late, ref)),
    (error) => inTurn(turn, () => answers.refuse(error, ref)),
  );
  return isPlaced ? { answered } : answered;
}

/** What a publish frame asks for beside; most ask for nothing. */
export function termsOf({ expect, idempotency }: PublishFrame): SubmitTerms | undefined {
  if (expect === null && idempotency === null) return undefined;
  return { expect: expect ?? undefined, idempotency: idempotency ?? undefined };
}

/** Written by hand, for there may be one for each message; a position has no character that JSON escapes. */
export function ackOf({ id, isReplay }: Submitted, ref: Ref): string {
  const position = id === null ? "null" : `"${id}"`;
  return `{"type":"ack","ref":${JSON.stringify(ref)},"id":${position}${isReplay ? ',"replayed":true' : ""}}`;
}
