/** Runs work once at the end of the present turn of the event loop, however often it is asked for. */

/** Something that has a batch to send out when the turn ends. */
export interface TurnWork {
  flush(): void;
}

let commits: TurnWork[] = [];
let queue: TurnWork[] = [];
let isScheduled = false;

/**
 * Queues `work` for the end of this turn. One `setImmediate` serves all channels: what is committed
 * while the loop handles its sockets goes out as one batch.
 */
export function atTurnEnd(work: TurnWork): void {
  queue.push(work);
  schedule();
}

/**
 * Queues the commit of what came in this turn for its end, before all that `atTurnEnd` queues: what it commits
 * goes out in the same turn, so that nobody hears of a commit and then can't read it yet.
 */
export function commitAtTurnEnd(work: TurnWork): void {
  commits.push(work);
  schedule();
}

/** Once for both: a second one would run in this turn what is queued for the next. */
function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(flushAll);
}

function flushAll(): void {
  isScheduled = false;
  const due = commits;
  commits = [];
  for (const work of due) flush(work);
  // What the commits have queued is among them.
  const rest = queue;
  queue = [];
  for (const work of rest) flush(work);
}

function flush(work: TurnWork): void {
  try {
    work.flush();
  } catch (error) {
    // Thrown on its own, as an uncaught error: it must not keep the batches of others from going out.
    queueMicrotask(() => {
      throw error;
    });
  }
}
