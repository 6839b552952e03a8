/**
 * Which messages one subscriber has got, among the newest 2,048: what is published on several
 * connections at once may come in another order, and still each has to come once.
 */
const SPAN = 2048;

export class Seen {
  /** The highest sequence number that came, or -1. */
  top = -1;
  #bits: Uint32Array | null = null;

  /** Notes a message; false when it had come before, or is too old to tell. */
  add(sequence: number): boolean {
    // Allocated late: ten thousand idle connections get one message each, and need no map.
    if (this.top < 0) {
      this.top = sequence;
      return true;
    }
    const bits = (this.#bits ??= this.#start());
    if (sequence > this.top) {
      if (sequence - this.top >= SPAN) bits.fill(0);
      else for (let i = this.top + 1; i < sequence; i++) bits[(i % SPAN) >> 5]! &= ~(1 << (i & 31));
      this.top = sequence;
    } else if (
      this.top - sequence >= SPAN ||
      bits[(sequence % SPAN) >> 5]! & (1 << (sequence & 31))
    ) {
      return false;
    }
    bits[(sequence % SPAN) >> 5]! |= 1 << (sequence & 31);
    return true;
  }

  #start(): Uint32Array {
    const bits = new Uint32Array(SPAN / 32);
    bits[(this.top % SPAN) >> 5]! |= 1 << (this.top & 31);
    return bits;
  }
}
