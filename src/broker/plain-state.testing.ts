/** The plain model of a state, which what brokers keep is tested against. */

export interface PlainDraft {
  readonly key: string | undefined;
  readonly data: unknown;
}

/** A map that is copied for each publish, and taken over when it is not too large. */
export class PlainState {
  #top = 0;
  #map = new Map<string, { offset: number; bytes: number }>();
  /** By key, or for those that have none: the newest that left nothing in it. */
  readonly #unkept = new Map<string | undefined, number>();

  constructor(
    readonly maxKeys: number,
    readonly maxBytes: number,
  ) {}

  get size(): { keys: number; bytes: number } {
    return sizeOf(this.#map);
  }

  get unkept(): number {
    return Math.max(0, ...this.#unkept.values());
  }

  append(batch: readonly PlainDraft[]): boolean {
    const map = new Map(this.#map);
    for (const [index, { key, data }] of batch.entries()) {
      if (key === undefined) continue;
      map.delete(key);
      if (data !== null) map.set(key, { offset: this.#top + index + 1, bytes: `${data}`.length });
    }
    const [before, after] = [sizeOf(this.#map), sizeOf(map)];
    if (after.keys > Math.max(before.keys, this.maxKeys)) return false;
    if (after.bytes > Math.max(before.bytes, this.maxBytes)) return false;
    this.#map = map;
    for (const { key, data } of batch) {
      this.#top++;
      if (key === undefined || data === null) this.#unkept.set(key, this.#top);
      else this.#unkept.delete(key);
    }
    return true;
  }

  read(after: number, through: number, count: number, bytes: number) {
    const all = [...this.#map.values()]
      .filter(({ offset }) => offset > after && offset <= through)
      .toSorted((a, b) => a.offset - b.offset);
    const offsets: number[] = [];
    let sum = 0;
    for (const one of all) {
      sum += one.bytes;
      if (offsets.length > 0 && (offsets.length === count || sum > bytes)) break;
      offsets.push(one.offset);
    }
    return { offsets, isEnd: offsets.length === all.length };
  }
}

function sizeOf(map: ReadonlyMap<string, { bytes: number }>): { keys: number; bytes: number } {
  return { keys: map.size, bytes: map.values().reduce((sum, { bytes }) => sum + bytes, 0) };
}
