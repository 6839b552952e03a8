/**
 * Keeps what plugins store in a SQLite file, or in a database that somebody else has open.
 *
 * `bun:sqlite` is synchronous: a call holds up the server. So what is asked for in one turn is done
 * together at its end, in one transaction where it writes, and nothing waits for a lock but by a timer.
 *
 * The file is in WAL mode with `synchronous=NORMAL`: what was committed survives the end of the process,
 * `kill -9` included. When the machine itself stops, the last commits may be lost, never the file; FULL
 * would keep them too, for an fsync in each turn that writes.
 */
import { setTimeout as delay } from "node:timers/promises";
import { KeyValuesError, storeClosed, type KeyValues } from "../channel/key-values.ts";
import { atTurnEnd, type TurnWork } from "../channel/turn.ts";
import { explainSqlite, isBusy, isBroken } from "./sqlite-error.ts";
import { ValueFile, type ValueSource } from "./value-file.ts";
import type { ValueTables } from "./value-tables.ts";

export interface SqliteValuesOptions {
  /** The clock, in milliseconds since the epoch. */
  readonly now?: () => number;
  /** Milliseconds for which a write waits for another process. */
  readonly busyMs?: number;
  /** Bytes that all uses together may keep, with what each entry takes by itself. */
  readonly maxBytes?: number | undefined;
}

/** One call that waits. */
interface Operation {
  readonly use: string;
  readonly kind: "read" | "set" | "delete";
  readonly sinceMs: number;
  /** @param tables null when nothing was ever written. */
  readonly run: (tables: ValueTables | null) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

const BUSY_MS = 5000;
const MAX_BYTES = 1024 ** 3;
/** Calls of one use that may wait: a file that is locked must not fill the memory. */
const MAX_WAITING = 10_000;
/** Milliseconds between two sweeps of what is over. Reads never show it. */
const SWEEP_MS = 60_000;

export class SqliteValues implements KeyValues, TurnWork {
  readonly #file: ValueFile;
  readonly #now: () => number;
  readonly #busyMs: number;
  /** Called in this turn. */
  #fresh: Operation[] = [];
  /** Wait for a transaction to end. */
  #held: Operation[] = [];
  /** Calls that wait for a transaction, by use: later calls of the use wait behind them. */
  readonly #waiting = new Map<string, number>();
  #writing: Promise<void> | null = null;
  #queued: PromiseWithResolvers<void> | null = null;
  #isClosed = false;
  #sweptAt = -Infinity;

  constructor(source: ValueSource, options: SqliteValuesOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#busyMs = options.busyMs ?? BUSY_MS;
    const { maxBytes = MAX_BYTES } = options;
    this.#file = new ValueFile(source, { now: this.#now, maxBytes });
  }

  get(use: string, key: string): Promise<string | undefined> {
    return this.#ask(use, "read", (tables) => tables?.get(use, key));
  }

  set(use: string, key: string, text: string, expiresAt: number | null): Promise<void> {
    return this.#ask(use, "set", (tables) => tables!.set(use, key, text, expiresAt));
  }

  delete(use: string, key: string): Promise<boolean> {
    return this.#ask(use, "delete", (tables) => tables?.delete(use, key) ?? false);
  }

  entries(use: string, prefix: string): Promise<[string, string][]> {
    return this.#ask(use, "read", (tables) => tables?.entries(use, prefix) ?? []);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#queued || this.#writing) await (this.#queued?.promise ?? this.#writing);
    this.#file.close();
  }

  #ask<T>(use: string, kind: Operation["kind"], run: Operation["run"]): Promise<T> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    const waiting = this.#waiting.get(use) ?? 0;
    if (waiting >= MAX_WAITING) {
      return Promise.reject(
        new KeyValuesError(
          "busy",
          `${MAX_WAITING} calls of this plugin's store wait already; await set and delete before the next`,
        ),
      );
    }
    this.#waiting.set(use, waiting + 1);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#fresh.push({ use, kind, sinceMs: performance.now(), run, resolve, reject });
    if (!this.#queued) {
      this.#queued = Promise.withResolvers();
      atTurnEnd(this);
    }
    return promise;
  }

