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

/** How fast another channel is while an isolated plugin does what it does. */
export interface QuietResult {
  readonly what: "rests" | "spins" | "allocates";
  readonly messages: number;
  readonly lost: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  /** Workers that were ended meanwhile. */
  readonly ended: number;
}
