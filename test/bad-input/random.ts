/** Random choices that a seed makes again. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  chance(of: number): boolean {
    return this.next() < of;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** Text that is likely to be taken for something else. */
  text(): string {
    const parts = Array.from({ length: 1 + this.below(4) }, () => this.pick(PARTS));
    return this.chance(0.05) ? parts.join("").repeat(200) : parts.join("");
  }
}

const PARTS = [
  "",
  "a",
  "0",
  "-1",
  "1e9",
  "NaN",
  "null",
  "earliest",
  "abc-1",
  "abc-99999999999999999999",
  "%",
  "%zz",
  "%00",
  "%0d%0aX-Injected:%20yes",
  "%ff%fe",
  "%c0%ae",
  "%ed%a0%80",
  "%2e%2e%2f",
  "..",
  "/",
  "//",
  "\\",
  "{room}",
  "tidewire:gap",
  "__proto__",
  "constructor",
  "é",
  "世界",
  "'",
  '"',
  "<script>",
  "${7*7}",
  ";",
  "&",
  "=",
  "#",
  "?",
  "@",
  ":",
  "|",
  "~",
];
