/** Stands in for a worker while there is none. */
import { TransformFailure } from "../../channel/pipeline.ts";
import { WorkerDownError } from "./worker-errors.ts";

export class NoLife {
  readonly isOver = true;
  readonly #message: string;
  constructor(message: string) {
    this.#message = message;
  }
  async call(): Promise<never> {
    throw new WorkerDownError(this.#message);
  }
  async transform(drafts: readonly unknown[]) {
    const failure = new TransformFailure(new WorkerDownError(this.#message));
    return drafts.map(() => failure);
  }
}
