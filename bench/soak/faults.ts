/** Everything that went wrong, with what is needed to find out why. */
import type { FaultKind } from "./trail.ts";

/** Faults that are kept whole; the others are counted. */
const KEPT = 50;

export interface Fault {
  readonly kind: FaultKind;
  /** Seconds since the start. */
  readonly s: number;
  /** Who noticed: a client and how it came there, a publisher, the log. */
  readonly who: string;
  readonly text: string;
}

export class Faults {
  readonly #startedMs = performance.now();
  readonly #onFault: (fault: Fault) => void;
  readonly kept: Fault[] = [];
  readonly counts: Record<FaultKind, number> = {
    loss: 0,
    duplicate: 0,
    disorder: 0,
    gap: 0,
    other: 0,
  };

  /** @param onFault Called for each that is kept, as it happens. */
  constructor(onFault: (fault: Fault) => void) {
    this.#onFault = onFault;
  }

  add(kind: FaultKind, who: string, text: string): void {
    this.counts[kind]++;
    if (this.kept.length === KEPT) return;
    const s = Math.round((performance.now() - this.#startedMs) / 100) / 10;
    const fault = { kind, s, who, text: text.slice(0, 1000) };
    this.kept.push(fault);
    this.#onFault(fault);
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }
}
