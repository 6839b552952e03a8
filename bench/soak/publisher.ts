/** What every publisher does: numbers what it sends, and judges its answers. */
import { nowMs, type Numbered } from "./data.ts";
import type { Ledger } from "./ledger.ts";
import type { Random, World } from "./world.ts";

/** How much and how often a channel is published to. */
export interface Load {
  readonly ledger: Ledger;
  /** Mean milliseconds between two requests of a publisher. */
  readonly everyMs: number;
  /** Bytes beside the numbers, at most. */
  readonly padBytes: number;
}

/** Milliseconds in which a publish has to be answered. */
export const ANSWER_MS = 20_000;

export abstract class Publisher {
  protected readonly world: World;
  readonly #name: string;
  #keys = 0;

  constructor(world: World, name: string) {
    this.world = world;
    this.#name = name;
  }

  protected get random(): Random {
    return this.world.random;
  }

  protected get name(): string {
    return this.#name;
  }

  protected data({ ledger, padBytes }: Load): Numbered {
    const n = ledger.next(this.#name);
    const pad = padBytes === 0 ? {} : { pad: "x".repeat(this.random(padBytes)) };
    const { versions } = this.world;
    const least = ledger.name === "marked" ? { least: versions.least } : {};
    return { p: this.#name, n, t: nowMs(), ...least, ...pad };
  }

  protected key(): string {
    return `${this.#name}-${this.#keys++}`;
  }

  protected took(ledger: Ledger, id: string, n: number): void {
    this.world.figures.published++;
    const flaw = ledger.acknowledge(id, this.#name, n);
    if (flaw) this.fault(`${ledger.name}: ${flaw.text}`);
  }

  protected fault(text: string): void {
    this.world.faults.add("other", `publisher ${this.#name}`, text);
  }
}
