/** Publishes what a plugin in a worker emits, in its order, when there is room. */
import { withTrail } from "../../channel/trail.ts";
import type { Clock } from "../clock.ts";
import type { Emitted, SetupContext } from "../sdk.ts";
import type { Life } from "./life.ts";
import { remote } from "./remote.ts";
import type { ToHost } from "./wire.ts";
import { WorkerEndedError } from "./worker-errors.ts";

type Emission = Extract<ToHost, { say: "emit" }>;

/** Milliseconds after which what found no room is tried again. */
const FULL_DELAY_MS = 50;

export class Emitter {
  readonly #context: SetupContext<unknown>;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #waiting: { readonly emission: Emission; readonly life: Life }[] = [];

  constructor(context: SetupContext<unknown>, clock: Clock) {
    this.#context = context;
    this.#clock = clock;
  }

  /** The worker may have a bounded number of these on their way: each that is taken gives one back. */
  take(emission: Emission, life: Life): void {
    if (typeof emission.emitted !== "object") throw new TypeError("nothing was emitted");
    this.#waiting.push({ emission, life });
    if (this.#waiting.length === 1) this.#go();
  }

  /** What waits is lost, and nothing comes any more. */
  close(): void {
    this.#closed.abort();
    this.#waiting.length = 0;
  }

  #go(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const { emission, life } = first;
      if (life.isOver && "produce" in emission.emitted) {
        // What would give it ended with its worker.
        this.#waiting.shift();
        continue;
      }
      if (!withTrail(emission.trail, () => this.#emit(emission, life))) {
        void this.#clock.delay(FULL_DELAY_MS, this.#closed.signal).then(() => this.#go());
        return;
      }
      this.#waiting.shift();
      life.post({ say: "credit" });
    }
  }

  #emit({ emitted }: Emission, life: Life): boolean {
    const { emit } = this.#context;
    if ("drafts" in emitted) return emit(emitted.drafts);
    return emit(
      remote(async () => {
        try {
          const { produce } = emitted;
          return (await life.call({ hook: "emit", produce })) as Emitted | null;
        } catch (error) {
          // What it held back ended with it: there is nothing any more.
          if (error instanceof WorkerEndedError) return null;
          throw error;
        }
      }),
    );
  }
}
