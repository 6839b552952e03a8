/** The plain model of a log, which what brokers keep is tested against. */
import type { Retention } from "../channel/log.ts";

interface Entry {
  readonly offset: number;
  readonly size: number;
  readonly timeMs: number;
}

/** A log that keeps everything, and works out at each look what a retention leaves of it. */
export class PlainLog {
  readonly #retention: Retention;
  readonly #all: Entry[] = [];

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  append(sizes: readonly number[], timeMs: number): void {
    for (const size of sizes) this.#all.push({ offset: this.#all.length + 1, size, timeMs });
  }

  kept(nowMs: number): readonly Entry[] {
    const { size, ttlMs, maxBytes = Infinity } = this.#retention;
    const newest = size === 0 ? [] : this.#all.slice(-size);
    const fit: Entry[] = [];
    for (let bytes = 0, i = newest.length - 1; i >= 0; i--) {
      bytes += newest[i]!.size;
      if (bytes > maxBytes) break;
      fit.unshift(newest[i]!);
    }
    return fit.filter(({ timeMs }) => nowMs - timeMs < ttlMs);
  }
}

/** What of `kept` one read gives: offsets. */
export function cut(kept: readonly Entry[], after: number, count: number, bytes: number): number[] {
  const page: number[] = [];
  let sum = 0;
  for (const { offset, size } of kept) {
    if (offset <= after) continue;
    if (page.length === count || (page.length > 0 && sum + size > bytes)) break;
    page.push(offset);
    sum += size;
  }
  return page;
}
