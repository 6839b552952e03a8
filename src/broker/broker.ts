/** The contract of a broker: it keeps each channel's history and carries messages between nodes. */
import type { CommitListener } from "../channel/channel.ts";
import type { Log, Retention } from "../channel/log.ts";

/**
 * Receipts of publishes (`Log.receipt`) are the broker's: they MUST outlive the log that they were kept by,
 * and be as durable as the messages that they were kept with. How many are kept at most is given to the
 * broker when it is made; when there are more it forgets the oldest, so that memory or file stay bounded.
 */
export interface Broker {
  /** The name that `broker.use` in the config knows it by. */
  readonly name: string;
  /** What a log keeps is there again when it is opened after its end, and after the server's. */
  readonly isDurable: boolean;
  /**
   * Opens the log of a channel. A log that was closed may be opened again: where nothing was kept of
   * it, its epoch MUST be another one.
   *
   * @param onCommit MUST be called with every committed batch, in order, before `append` is answered, and
   *   never before `open` has returned.
   */
  open(channel: string, retention: Retention, onCommit: CommitListener): Log;
  close(): Promise<void>;
}
