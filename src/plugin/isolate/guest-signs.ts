/** A worker's signs of life, each with what its heap holds. */
import type { Start, ToHost } from "./wire.ts";

export class Signs {
  readonly #send: (message: ToHost) => void;
  #limits: Pick<Start, "timeoutMs" | "memory"> | null = null;
  #lastMs = 0;

  constructor(send: (message: ToHost) => void) {
    this.#send = send;
  }

  /** Under which limits the plugin runs. */
  start(limits: Pick<Start, "timeoutMs" | "memory">): void {
    this.#limits = limits;
  }

  /** A long batch is no endless loop: each draft that is done is a sign of life. */
  giveInBatch(): void {
    const now = performance.now();
    if (now - this.#lastMs > this.#limits!.timeoutMs / 8) this.give(now);
  }

  give(now = performance.now()): void {
    this.#lastMs = now;
    this.#send({ say: "alive", heap: this.#heap() });
  }

  #heap(): number {
    const { heapUsed } = process.memoryUsage();
    if (this.#limits === null || heapUsed <= this.#limits.memory) return heapUsed;
    // Much of it may be garbage that nobody has looked for yet.
    Bun.gc(true);
    return process.memoryUsage().heapUsed;
  }
}
