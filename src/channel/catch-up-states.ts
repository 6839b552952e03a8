/** What one that catches up may wait for, with one channel or with many: its turn, room, a page, the end of a delivery. */
import type { CatchingUp } from "./catch-up-turns.ts";
import type { FanOut } from "./fan-out.ts";

export abstract class CatchUpStates implements CatchingUp {
  protected state: "ready" | "waiting" | "reading" | "full" | "delivering" | "done" = "ready";

  /** Goes on until there is nothing left to catch up with, or something has to be waited for. */
  abstract run(): void;

  /** Nothing more can be given. */
  protected abstract readonly fail: (error: unknown) => void;

  /** It is its turn to read a page. */
  goOn(): void {
    if (this.state !== "waiting") return;
    this.state = "ready";
    try {
      this.run();
    } catch (error) {
      // Nobody called who could end the connection: it would stand, and hear nothing more.
      this.fail(error);
    }
  }

  /** The subscriber's buffer has room again. */
  drained(): void {
    if (this.state !== "full") return;
    this.state = "ready";
    this.run();
  }

  /** Asked for within a delivery, by a client of another channel: joining or reading now would repeat that batch. */
  protected waitForDelivery(fanOut: FanOut): void {
    this.state = "delivering";
    fanOut.afterDelivery(() => {
      if (this.state !== "delivering") return;
      this.state = "ready";
      this.run();
    });
  }
}