  /** Does what was asked for in this turn. */
  flush(): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    const queued = this.#queued!;
    this.#queued = null;
    const writers = new Set(this.#held.map(({ use }) => use));
    for (const { use, kind } of fresh) if (kind !== "read") writers.add(use);
    // What only reads waits for nobody, also while another process writes.
    this.#read(fresh.filter(({ use }) => !writers.has(use)));
    this.#held.push(...fresh.filter(({ use }) => writers.has(use)));
    if (this.#held.length > 0 && !this.#writing) {
      this.#writing = this.#write().finally(() => (this.#writing = null));
    }
    queued.resolve();
  }

  #read(operations: readonly Operation[]): void {
    for (const operation of operations) {
      try {
        this.#settle(operation, operation.run(this.#file.tables()));
      } catch (error) {
        this.#fail(operation, this.#explain(error));
      }
    }
  }

  async #write(): Promise<void> {
    let waitMs = 5;
    while (this.#held.length > 0) {
      try {
        this.#commit();
        waitMs = 5;
      } catch (error) {
        if (!isBusy(error)) {
          this.#giveUp(this.#held, error);
          continue;
        }
        // Those that come meanwhile are done with the others: their order is kept.
        await delay(waitMs);
        waitMs = Math.min(waitMs * 2, 100);
        const limitMs = performance.now() - this.#busyMs;
        this.#giveUp(
          this.#held.filter(({ sinceMs }) => sinceMs <= limitMs),
          error,
        );
      }
    }
  }

  /** @throws What SQLite throws; all that is held is held still. */
  #commit(): void {
    const operations = this.#held;
    const mayMake = operations.some(({ kind }) => kind === "set");
    const outcomes = this.#file.transaction(mayMake, (tables) => {
      if (tables) this.#sweepAtTimes(tables);
      return operations.map((operation) => attempt(operation, tables));
    });
    this.#held = [];
    operations.forEach((operation, i) => {
      const outcome = outcomes[i]!;
      if ("error" in outcome) this.#fail(operation, outcome.error);
      else this.#settle(operation, outcome.value);
    });
  }

  /** Fails what would write; what only reads needs no lock. */
  #giveUp(operations: readonly Operation[], error: unknown): void {
    if (operations.length === 0) return;
    const given = new Set(operations);
    this.#held = this.#held.filter((operation) => !given.has(operation));
    const explained = this.#explain(error);
    for (const operation of operations) {
      if (operation.kind !== "read") this.#fail(operation, explained);
    }
    this.#read(operations.filter(({ kind }) => kind === "read"));
  }

  #sweepAtTimes(tables: ValueTables): void {
    const now = this.#now();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    tables.sweep();
  }

  #explain(error: unknown): unknown {
    if (isBroken(error)) this.#file.drop();
    return explainSqlite(error, this.#file.name, this.#busyMs);
  }

  #settle({ use, resolve }: Operation, value: unknown): void {
    this.#count(use);
    resolve(value as never);
  }

  #fail({ use, reject }: Operation, error: unknown): void {
    this.#count(use);
    reject(error);
  }

  #count(use: string): void {
    const left = this.#waiting.get(use)! - 1;
    if (left === 0) this.#waiting.delete(use);
    else this.#waiting.set(use, left);
  }
}

type Outcome = { readonly value: unknown } | { readonly error: KeyValuesError };

/** One that is refused, such as for its size, refuses no other of the transaction. */
function attempt({ run }: Operation, tables: ValueTables | null): Outcome {
  try {
    return { value: run(tables) };
  } catch (error) {
    if (error instanceof KeyValuesError) return { error };
    throw error;
  }
}
