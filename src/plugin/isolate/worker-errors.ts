/** What was asked of a worker has no answer. */

/** The worker ended while it held what it was asked. */
export class WorkerEndedError extends Error {
  override readonly name: string = "WorkerEndedError";
}

/** There is no worker now; it is started again. */
export class WorkerDownError extends WorkerEndedError {
  override readonly name = "WorkerDownError";
}
