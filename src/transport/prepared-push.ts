/** Messages in the form in which they are pushed: made once for all who get them. */
import type { Message } from "../channel/message.ts";
import { messageHeaders } from "./message-response.ts";

/** A message ready to be pushed to any number of subscribers. */
export interface PreparedPush {
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Bytes that it counts for while it waits. */
  readonly cost: number;
}

/** What a waiting push takes beside its data: without it, many tiny messages would wait for free. */
export const OVERHEAD_BYTES = 256;

function preparePush(message: Message): PreparedPush {
  return {
    id: message.id,
    headers: messageHeaders(message),
    body: message.bytes,
    cost: message.size + OVERHEAD_BYTES,
  };
}

export function preparePushes(batch: readonly Message[]): readonly PreparedPush[] {
  return batch.map(preparePush);
}
