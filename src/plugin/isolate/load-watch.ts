/**
 * Ends a process that hangs in the top level of a plugin's file, before there is a server.
 *
 * There is no old state to save then, so the file is not evaluated twice for it, as `probe` does: what it
 * connects to or starts at its top level happens once. A thread beside looks on, and costs the start next
 * to nothing.
 */
import type { LoadGuard } from "../load.ts";
import type { ToGuest } from "./wire.ts";
import { WORKER_URL } from "./worker-url.ts";

/** Milliseconds between two signs of life of the thread that loads. */
const BEAT_MS = 500;

export class LoadWatch implements Disposable {
  #worker: Worker | null = null;
  #beats: Int32Array | null = null;
  #timer: Timer | null = null;

  /** Watches over the files that are loaded with it. */
  readonly guard: LoadGuard = {
    during: (file) => {
      this.#start();
      this.#post({ say: "watch load", file });
      return { [Symbol.dispose]: () => this.#post({ say: "watch load", file: null }) };
    },
  };

  [Symbol.dispose](): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#worker?.terminate();
    this.#worker = null;
    this.#timer = null;
  }

  #start(): void {
    if (this.#worker) return;
    const beats = new Int32Array(new SharedArrayBuffer(4));
    this.#beats = beats;
    this.#worker = new Worker(WORKER_URL, { name: "load watch" });
    // Whatever it dies of: it is only there to help.
    this.#worker.addEventListener("error", (event) => event.preventDefault());
    this.#timer = setInterval(() => void Atomics.add(beats, 0, 1), BEAT_MS);
    this.#timer.unref();
    this.#post({ say: "watch", beats: beats.buffer as SharedArrayBuffer });
  }

  #post(message: ToGuest): void {
    if (this.#beats) Atomics.add(this.#beats, 0, 1);
    this.#worker?.postMessage(message);
  }
}
