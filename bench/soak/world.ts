/** What all who take part in a soak share. */
import type { Faults } from "./faults.ts";
import type { Figures } from "./figures.ts";
import { Ledger } from "./ledger.ts";

export type Random = (below: number) => number;

export interface World {
  readonly publicUrl: string;
  readonly pushUrl: string;
  readonly controlUrl: string;
  readonly faults: Faults;
  readonly figures: Figures;
  readonly random: Random;
  /** Channels that are there from the beginning to the end. */
  readonly ledgers: readonly Ledger[];
  /** Versions of the transform: messages carry one from the first to the last of these. */
  readonly versions: { least: number; most: number };
  /** No new client or publish begins. */
  isOver: boolean;
  /** Resolves when it is. */
  readonly over: Promise<void>;
}

/** Waits, at most until the soak is over. */
export async function pause(world: World, ms: number): Promise<void> {
  let timer: Timer | undefined;
  const waited = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([waited, world.over]);
  clearTimeout(timer);
}

/** A time that is like no other, with this mean; at most five times that. */
export function around(random: Random, meanMs: number): number {
  return Math.min(5, -Math.log(1 - random(10_000) / 10_000)) * meanMs;
}

export function pick<T>(random: Random, all: readonly T[]): T {
  return all[random(all.length)]!;
}
