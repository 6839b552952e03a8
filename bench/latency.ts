/** Latencies counted in buckets of 10 µs, so that a million of them cost no memory of their own. */

const BUCKETS_PER_MS = 100;
const MAX_MS = 10_000;

export class Latency {
  readonly #buckets = new Uint32Array(MAX_MS * BUCKETS_PER_MS);
  #count = 0;

  add(ms: number): void {
    const bucket = ms * BUCKETS_PER_MS;
    this.#buckets[bucket < this.#buckets.length ? bucket | 0 : this.#buckets.length - 1]!++;
    this.#count++;
  }

  /** The latency in milliseconds that this share (0 to 1) of all stayed at or under; NaN without any. */
  quantile(share: number): number {
    if (this.#count === 0) return NaN;
    let seen = 0;
    for (let bucket = 0; ; bucket++) {
      seen += this.#buckets[bucket]!;
      if (seen >= this.#count * share) return (bucket + 1) / BUCKETS_PER_MS;
    }
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#count = 0;
  }
}
