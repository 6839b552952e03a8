/** What the soak publishes: each message says who sent it, as which of its own, and when. */

export interface Numbered {
  /** Who published it; a publisher numbers its messages in each channel from 1. */
  readonly p: string;
  readonly n: number;
  /** When it was sent, in milliseconds since the epoch; 0 where nobody measures it. */
  readonly t: number;
  /** Life of a source, which begins at 1 again when its plugin is loaded anew. */
  readonly life?: string;
  /** Version of the transform that the publisher knew of when it sent this. */
  readonly least?: number;
  /** Version of the transform that this went through. */
  readonly version?: number;
  readonly pad?: string;
}

/** Milliseconds since the epoch, with fractions. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** @throws {TypeError} When it is none: the soak has to look into it, though it is opaque to clients. */
export function parsePosition(id: string): Position {
  const dash = id.lastIndexOf("-");
  const offset = Number(id.slice(dash + 1));
  if (dash < 1 || !Number.isSafeInteger(offset)) throw new TypeError(`"${id}" is no position`);
  return { epoch: id.slice(0, dash), offset };
}
