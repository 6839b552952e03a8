/**
 * How many workers there may be of channels that clients bring to life. Each is a thread with some 8 MiB
 * of its own: who asks for ever other rooms must not be able to open thousands.
 *
 * Those of channels that the config names one by one are as many as it says.
 */

/** There are as many workers of pattern channels as there may be. */
export class NoPlaceError extends RangeError {}

/** Workers by the name of their channel. */
const taken = new Map<string, number>();
let count = 0;

/** Workers that pattern channels may still have; none where it is less than one. */
export function placesLeft(limit: number): number {
  return limit - count;
}

/**
 * Takes a place for a worker of this channel.
 *
 * One that has a place may have more, or a reload, in which the new plugins of a channel stand beside the
 * old ones for a while, would fail for being full.
 *
 * @returns Gives it back; may be called again.
 * @throws {NoPlaceError} When there are `limit` already.
 */
export function takePlace(channel: string, limit: number): () => void {
  const own = taken.get(channel) ?? 0;
  if (own === 0 && count >= limit) {
    throw new NoPlaceError(
      `no worker can be started for it: those of pattern channels are ${count}, and "limits: { workers: ${limit} }" allows no more`,
    );
  }
  taken.set(channel, own + 1);
  count++;
  let isGiven = false;
  return () => {
    if (isGiven) return;
    isGiven = true;
    count--;
    const left = taken.get(channel)! - 1;
    if (left === 0) taken.delete(channel);
    else taken.set(channel, left);
  };
}
