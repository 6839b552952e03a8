/** Bounds how long a body may take, with no timer for those that are there before the turn ends: most are. */

class Wait {
  readonly #ms: number;
  readonly #late: () => void;
  #timer: Timer | null = null;
  #isOver = false;

  constructor(ms: number, late: () => void) {
    this.#ms = ms;
    this.#late = late;
  }

  /** The turn is over, and it is still waited for. */
  arm(): void {
    if (!this.#isOver) this.#timer = setTimeout(this.#late, this.#ms);
  }

  end(): void {
    this.#isOver = true;
    if (this.#timer) clearTimeout(this.#timer);
  }
}

/** Of this turn. */
let fresh: Wait[] = [];

function armAll(): void {
  const waits = fresh;
  fresh = [];
  for (const wait of waits) wait.arm();
}

/**
 * Settles as `work` does, or rejects when that takes too long.
 *
 * @param ms Milliseconds, from the end of this turn on.
 * @param late Gives the error then.
 */
export function within<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const wait = new Wait(ms, () => reject(late()));
    work.then(
      (value) => {
        wait.end();
        resolve(value);
      },
      (error: unknown) => {
        wait.end();
        reject(error);
      },
    );
    if (fresh.push(wait) === 1) setImmediate(armAll);
  });
}
