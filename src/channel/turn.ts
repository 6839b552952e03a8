/** Runs work once at the end of the present turn of the event loop, however often it is asked for. */

/** Something that has a batch to send out when the turn ends. */
export interface TurnWork {
  flush(): void;
}

let queue: TurnWork[] = [];

/**
 * Queues `work` for the end of this turn. One `setImmediate` serves all channels: what is committed
 * while the loop handles its sockets goes out as one batch.
 */
export function atTurnEnd(work: TurnWork): void {
  if (queue.push(work) === 1) setImmediate(flushAll);
}

function flushAll(): void {
  const due = queue;
  queue = [];
  for (const work of due) {
    try {
      work.flush();
    } catch (error) {
      // Thrown on its own, as an uncaught error: it must not keep the batches of others from going out.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
