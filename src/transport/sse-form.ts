/** The bytes that all event streams of one content coding are given. */
import type { StreamCoding } from "./coding/coding.ts";
import { encodeRetry, HEARTBEAT } from "./event-stream.ts";

export class SseForm {
  readonly coding: StreamCoding;
  readonly heartbeat: Uint8Array;
  #preamble: Uint8Array;

  constructor(coding: StreamCoding, retryMs: number) {
    this.coding = coding;
    this.heartbeat = coding.encode(HEARTBEAT);
    this.#preamble = openingOf(coding, retryMs);
  }

  /** What a stream begins with: bytes at once, and how long its client waits before it comes back. */
  get preamble(): Uint8Array {
    return this.#preamble;
  }

  /** Another `retry:`, for streams that come. */
  update(retryMs: number): void {
    this.#preamble = openingOf(this.coding, retryMs);
  }
}

function openingOf(coding: StreamCoding, retryMs: number): Uint8Array {
  return coding.open(HEARTBEAT + encodeRetry(retryMs));
}
