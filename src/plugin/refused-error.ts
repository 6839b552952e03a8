/** How a `receive` hook refuses what a client sent. */

/**
 * Thrown by `receive`: this frame or POST is refused, which is no failure of the plugin. A POST is answered
 * with 403, a `tidewire.v1` frame with an `error` frame, a raw WebSocket is closed with 4003.
 *
 * @example `if (!isSigned(raw)) throw new RefusedError("the signature is wrong");`
 */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  /** @param message What the client is told. */
  constructor(message: string) {
    super(message);
  }
}
