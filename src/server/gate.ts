/** Whether a further subscriber is taken: within the limits, and as long as the server does not stop. */
import { RequestError } from "../transport/errors.ts";
import type { ConnectionCount } from "./connection-count.ts";
import type { Peer } from "./peer.ts";

export class Gate {
  readonly #connections: ConnectionCount;
  /** Subscribers whose channel is opening. */
  readonly #waiting = new Set<(error: RequestError) => void>();
  #isClosed = false;

  constructor(connections: ConnectionCount) {
    this.#connections = connections;
  }

  /** @throws {RequestError} 503 when no further subscriber is taken, 429 when none of this address is. */
  check(peer: Pick<Peer, "address">): void {
    this.#connections.check(peer);
    if (this.#isClosed) throw stopping();
  }

  /** Waits for a channel to open. A subscriber that waits is told when the server stops. */
  wait<T>(opening: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    const ended = () => this.#waiting.delete(reject);
    opening.then(resolve, reject).then(ended, ended);
    return promise;
  }

  /** From here on nobody is let in, those who wait neither. */
  close(): void {
    this.#isClosed = true;
    for (const refuse of this.#waiting) refuse(stopping());
  }
}

function stopping(): RequestError {
  return new RequestError(503, "stopping", "the server stops; come back to another, or later", {
    headers: { "retry-after": "1", connection: "close" },
  });
}
