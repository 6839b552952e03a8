/** Why a `tidewire.v1` socket refuses to begin or to end a subscription. */
import { CLOSE, RequestError } from "./errors.ts";

/** @param own The channel whose URL the socket is at. */
export function otherChannel(own: string): RequestError {
  return new RequestError(
    404,
    "other-channel",
    `this socket is for channel "${own}"; open one at /channels for several`,
  );
}

export function tooManySubscriptions(limit: number): RequestError {
  return new RequestError(
    429,
    "too-many-subscriptions",
    `a socket has at most ${limit} subscriptions`,
    { closeCode: CLOSE.rateLimited },
  );
}

export function alreadySubscribed(channel: string): RequestError {
  return new RequestError(
    409,
    "already-subscribed",
    `this socket is subscribed to channel "${channel}" already`,
  );
}

export function notSubscribed(channel: string): RequestError {
  return new RequestError(
    404,
    "not-subscribed",
    `this socket is not subscribed to channel "${channel}"`,
  );
}
