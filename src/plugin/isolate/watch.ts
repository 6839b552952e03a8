/** Watches over one worker: that it gives a sign of life, and how much memory it holds. */
import type { Clock } from "../clock.ts";

export interface WatchOptions {
  /** Milliseconds without a sign of life that are too long. */
  readonly timeoutMs: number;
  /** Bytes that the worker may hold. */
  readonly memory: number;
  readonly clock: Clock;
  /** Asks the worker for a sign of life. */
  readonly ping: () => void;
  /** Something is asked of the worker that it has not answered. */
  readonly isBusy: () => boolean;
  /** Called once: the worker is to be ended. */
  readonly onBad: (reason: string) => void;
  /** Bytes of memory of the whole process. */
  readonly residentBytes?: () => number;
}

/** Milliseconds between two looks at a worker, at most: while it is asked something, and while it is not. */
const BUSY_MS = 50;
const IDLE_MS = 250;
/** Bytes by which the others in the process may grow while a worker says nothing. */
const OTHERS_BYTES = 64 * 1024 ** 2;

export class Watch {
  readonly #options: WatchOptions;
  readonly #ended = new AbortController();
  /** Milliseconds for which it has been asked for a sign and gave none. */
  #silentMs = 0;
  #isAsked = false;
  #heap = 0;
  #residentThen = 0;
  /** Until it is set up it may be silent: a setup has a limit of its own. */
  #mayBeSilent = true;
  /** Until its file is loaded the process grows by what every worker needs. */
  #isLoaded = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#run();
  }

  /** Its file is loaded, and its setup begins. */
  loaded(): void {
    this.#isLoaded = true;
  }

  /** Setup is done: from here on silence counts. */
  ready(): void {
    this.#mayBeSilent = false;
    this.#silentMs = 0;
  }

  /** The worker said something. */
  sign(): void {
    this.#isAsked = false;
  }

  /** @param heap Bytes that the worker holds, as it says itself. */
  report(heap: number): void {
    this.#heap = heap;
    this.#checkMemory(heap);
  }

  stop(): void {
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    const { timeoutMs, clock, ping, isBusy } = this.#options;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const stepMs = Math.max(1, Math.min(timeoutMs / 4, isBusy() ? BUSY_MS : IDLE_MS));
      const startedMs = clock.now();
      if (!this.#isAsked) {
        this.#isAsked = true;
        this.#silentMs = 0;
        this.#residentThen = this.#resident();
        ping();
      }
      await clock.delay(stepMs, signal);
      // Answers that came while this thread was busy itself are read before the silence is judged.
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted || !this.#isAsked) continue;
      // Of a pause of this very thread only one step counts: the worker can't have been heard in it.
      this.#silentMs += Math.min(clock.now() - startedMs, 2 * stepMs);
      // A loop that allocates can't report: the process then grows while the worker says nothing.
      if (this.#isLoaded) this.#checkGrowth();
      if (!this.#mayBeSilent && this.#silentMs >= timeoutMs) {
        this.#bad(
          `gave no sign of life for ${timeoutMs / 1000} s, its "timeout:": an endless loop, or a call that blocks`,
        );
      }
    }
  }

  #checkGrowth(): void {
    const grown = this.#resident() - this.#residentThen;
    // The rest of the process grows too; it is not to be taken for the worker.
    if (grown > OTHERS_BYTES) this.#checkMemory(this.#heap + grown - OTHERS_BYTES);
  }

  #checkMemory(bytes: number): void {
    const { memory } = this.#options;
    if (bytes <= memory) return;
    this.#bad(`holds ${mebibytes(bytes)}, more than the ${mebibytes(memory)} of its "memory:"`);
  }

  #bad(reason: string): void {
    if (this.#ended.signal.aborted) return;
    this.stop();
    this.#options.onBad(reason);
  }

  #resident(): number {
    return this.#options.residentBytes?.() ?? process.memoryUsage.rss();
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
