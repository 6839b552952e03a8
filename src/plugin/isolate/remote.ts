/** How a function that is given to `emit` says that its drafts come later, from a worker. */
import type { Emitted } from "../sdk.ts";

const REMOTE: unique symbol = Symbol("remote");

export type RemoteProduce = () => Promise<Emitted | null>;

/** @param produce MUST settle: no draft of the channel goes on meanwhile. */
export function remote(produce: RemoteProduce): () => null {
  return Object.assign(produce, { [REMOTE]: true }) as unknown as () => null;
}

/** What was given to `emit`, where it may give a promise: an author's function may not. */
export function remoteOf(emitted: unknown): RemoteProduce | null {
  return typeof emitted === "function" && REMOTE in emitted
    ? (emitted as unknown as RemoteProduce)
    : null;
}
