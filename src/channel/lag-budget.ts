/**
 * How much may wait for all connections that lag, whatever channels they are subscribed to: as much as may wait
 * for each of them. One socket with a thousand subscriptions takes no more than one with one.
 */
export class LagBudget {
  /** Bytes of one connection, and of one channel. */
  readonly bytesEach: number;
  /** Bytes that wait now. */
  bytes = 0;
  /** Connections that lag, and in how many channels. */
  readonly #connections = new Map<object, number>();

  constructor(bytesEach: number) {
    this.bytesEach = bytesEach;
  }

  /** More waits than may. */
  get isOver(): boolean {
    return this.bytes > this.bytesEach * this.#connections.size;
  }

  /** A connection begins to lag in one channel. */
  enter(connection: object): void {
    this.#connections.set(connection, (this.#connections.get(connection) ?? 0) + 1);
  }

  /** It lags in one channel less. */
  leave(connection: object): void {
    const channels = this.#connections.get(connection)! - 1;
    if (channels === 0) this.#connections.delete(connection);
    else this.#connections.set(connection, channels);
  }
}
