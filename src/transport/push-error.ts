/** A push that did not work out; a listener gives it to the `done` of `PushPort.push`. */
export class PushError extends Error {
  /**
   * The client was told of the resource (PUSH_PROMISE), and may have got a part of it; its program need not
   * know of either. When false nothing of it was sent, and neither MUST anything later be pushed on that
   * stream: the client could not see the hole.
   */
  readonly promised: boolean;
  constructor(promised: boolean, message: string) {
    super(message);
    this.name = "PushError";
    this.promised = promised;
  }
}
