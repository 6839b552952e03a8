/** Spreads what would otherwise happen to all clients at once. */

/** A time within the window for one client, in milliseconds. */
export function spreadOut(windowMs: number): number {
  return Math.random() * windowMs;
}

/**
 * Calls `act` for each item, in random order, evenly over the window.
 *
 * @returns Resolves after the last.
 */
export function spreadCalls<T>(
  items: Iterable<T>,
  windowMs: number,
  act: (item: T) => void,
): Promise<void> {
  const waiting = shuffle([...items]);
  const started = Date.now();
  const total = waiting.length;
  let done = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const step = () => {
    const share = windowMs <= 0 ? 1 : (Date.now() - started) / windowMs;
    const due = Math.min(total, Math.ceil(total * share));
    while (done < due) act(waiting[done++]!);
    if (done < total) setTimeout(step, Math.min(50, windowMs));
    else resolve();
  };
  step();
  return promise;
}

function shuffle<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
