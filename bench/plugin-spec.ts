/** What the bench of plugins measures. */

export type Kind = "none" | "synchronous" | "asynchronous" | "isolated";
export type Load = "one after the other" | "64 at a time" | "batches of 1000";

export interface CostSpec {
  readonly subscribers: number;
  /** Of each measurement. */
  readonly seconds: number;
}

/** Of one message, in microseconds. */
export interface Cost {
  readonly wallUs: number;
  /** Of all threads of the process together. */
  readonly cpuUs: number;
}

export interface CostResult {
  readonly subscribers: number;
  /** The transform called as a function. */
  readonly bare: Cost;
  readonly costs: { [L in Load]?: { [K in Kind]?: Cost } };
}

/** A run beside an isolated plugin. */
export interface QuietSpec {
  /** `spins`: for all of the run. `allocates`: until it is ended, again and again. */
  readonly what: "rests" | "spins" | "allocates";
  /** The server, with the worker's thread, has one core to itself; else it may use all. */
  readonly hasOneCore: boolean;
  readonly seconds: number;
}

export interface QuietRun {
  /** Milliseconds. */
  readonly latencies: readonly number[];
  readonly lost: number;
  /** Workers that were ended meanwhile. */
  readonly ended: number;
}

/** How fast another channel is while an isolated plugin does what it does: all runs together. */
export interface QuietResult extends Omit<QuietSpec, "seconds"> {
  readonly messages: number;
  readonly lost: number;
  readonly ended: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly slowestMs: number;
  /** The best and the worst of the single runs: how much the machine itself varies. */
  readonly p99RangeMs: readonly [number, number];
}
