/** What one subscriber was given of one channel: finds what is lost, repeated, out of order or left out in silence. */
import { parsePosition, type Numbered } from "./data.ts";

export type FaultKind = "loss" | "duplicate" | "disorder" | "gap" | "other";

export interface Flaw {
  readonly kind: FaultKind;
  readonly text: string;
}

/** The newest number of a publisher; of a source, in which of its lives. */
interface Newest {
  readonly n: number;
  readonly life: string | undefined;
}

/** It remembers the last position and the last number of each publisher, so it holds for hours. */
export class Trail {
  #epoch: string | null = null;
  /** Offset of the newest message, or of the place that it was told; null while it knows none. */
  #offset: number | null = null;
  /** Where it began: nothing before this was ever given. */
  #begin = 0;
  /** Offsets that were jumped over, from and to: what comes of these later is late, not repeated. */
  #hole: readonly [number, number] | null = null;
  readonly #newest = new Map<string, Newest>();
  /** Each publisher's newest number when the subscription stood: its next must come. */
  #floor: ReadonlyMap<string, number> | null = null;

  /** The position to resume after; null while it has none. */
  get position(): string | null {
    return this.#offset === null ? null : `${this.#epoch}-${this.#offset}`;
  }

  get offset(): number | null {
    return this.#offset;
  }

  /** The subscription stands: what is published from here on has to come. */
  stands(sent: ReadonlyMap<string, number>): void {
    this.#floor ??= new Map(sent);
  }

  /** The server says where the subscriber is, without a message. */
  at(id: string): Flaw | null {
    const { epoch, offset } = parsePosition(id);
    if (this.#offset === null) {
      this.#begins(epoch, offset);
      return null;
    }
    if (epoch === this.#epoch && offset === this.#offset) return null;
    return {
      kind: "gap",
      text: `was put at ${id} without a gap, though it was at ${this.position}`,
    };
  }

  /** @param id null where the framing has none: then the publishers' numbers alone are looked at. */
  message(id: string | null, data: Numbered): Flaw | null {
    const flaw = id === null ? this.#count() : this.#place(id);
    const numbers = this.#number(data);
    return flaw ?? numbers;
  }

  /** It was told of a gap. @returns A flaw where that can't be; whether it had to be is for the ledger. */
  gap(after: string, id: string): Flaw | null {
    const was = this.position;
    const { epoch, offset } = parsePosition(id);
    this.#begins(epoch, offset);
    this.#newest.clear();
    this.#floor = null;
    // An envelope of one channel does not say where its gap began, and a cursor may know what nobody was told.
    if (after === "" || was === null || after === was) return null;
    return { kind: "gap", text: `a gap after ${after} was told of, though it was at ${was}` };
  }

  /**
   * Whether it lacks what was acknowledged a while ago.
   *
   * @param top The channel's offset then.
   * @param acknowledged Each publisher's newest number then.
   */
  lacks(top: number, acknowledged: ReadonlyMap<string, number>): string | null {
    if (this.#offset !== null && this.#offset < top) return `offset ${this.#offset} of ${top}`;
    for (const [publisher, n] of acknowledged) {
      const has = this.#newest.get(publisher)?.n ?? this.#floor?.get(publisher);
      if (has !== undefined && has < n) return `${publisher}:${has} of ${n}`;
    }
    return null;
  }

  #begins(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = this.#begin = offset;
    this.#hole = null;
  }

  #count(): null {
    if (this.#offset !== null) this.#offset++;
    return null;
  }

  #place(id: string): Flaw | null {
    const { epoch, offset } = parsePosition(id);
    if (this.#offset === null) {
      this.#begins(epoch, offset - 1);
    } else if (epoch !== this.#epoch) {
      const text = `${id} came after ${this.position}, of another epoch, without a gap`;
      this.#begins(epoch, offset);
      return { kind: "gap", text };
    }
    const last = this.#offset!;
    if (offset === last + 1) {
      this.#offset = offset;
      return null;
    }
    if (offset > last) {
      this.#hole = [last + 1, offset - 1];
      this.#offset = offset;
      return { kind: "loss", text: `${id} came after offset ${last}, without a gap` };
    }
    const isLate =
      offset <= this.#begin ||
      (this.#hole !== null && offset >= this.#hole[0] && offset <= this.#hole[1]);
    return isLate
      ? { kind: "disorder", text: `${id} came after offset ${last}` }
      : { kind: "duplicate", text: `${id} came again, after offset ${last}` };
  }

  #number({ p, n, life }: Numbered): Flaw | null {
    const last = this.#newest.get(p);
    if (last && last.life === life && n <= last.n) {
      return { kind: "duplicate", text: `${p}:${n} came after ${p}:${last.n}` };
    }
    this.#newest.set(p, { n, life });
    if (last?.life === life) {
      if (last && n > last.n + 1) {
        return { kind: "loss", text: `${p}:${n} came after ${p}:${last.n}` };
      }
    } else if (last && n !== 1) {
      return { kind: "loss", text: `${p}:${n} is the first of life ${life}` };
    }
    const floor = last ? undefined : this.#floor?.get(p);
    if (floor !== undefined && n > floor + 1) {
      return {
        kind: "loss",
        text: `${p}:${n} is the first to come, though ${p}:${floor + 1} was sent when it was subscribed`,
      };
    }
    return null;
  }
}
