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
  readonly onBad: (reason: string, kind: "silent" | "memory") => void;
  /** Bytes of memory of the whole process. */
  readonly residentBytes?: () => number;
}

/** Milliseconds between two looks at a worker that is asked something, at most. */
const BUSY_MS = 50;
/**
 * Milliseconds for which a worker that is asked nothing new is left alone: a ping wakes its thread. One
 * that is still at something, such as a source that waits, is left alone for longer each time up to that.
 */
const IDLE_MS = 2000;
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
  /** Milliseconds without a sign of life that are too long, as of now. */
  #limitMs: number;
  /** While the worker is left alone. */
  #rest: AbortController | null = null;
  /** Milliseconds of the next rest of a worker that is busy. */
  #restMs = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#limitMs = options.timeoutMs;
  }

  start(): void {
    void this.#run();
  }

  /** Its file is loaded, and its setup begins. */
  loaded(): void {
    this.#isLoaded = true;
  }

  /** Something is asked of the worker: it is not left alone any longer. */
  wake(): void {
    this.#restMs = 0;
    this.#rest?.abort();
  }

  /** From here on silence of so many milliseconds is too long, were more allowed before. */
  hurry(limitMs: number): void {
    if (limitMs >= this.#limitMs) return;
    this.#limitMs = limitMs;
    this.#silentMs = 0;
    this.wake();
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
    this.wake();
  }

  async #run(): Promise<void> {
    const { clock, ping, isBusy } = this.#options;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      // Short ones, also for one ping between long rests: of each only so much is counted as silence.
      const stepMs = Math.max(1, Math.min(this.#limitMs / 4, BUSY_MS));
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
      if (signal.aborted) return;
      if (!this.#isAsked) {
        await this.#restFor(isBusy() ? this.#restMs : IDLE_MS);
        continue;
      }
      // Of a pause of this very thread only one step counts: the worker can't have been heard in it.
      this.#silentMs += Math.min(clock.now() - startedMs, 2 * stepMs);
      // A loop that allocates can't report: the process then grows while the worker says nothing.
      if (this.#isLoaded) this.#checkGrowth();
      if (!this.#mayBeSilent && this.#silentMs >= this.#limitMs) this.#bad(this.#silence, "silent");
    }
  }

  async #restFor(ms: number): Promise<void> {
    this.#restMs = Math.min(IDLE_MS, Math.max(BUSY_MS, 2 * this.#restMs));
    if (ms === 0) return;
    this.#rest = new AbortController();
    await this.#options.clock.delay(ms, this.#rest.signal);
    this.#rest = null;
  }

  get #silence(): string {
    const { timeoutMs } = this.#options;
    const silence = `gave no sign of life for ${this.#limitMs / 1000} s`;
    const limit = this.#limitMs === timeoutMs ? `its "timeout:"` : "when it was told to stop";
    return `${silence}, ${limit}: an endless loop, or a call that blocks`;
  }

  #checkGrowth(): void {
    const grown = this.#resident() - this.#residentThen;
    // The rest of the process grows too; it is not to be taken for the worker.
    if (grown > OTHERS_BYTES) this.#checkMemory(this.#heap + grown - OTHERS_BYTES);
  }

  #checkMemory(bytes: number): void {
    const { memory } = this.#options;
    if (bytes <= memory) return;
    this.#bad(
      `holds ${mebibytes(bytes)}, more than the ${mebibytes(memory)} of its "memory:"`,
      "memory",
    );
  }

  #bad(reason: string, kind: "silent" | "memory"): void {
    if (this.#ended.signal.aborted) return;
    this.stop();
    this.#options.onBad(reason, kind);
  }

  #resident(): number {
    return this.#options.residentBytes?.() ?? process.memoryUsage.rss();
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
