/** In a thread beside the one that loads plugins: ends the process when that one hangs. */
import { writeSync } from "node:fs";

/** Milliseconds without a beat that are too long. */
const SILENCE_MS = 5000;
/** Milliseconds between two looks. */
const LOOK_MS = 100;

export class LoadLooker {
  readonly #beats: Int32Array;
  #file: string | null = null;
  #last = 0;
  #silentMs = 0;

  /** @param beats Its first number grows while the thread that loads is well. */
  constructor(beats: SharedArrayBuffer) {
    this.#beats = new Int32Array(beats);
    let lookedMs = performance.now();
    setInterval(() => {
      const now = performance.now();
      // Of a pause of the whole process only one step counts: the other thread could not go on either.
      this.#look(Math.min(now - lookedMs, 2 * LOOK_MS));
      lookedMs = now;
    }, LOOK_MS);
  }

  /** @param file What is loaded from now on; null for nothing. */
  loads(file: string | null): void {
    this.#file = file;
    this.#silentMs = 0;
  }

  #look(ms: number): void {
    const beat = Atomics.load(this.#beats, 0);
    if (beat !== this.#last || this.#file === null) {
      this.#last = beat;
      this.#silentMs = 0;
      return;
    }
    this.#silentMs += ms;
    if (this.#silentMs < SILENCE_MS) return;
    const silence = `it gave no sign of life for ${SILENCE_MS / 1000} s`;
    writeSync(
      2,
      `tidewire: ${this.#file}: its top level does not end: ${silence}; an endless loop, or a call that blocks\n`,
    );
    // No other signal is certain to end it: a plugin may have handlers, which would wait for their turn.
    process.kill(process.pid, "SIGKILL");
  }
}
