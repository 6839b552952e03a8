/** Promises that a plugin's author may ignore: their failure is told even then, and says what it is about. */

class HeardPromise<T> extends Promise<T> {
  isHeard = false;

  // What `then` and `catch` give is an ordinary promise.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // `await`, `catch`, `finally` and `Promise.all` come through here too.
  // oxlint-disable-next-line no-thenable
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isHeard = true;
    return super.then(onFulfilled, onRejected);
  }
}

/**
 * Gives a promise that settles as `work` does and never counts as an unhandled rejection.
 *
 * @param unheard Called with the error when nobody has awaited the promise by the end of the turn in
 *   which it was rejected.
 */
export function orUnheard<T>(work: Promise<T>, unheard: (error: unknown) => void): Promise<T> {
  const promise = new HeardPromise<T>((resolve, reject) => {
    work.then(resolve, (error: unknown) => {
      reject(error);
      setImmediate(() => {
        if (!promise.isHeard) unheard(error);
      });
    });
  });
  Promise.prototype.then.call(promise, undefined, () => {});
  return promise;
}
